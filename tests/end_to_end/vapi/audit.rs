//! `[endpoint.audit]`: one event for each question, after its answer.

use crate::http::{open, tool_calls};
use crate::support::{Bridge, Nats, Reply, Worker, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const AUDIT: &str = "[endpoint.audit]\nto = [\"nats:{endpoint}.audit.{type}.{function}\"]\n";

/// The records of a stream, once there are so many: header `ce-id` and `ce-type`, subject, body.
async fn records(nats: &Nats, count: u64) -> Vec<(String, String, Value)> {
    let messages = nats.messages("AUDIT", count).await;
    let record = |message: crate::support::nats::Stored| {
        assert_eq!(message.header("ce-type"), Some("hookbus.audit"));
        assert_eq!(message.header("ce-datacontenttype"), Some("application/json"));
        let id = message.header("ce-id").unwrap().to_owned();
        (id, message.subject.clone(), serde_json::from_slice(&message.payload).unwrap())
    };
    let mut records: Vec<_> = messages.into_iter().map(record).collect();
    records.sort_by_key(|record| (record.0.len(), record.0.clone()));
    records
}

#[tokio::test]
async fn every_question_is_told_with_its_end() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("AUDIT", &["a.audit.>"]).await;
    let fallback = "[[endpoint.tool]]\nnames = [\"nobody\"]\nfallback = {\"x\" = 1}\n";
    let config = open("a") + fallback + AUDIT;
    let bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let _json = Worker::start(&nats, "a.tool.json", |_| Reply::json(&json!({"n": 1}))).await;
    let _text = Worker::start(&nats, "a.tool.text", |_| {
        Reply::text("na\u{ef}ve").after(Duration::from_millis(100))
    })
    .await;
    let _error =
        Worker::start(&nats, "a.tool.error", |_| Reply::error("400", "no such city")).await;
    let body = tool_calls(&["json", "text", "error", "nobody", "none.such"]);
    let answer = bridge.post("/a", body.clone(), &[]).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("hookbus-id").unwrap();
    let records = records(&nats, 5).await;
    let expected = [
        ("json", json!({"outcome": "answered", "reply": {"n": 1}})),
        ("text", json!({"outcome": "answered", "reply": "na\u{ef}ve"})),
        ("error", json!({"outcome": "worker-error", "error": "no such city"})),
        ("nobody", json!({"outcome": "no-responders", "fallback": {"x": 1}})),
        ("none.such", json!({"outcome": "no-responders"})),
    ];
    for (place, ((function, expected), record)) in expected.into_iter().zip(records).enumerate() {
        let (record_id, subject, mut record) = record;
        assert_eq!(record_id, format!("{id}.{}", 6 + place), "jobs have the first numbers");
        assert_eq!(subject, format!("a.audit.tool-calls.{}", function.replace('.', "%2E")));
        let took =
            record.as_object_mut().unwrap().remove("milliseconds").unwrap().as_u64().unwrap();
        assert!(took < 5_000 && (function != "text" || took >= 100), "{function}: {took} ms");
        let mut whole = json!({
            "id": id, "endpoint": "a", "type": "tool-calls", "function": function,
            "callId": format!("call_{}", place + 1),
        });
        if let Some(key) = record.get("key").cloned() {
            whole["key"] = key;
        }
        whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(record, whole);
    }
}

#[tokio::test]
async fn it_is_never_in_the_way_and_is_kept_like_any_event() {
    let Some(nats) = Nats::start().await else { return };
    // No stream takes it yet.
    let bridge = Bridge::config(&(open("a") + AUDIT)).nats(&nats).start_ready().await;
    let _worker = Worker::start(&nats, "a.tool.f", |_| Reply::text("fine")).await;
    let answer = bridge.post("/a", tool_calls(&["f"]), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("answered")));
    assert!(answer.elapsed < Duration::from_millis(500), "{:?}", answer.elapsed);
    eventually("it is on disk", Duration::from_secs(10), async || {
        (bridge.metric("hookbus_spool_records").await == 1.0).then_some(())
    })
    .await;
    nats.create_stream("AUDIT", &["a.audit.>"]).await;
    let records = records(&nats, 1).await;
    assert_eq!(records[0].2["reply"], "fine");
}
