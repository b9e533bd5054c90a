//! SIGTERM: what the broker doesn't acknowledge in time is on disk when the process ends.

use super::*;
use std::time::Instant;

/// Under load, with a broker that acknowledges nothing, and less time than that is waited for.
async fn stopped_under_load(mut broker: Broker) {
    let _load = LOAD.write().await;
    let spool = folder();
    // The last table of the text is the broker's.
    let setup = |broker: &Broker| {
        broker.setup(spool.path()).text("[http]\nlisten = \"{http}\"\ndrain = \"500ms\"")
    };
    let mut bridge = setup(&broker).start_ready().await;
    let mut sent = send_all(&bridge, 20, 0..2).await;
    assert_all(&sent, 200);
    broker.freeze();
    let waiting: Vec<_> = (0..300)
        .map(|number| {
            let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
            let key = format!("k{}", number % 20);
            let number = 2 + number / 20;
            // One after the other, so that their order is known.
            tokio::spawn(async move { send_to(&client, &url, &key, number..number + 1).await })
        })
        .collect();
    eventually("all of them in flight", Duration::from_secs(1), async || {
        let in_flight = bridge.metric("hookbus_in_flight{kind=\"event\"}").await;
        (in_flight == 300.0).then_some(())
    })
    .await;
    let began = Instant::now();
    bridge.signal("TERM");
    let mut order = Vec::new();
    for answer in join_all(waiting).await {
        order.extend(answer.unwrap());
    }
    let took = began.elapsed();
    assert_all(&order, 202);
    assert!(took < Duration::from_millis(500) + SLACK, "{took:?}");
    let status = bridge.wait().await;
    println!("answered after {took:?}, ended after {:?}", began.elapsed());
    assert_eq!(status.code(), Some(0), "{}", bridge.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let log = bridge.log();
    assert!(log.contains("what is not acknowledged yet is left to the disk"), "{log}");
    sent.extend(order);

    broker.thaw();
    let bridge = setup(&broker).start_ready().await;
    drained(&bridge).await;
    let stored = broker.stored().await;
    // They were sent at the same time, so that nothing says in what order they came.
    let known: BTreeSet<_> = stored.iter().collect();
    let lost: Vec<_> =
        sent.iter().map(Sent::stored).filter(|stored| !known.contains(stored)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    if let Broker::Nats(_) = broker {
        assert_eq!(stored.len(), sent.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_frozen_nats() {
    let Some(broker) = Broker::nats().await else { return };
    stopped_under_load(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_frozen_kafka() {
    let Some(broker) = Broker::kafka().await else { return };
    stopped_under_load(broker).await;
}

/// A stop in good order while the backlog drains: nothing is lost, and nothing published twice.
async fn stopped_while_it_drains(broker: Broker, name: &str) {
    const RECORDS: usize = 20_000;
    let _load = LOAD.write().await;
    let spool = folder();
    fill(spool.path(), broker.destination(), name, RECORDS).await;
    let mut rounds = 0;
    loop {
        let mut bridge = broker.setup(spool.path()).start().await;
        let before = bridge.metric("hookbus_spool_records").await;
        let left = eventually("progress", RECOVERY, async || {
            let records = bridge.metric("hookbus_spool_records").await;
            (records == 0.0 || records + 1_000.0 < before).then_some(records)
        })
        .await;
        let began = Instant::now();
        bridge.signal("TERM");
        assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
        println!("{left} left, stopped in {:?}", began.elapsed());
        if left == 0.0 {
            break;
        }
        rounds += 1;
    }
    let stored = broker.stored().await;
    println!("stopped {rounds} times, {} twice", stored.len() - RECORDS);
    assert!(rounds > 3, "it was too fast to be stopped in between");
    assert_eq!((assert_kept(&[], &stored), stored.len()), (0, RECORDS));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_backlog_for_nats_drains() {
    let Some(broker) = Broker::nats().await else { return };
    stopped_while_it_drains(broker, "events.hang").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_backlog_for_kafka_drains() {
    let Some(broker) = Broker::kafka().await else { return };
    stopped_while_it_drains(broker, "events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let Some(mut broker) = Broker::nats().await else { return };
    let spool = folder();
    let mut bridge = broker.setup(spool.path()).start_ready().await;
    broker.freeze();
    let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
    // Nobody answers it any more.
    let waiting = tokio::spawn(async move {
        let _ = client.try_post(&url, event("k", 0)).await;
    });
    eventually("it in flight", RECOVERY, async || {
        let in_flight = bridge.metric("hookbus_in_flight{kind=\"event\"}").await;
        (in_flight == 1.0).then_some(())
    })
    .await;
    bridge.signal("TERM");
    bridge.readiness("not ready: stopping").await;
    let began = Instant::now();
    bridge.signal("INT");
    assert_eq!(bridge.wait().await.code(), Some(1));
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    waiting.await.unwrap();
    let log = bridge.log();
    assert!(log.contains("stopped at once, by a second signal"), "{log}");
}
