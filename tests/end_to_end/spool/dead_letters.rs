//! Dead letters are kept apart, so that nothing waits behind them.

use super::*;
use crate::support::kafka;

/// Longer than these brokers take, with a word in it that no log may show.
fn large(key: &str, number: usize) -> String {
    let body = json!({"message": {
        "type": "hang", "call": {"id": key}, "number": number, "text": "darling".repeat(20_000),
    }});
    body.to_string()
}

/// Makes one event of a key a dead letter, between two that are stored.
async fn rejects_one(bridge: &Bridge) -> Vec<Sent> {
    let mut sent = send(bridge, "k", 0..1).await;
    let answer = bridge.post("/hook", large("k", 1), &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.header("hookbus-id").unwrap().to_owned();
    sent.extend(send(bridge, "k", 2..3).await);
    assert_all(&sent, 200);
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 1.0);
    assert_eq!(bridge.metric("hookbus_spool_records").await, 0.0);
    assert_eq!(outcomes(bridge, "dead-lettered").await, 1.0);
    bridge.logs(&id).await;
    let log = bridge.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("dead letter") && lines[0].contains("too-large"), "{log}");
    assert!(!log.contains("darling"), "{log}");
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_than_nats_takes() {
    let Some(mut nats) = Nats::start_with("max_payload: 64KB").await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let spool = folder();
    let setup = Bridge::config(config(spool.path(), &["nats:events.{type}"])).nats(&nats);
    let mut bridge = setup.clone().start_ready().await;
    let mut sent = rejects_one(&bridge).await;

    // The same while nobody can say yet what is too large.
    nats.kill();
    bridge.readiness("nats: down").await;
    let queued = send(&bridge, "k", 3..4).await;
    let answer = bridge.post("/hook", large("k", 4), &[]).await;
    assert_eq!(answer.status, 202);
    let last = send(&bridge, "k", 5..6).await;
    for sent in [&queued, &last] {
        assert_all(sent, 202);
    }
    sent.extend(queued.into_iter().chain(last));
    nats.restart().await;
    drained(&bridge).await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 2.0);
    let nats = Broker::Nats(nats);
    let stored = nats.stored().await;
    assert_eq!((stored.len(), assert_kept(&sent, &stored)), (4, 0));

    // Not a kill: that may bring back what left its queue less than a second before.
    bridge.signal("TERM");
    bridge.wait().await;
    let bridge = setup.start_ready().await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 2.0);
    assert_eq!(nats.stored().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_than_a_topic_takes() {
    let Some(kafka) = kafka::shared().await else { return };
    kafka.create_topic_with("spool-small", 1, &[("max.message.bytes", "65536")]).await;
    let spool = folder();
    let text = config(spool.path(), &["kafka:spool-small"]);
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    let sent = rejects_one(&bridge).await;
    assert_eq!(kafka.records("spool-small", 2).await.len(), sent.len());
}

/// One destination has it, another will never take it.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_by_one_of_two() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    nats.create_stream_with(async_nats::jetstream::stream::Config {
        name: "SMALL".to_owned(),
        subjects: vec!["small.>".to_owned()],
        max_message_size: 65_536,
        ..Default::default()
    })
    .await;
    let spool = folder();
    let text = config(spool.path(), &["nats:small.{type}", "nats:events.{type}"]);
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    rejects_one(&bridge).await;
    assert_eq!(nats.messages("EVENTS", 3).await.len(), 3);
    assert_eq!(nats.messages("SMALL", 2).await.len(), 2);
}
