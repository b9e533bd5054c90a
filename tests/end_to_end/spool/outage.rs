//! Brokers that die or freeze while events come.

use super::*;
use std::time::Instant;

/// Dead from one moment to the next: what comes is kept, quickly, and stored in order when the broker is back.
async fn killed(mut broker: Broker) {
    let _calm = LOAD.read().await;
    let spool = folder();
    let bridge = broker.setup(spool.path()).start_ready().await;
    let mut sent = send_all(&bridge, 20, 0..5).await;
    assert_all(&sent, 200);

    broker.kill();
    let first = send(&bridge, "k0", 5..6).await;
    assert_all(&first, 202);
    let took = first[0].answer.elapsed;
    assert!(took < ACK + SLACK, "the first took {took:?}");
    sent.extend(first);
    let mut following = send(&bridge, "k0", 6..10).await;
    following.extend(send_all(&bridge, 20, 10..30).await);
    assert_all(&following, 202);
    println!("the first took {took:?}, p99 of the following {:?}", p99(&following));
    assert!(p99(&following) < SLACK, "{:?}", p99(&following));
    let count = following.len() as f64 + 1.0;
    sent.extend(following);
    let ready = bridge.readiness(broker.down()).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert_eq!(bridge.metric("hookbus_spool_records").await, count);
    assert_eq!(outcomes(&bridge, "spooled").await, count);
    assert!(bridge.metric("hookbus_spool_bytes").await > 100.0 * count);
    assert!(bridge.metric("hookbus_spool_oldest_seconds").await > 0.0);

    broker.restart().await;
    drained(&bridge).await;
    let last = send_all(&bridge, 20, 30..32).await;
    assert_all(&last, 200);
    sent.extend(last);
    assert_kept(&sent, &broker.stored().await);
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());
    assert_eq!(bridge.metric("hookbus_spool_oldest_seconds").await, 0.0);
    bridge.logs("all that was queued on disk is published").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_killed() {
    let Some(broker) = Broker::nats().await else { return };
    killed(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_killed() {
    let Some(broker) = Broker::kafka().await else { return };
    killed(broker).await;
}

/// A broker that takes what it gets and says nothing: the first ones wait for their acknowledgement, the next ones
/// don't. Senders go on all the while, also while the backlog drains.
async fn frozen(mut broker: Broker) {
    let _calm = LOAD.read().await;
    let spool = folder();
    let bridge = broker.setup(spool.path()).start_ready().await;
    let before = send_all(&bridge, 20, 0..3).await;
    assert_all(&before, 200);

    broker.freeze();
    let began = Instant::now();
    let first = send_all(&bridge, 10, 3..4).await;
    assert_all(&first, 202);
    for sent in &first {
        let took = sent.answer.elapsed;
        assert!(took < ACK + SLACK, "{took:?}");
        // librdkafka gives up earlier, so that it doesn't send afterwards what was given up.
        match broker {
            Broker::Nats(_) => assert!(took + SLACK > ACK, "{took:?}"),
            Broker::Kafka(_) => assert!(took * 4 > ACK, "{took:?}"),
        }
    }
    let traffic = Traffic::start(&bridge, 20, 4);
    tokio::time::sleep((ACK * 3).saturating_sub(began.elapsed())).await;
    broker.thaw();
    // They find their events before them on the disk for a while, and then no more.
    drained(&bridge).await;
    stored_at_once(&bridge, "another").await;
    let stored = outcomes(&bridge, "stored").await;
    eventually("traffic that goes to the broker at once", RECOVERY, async || {
        (outcomes(&bridge, "stored").await > stored + 40.0).then_some(())
    })
    .await;
    let following = traffic.stop().await;
    let statuses = statuses(&following);
    println!("{statuses:?}, p99 {:?}", p99(&following));
    assert!(statuses.keys().all(|status| [200, 202].contains(status)), "{statuses:?}");
    assert!(statuses[&202] > 200 && statuses[&200] > 20, "{statuses:?}");
    assert!(p99(&following) < SLACK, "{:?}", p99(&following));
    drained(&bridge).await;

    let sent: Vec<_> = before.into_iter().chain(first).chain(following).collect();
    let twice = assert_kept(&sent, &broker.stored().await);
    // The ten that the frozen broker had in its socket, and what was tried meanwhile.
    match broker {
        Broker::Nats(_) => {
            assert_eq!(twice, 0, "the ids stay the same, so that JetStream knows them")
        }
        Broker::Kafka(_) => assert!(twice <= 20, "{twice}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_frozen() {
    let Some(broker) = Broker::nats().await else { return };
    frozen(broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_frozen() {
    let Some(broker) = Broker::kafka().await else { return };
    frozen(broker).await;
}

/// Again and again, and nobody waits for it.
async fn restarted_in_a_loop(mut broker: Broker, times: usize) {
    let _load = LOAD.write().await;
    let spool = folder();
    let bridge = broker.setup(spool.path()).start_ready().await;
    let mut sent = send_all(&bridge, 50, 0..2).await;
    let traffic = Traffic::start(&bridge, 50, 2);
    for _ in 0..times {
        broker.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.restart().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    stored_at_once(&bridge, "another").await;
    sent.extend(traffic.stop().await);
    let statuses = statuses(&sent);
    assert!(statuses.keys().all(|status| [200, 202].contains(status)), "{statuses:?}");
    assert!(statuses[&202] > 50 && statuses[&200] >= 100, "{statuses:?}");
    drained(&bridge).await;
    let twice = assert_kept(&sent, &broker.stored().await);
    println!("{statuses:?}, {twice} twice");
    if let Broker::Nats(_) = broker {
        assert_eq!(twice, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_restarted_in_a_loop() {
    let Some(broker) = Broker::nats().await else { return };
    restarted_in_a_loop(broker, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_restarted_in_a_loop() {
    let Some(broker) = Broker::kafka().await else { return };
    restarted_in_a_loop(broker, 2).await;
}

/// What names an event by its body names it so on every road: a repetition is stored once, by whichever it came.
#[tokio::test(flavor = "multi_thread")]
async fn repetitions_are_known_on_both_roads() {
    let spool = folder();
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let endpoint = |name: &str, dedupe: &str| {
        endpoint(name)
            .keys(&format!("dedupe = \"{dedupe}\""))
            .events_to(&[&format!("nats:events.{name}")])
    };
    let text = format!(
        "{}{}\n[spool]\ndir = {:?}\n",
        endpoint("body", "body"),
        endpoint("off", "off"),
        spool.path()
    );
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let post = async |path: &str| {
        let answer = bridge.post(path, event("k", 1), &[]).await;
        (answer.status, answer.header("hookbus-id").unwrap().to_owned())
    };
    let (status, id) = post("/body").await;
    assert_eq!((status, post("/off").await.0), (200, 200));
    nats.kill();
    bridge.readiness("nats: down").await;
    for _ in 0..3 {
        assert_eq!(post("/body").await, (202, id.clone()));
        assert_eq!(post("/off").await.0, 202);
    }
    nats.restart().await;
    drained(&bridge).await;
    let messages = nats.messages("EVENTS", 5).await;
    let of = |subject: &str| {
        let of = messages.iter().filter(|message| message.subject == subject);
        of.map(|message| message.header("ce-id").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of("events.body"), [id]);
    assert_eq!(of("events.off").len(), 4, "each is an event of its own");
}
