//! `max_payload`, changed while everything runs: nats-server tells nobody of it, so that it is asked.

use crate::support::bridge::program;
use crate::support::process::output;
use crate::support::worker::{Reply, Worker};
use crate::support::{Bridge, Nats};
use serde_json::json;

const CONFIG: &str = r#"
    [[endpoint]]
    name = "hook"
    path = "/hook"
    source = "vapi"
    [[endpoint.auth]]
    kind = "none"
    [[endpoint.question]]
    types = ["assistant-request"]
"#;

fn body(kind: &str, key: &str) -> String {
    let text = "x".repeat(100_000);
    json!({"message": {"type": kind, "call": {"id": key}, "text": text}}).to_string()
}

/// Runs `hookbus dlq` beside the bridge.
async fn dlq(bridge: &Bridge, arguments: &[&str]) -> String {
    let mut command = program();
    command.arg("dlq").args(arguments).current_dir(bridge.folder());
    let output = output(command.into(), b"").await;
    format!("{}{}", output.stdout, output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_limit_counts_at_once() {
    let Some(mut nats) = Nats::start_with("max_payload: 64KB").await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let reply = |_: &_| Reply::text(r#"{"assistantId":"a"}"#);
    let worker = Worker::start(&nats, "hook.ask.assistant-request", reply).await;
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    let small = json!({"message": {"type": "hang", "call": {"id": "small"}}}).to_string();
    assert_eq!(bridge.post("/hook", small.clone(), &[]).await.status, 200);
    assert_eq!(bridge.post("/hook", body("hang", "a"), &[]).await.status, 202);
    let question = bridge.post("/hook", body("assistant-request", "q"), &[]).await;
    assert_eq!(question.header("hookbus-outcome"), Some("too-large"), "{}", question.text());
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 1.0);
    let listed = dlq(&bridge, &["list"]).await;
    assert!(listed.contains("max_payload is 65536 bytes"), "{listed}");
    let refused = dlq(&bridge, &["replay", "--all"]).await;
    assert!(refused.contains("max_payload is 65536 bytes"), "{refused}");

    nats.reload_with("max_payload: 1MB").await;
    // Its connection is the old one. The server is asked once a second at the most.
    let mut replayed = String::new();
    for _ in 0..20 {
        replayed = dlq(&bridge, &["replay", "--all"]).await;
        if bridge.metric("hookbus_dead_letters").await == 0.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0, "{replayed}");
    bridge.logs("takes larger messages now (max_payload); connecting again connection=\"events\" before=65536 now=1048576").await;
    let question = bridge.post("/hook", body("assistant-request", "q"), &[]).await;
    assert_eq!(question.header("hookbus-outcome"), Some("answered"), "{}", question.text());
    assert_eq!(worker.questions().len(), 1);
    assert_eq!(bridge.post("/hook", body("hang", "b"), &[]).await.status, 200);
    let stored = nats.messages("EVENTS", 3).await;
    assert_eq!(stored.len(), 3);
}

/// Nothing that is in flight over the connection that is replaced is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_meanwhile_is_answered() {
    let Some(mut nats) = Nats::start_with("max_payload: 64KB").await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let slow = |_: &_| Reply::text("slow").after(std::time::Duration::from_secs(2));
    let worker = Worker::start(&nats, "hook.tool.slow", slow).await;
    let bridge = Bridge::config(CONFIG).nats(&nats).start_ready().await;
    nats.reload_with("max_payload: 1MB").await;
    let call =
        json!({"id": "c", "type": "function", "function": {"name": "slow", "arguments": {}}});
    let call = json!({"message": {"type": "tool-calls", "toolCallList": [call]}}).to_string();
    let asking = bridge.post("/hook", call, &[]);
    let large = async {
        crate::support::eventually(
            "the question",
            std::time::Duration::from_secs(10),
            async || (!worker.questions().is_empty()).then_some(()),
        )
        .await;
        bridge.post("/hook", body("assistant-request", "q"), &[]).await
    };
    let (answer, large) = tokio::join!(asking, large);
    assert_eq!(large.header("hookbus-outcome"), Some("no-responders"), "it fits");
    assert_eq!(answer.json()["results"][0]["result"], "slow", "{}", answer.text());
}
