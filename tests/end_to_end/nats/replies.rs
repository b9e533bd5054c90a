//! Replies that are none: from somebody who answers events, and from a stream that answers questions.

use crate::support::{Bridge, Nats, Reply, Worker, endpoint};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;

/// All questions have 2 s.
fn config() -> String {
    let endpoint = endpoint("hook").tables(
        "[[endpoint.question]]\ntypes = [\"*\"]\ntimeout = \"2s\"\n\
         [[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"2s\"",
    );
    format!("[nats]\nservers = [\"{{nats}}\"]\nack_timeout = \"2s\"\n{endpoint}")
}

fn event(number: usize) -> String {
    json!({"message": {"type": "hang", "call": {"id": format!("k{number}")}}}).to_string()
}

#[tokio::test]
async fn whoever_answers_events_is_ignored() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    // Some replies come before that of JetStream, some after it; one of them looks like it.
    let _talker = Worker::start(&nats, "hook.>", |question| match question.payload.len() % 4 {
        0 => Reply::text("thanks"),
        1 => Reply::text(r#"{"stream":"EVENTS"}"#),
        2 => Reply::text(""),
        _ => Reply::json(&json!({"error": "not for me"})),
    })
    .await;
    let bridge = Bridge::config(config()).nats(&nats).without_spool().start_ready().await;
    let answers = join_all((0..50).map(|number| bridge.post("/hook", event(number), &[]))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.elapsed < Duration::from_secs(1), "{:?}", answer.elapsed);
    }
    assert_eq!(nats.messages("EVENTS", 50).await.len(), 50);
}

/// Here the wrong one surely comes first, since the right one is played too.
#[tokio::test]
async fn the_right_reply_may_be_the_second() {
    let Some(nats) = Nats::start().await else { return };
    let _both = Worker::start(&nats, "hook.>", |_| {
        let ack = Reply::text(r#"{"stream":"EVENTS","seq":1}"#).after(Duration::from_millis(100));
        Reply::text("thanks").then(ack)
    })
    .await;
    let bridge = Bridge::config(config()).nats(&nats).without_spool().start_ready().await;
    for number in 0..5 {
        let answer = bridge.post("/hook", event(number), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.elapsed < Duration::from_secs(1), "{:?}", answer.elapsed);
    }
    assert_eq!(bridge.metric(r#"hookbus_ignored_replies_total{kind="event""#).await, 5.0);
    let said = "a reply to an event is no acknowledgement, and is ignored";
    bridge.logs(said).await;
    let log = bridge.log();
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("subject=\"hook.events.hang\""), "{log}");
    assert!(!log.contains("thanks"), "{log}");
}

#[tokio::test]
async fn without_a_stream_such_a_reply_stores_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let _talker = Worker::start(&nats, "hook.>", |_| Reply::text("thanks")).await;
    let bridge = Bridge::config(config()).nats(&nats).without_spool().start_ready().await;
    let answer = bridge.post("/hook", event(0), &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.elapsed >= Duration::from_millis(1_900), "{:?}", answer.elapsed);
    let reason = r#"hookbus_publish_errors_total{destination="nats:{endpoint}.events.{type}",reason="bad-ack""#;
    assert_eq!(bridge.metric(reason).await, 1.0);
}

/// Such a stream stops the start. This one is made later.
#[tokio::test]
async fn a_stream_does_not_answer_questions() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    nats.create_stream("GREEDY", &["hook.ask.>", "hook.tool.>"]).await;
    let answer = json!({"assistantId": "a", "stream": "is no acknowledgement"});
    let worker = Worker::start(&nats, "hook.>", move |_| {
        Reply::json(&answer).after(Duration::from_millis(100))
    })
    .await;
    let question = |kind: &str| json!({"message": {"type": kind}}).to_string();
    let whole = bridge.post("/hook", question("assistant-request"), &[]).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(whole.json()["assistantId"], "a");
    let call = json!({"message": {"type": "tool-calls", "toolCallList": [{"id": "c", "function": {"name": "f"}}]}});
    let tool = bridge.post("/hook", call.to_string(), &[]).await;
    assert!(tool.text().contains("assistantId"), "{}", tool.text());
    let voice = bridge.post("/hook", question("voice-request"), &[]).await;
    assert_eq!(voice.status, 200, "{}", voice.text());
    assert!(voice.text().contains("assistantId"), "{}", voice.text());
    let ignored = r#"hookbus_ignored_replies_total{kind="question""#;
    assert_eq!(bridge.metric(ignored).await, 3.0);
    let said = "a JetStream acknowledgement came in place of an answer";
    bridge.logs(said).await;
    assert_eq!(bridge.log().matches(said).count(), 1, "{}", bridge.log());
    // Without a worker there is no answer.
    drop(worker);
    let answer = bridge.post("/hook", question("assistant-request"), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (504, Some("timeout")));
}
