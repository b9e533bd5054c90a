//! Destinations that work beside some that don't, and destinations that somebody has to repair.

use super::*;
use crate::support::kafka;
use async_nats::jetstream::stream;

/// Whoever is alive has everything at once; the dead one has it when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_is_dead() {
    let _calm = LOAD.read().await;
    let (Some(nats), Some(kafka)) = tokio::join!(Broker::nats(), Broker::kafka()) else { return };
    let (Broker::Nats(nats), Broker::Kafka(mut kafka)) = (nats, kafka) else { unreachable!() };
    let spool = folder();
    let to = ["nats:events.{type}", "kafka:events"];
    let text = format!(
        "{}\n[kafka]\nbrokers = [\"{{kafka}}\"]\nack_timeout = \"{ACK:?}\"\n",
        config(spool.path(), &to)
    );
    let bridge = Bridge::config(&text).nats(&nats).kafka(&kafka).start_ready().await;
    let mut sent = send_all(&bridge, 10, 0..2).await;
    assert_all(&sent, 200);

    kafka.kill();
    let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
    let first = tokio::spawn(async move { send_to(&client, &url, "k0", 2..3).await });
    nats.messages("EVENTS", 21).await;
    assert!(!first.is_finished(), "the dead one isn't given up yet");
    sent.extend(first.await.unwrap());
    let following = send_all(&bridge, 10, 3..30).await;
    assert_all(&following, 202);
    println!("p99 {:?}", p99(&following));
    assert!(p99(&following) < SLACK, "{:?}", p99(&following));
    let count = following.len();
    sent.extend(following);
    // No waiting: it was there before its sender had the answer.
    let nats = Broker::Nats(nats);
    let stored = nats.stored().await;
    assert_eq!((stored.len(), assert_kept(&sent, &stored)), (sent.len(), 0));
    let queued = |to: &str| format!("hookbus_spool_records{{destination=\"{to}\"}}");
    assert_eq!(bridge.metric(&queued(to[0])).await, 0.0);
    assert_eq!(bridge.metric(&queued(to[1])).await, (count + 1) as f64);

    kafka.restart().await;
    drained(&bridge).await;
    let last = send_all(&bridge, 10, 30..31).await;
    assert_all(&last, 200);
    sent.extend(last);
    assert_kept(&sent, &Broker::Kafka(kafka).stored().await);
    assert_eq!(assert_kept(&sent, &nats.stored().await), 0);
}

/// Events are kept until somebody has repaired their destination, and nothing else is needed.
async fn repaired(
    bridge: &Bridge,
    destination: &str,
    reason: &str,
    repair: impl AsyncFnOnce(),
    stored: impl AsyncFnOnce() -> Vec<Stored>,
) {
    let sent = send_all(bridge, 5, 0..4).await;
    let statuses = statuses(&sent);
    assert!(statuses.keys().all(|status| [200, 202].contains(status)), "{statuses:?}");
    assert!(statuses[&202] > 0);
    let ready = bridge.readiness(&format!("problem: {destination}: {reason}")).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let warning = "events are not stored; they queue on disk";
    bridge.logs(warning).await;
    let log = bridge.log();
    assert!(log.lines().any(|line| line.contains(warning) && line.contains(destination)), "{log}");
    repair().await;
    drained(bridge).await;
    assert_kept(&sent, &stored().await);
    eventually("a clear /readyz", RECOVERY, async || {
        let ready = bridge.admin("/readyz").await;
        (!ready.text().contains(destination)).then_some(())
    })
    .await;
    let fresh = send_all(bridge, 5, 4..5).await;
    assert_all(&fresh, 200);
    let log = bridge.log();
    assert_eq!(log.matches(warning).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_missing() {
    let Some(nats) = Nats::start().await else { return };
    let spool = folder();
    let text = config(spool.path(), &["nats:events.{type}"]);
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let nats = Broker::Nats(nats);
    let repair = async || {
        let Broker::Nats(nats) = &nats else { return };
        nats.create_stream("EVENTS", &["events.>"]).await;
    };
    let stored = async || nats.stored().await;
    repaired(&bridge, "nats:events.{type}", "no-stream", repair, stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_full() {
    let Some(nats) = Nats::start().await else { return };
    let stream = |most| stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["events.>".to_owned()],
        discard: stream::DiscardPolicy::New,
        max_messages: most,
        ..Default::default()
    };
    nats.create_stream_with(stream(7)).await;
    let spool = folder();
    let text = config(spool.path(), &["nats:events.{type}"]);
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let jetstream = nats.jetstream().await;
    let repair = async || {
        jetstream.update_stream(stream(-1)).await.unwrap();
    };
    let nats = Broker::Nats(nats);
    let stored = async || nats.stored().await;
    repaired(&bridge, "nats:events.{type}", "store-failed", repair, stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_missing() {
    let Some(kafka) = kafka::shared().await else { return };
    let spool = folder();
    let text = config(spool.path(), &["kafka:spool-missing"]);
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    // Once librdkafka knows the cluster, it is told that there is no such topic.
    let repair = async || kafka.create_topic("spool-missing", 2).await;
    let stored = async || {
        let records = kafka.records("spool-missing", 0).await;
        let stored = records
            .iter()
            .map(|record| Stored::new(record.payload.as_deref().unwrap(), record.header("ce_id")));
        stored.collect()
    };
    repaired(&bridge, "kafka:spool-missing", "unknown-topic", repair, stored).await;
}

/// One destination of several subjects, of which one is missing: the others don't wait for it, and the log isn't
/// filled by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_destination_is_missing() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.hang"]).await;
    let spool = folder();
    let text = config(spool.path(), &["nats:events.{type}"]);
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let missing = async |number: usize| {
        let body = json!({"message": {"type": "other", "call": {"id": "m"}, "number": number}});
        let answer = bridge.post("/hook", body.to_string(), &[]).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    };
    let mut sent = Vec::new();
    for round in 0..30 {
        missing(round).await;
        sent.extend(send_all(&bridge, 3, round..round + 1).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ours = async || {
        let mut stored = Broker::stored_in(&nats, "EVENTS").await;
        stored.retain(|stored| stored.key != "m");
        stored
    };
    eventually("all but those of the missing stream", RECOVERY, async || {
        (ours().await.len() == sent.len()).then_some(())
    })
    .await;
    assert_kept(&sent, &ours().await);
    bridge.readiness("nats:events.{type}: no-stream").await;
    let log = bridge.log();
    assert!(log.lines().count() < 30, "{log}");

    nats.create_stream("OTHERS", &["events.other"]).await;
    drained(&bridge).await;
    let numbers: Vec<_> =
        Broker::stored_in(&nats, "OTHERS").await.iter().map(|stored| stored.number).collect();
    assert!(numbers.iter().copied().eq(0..30), "{numbers:?}");
}
