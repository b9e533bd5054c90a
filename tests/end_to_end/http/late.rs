//! Questions whose bodies come too late: what is past its limit when its body is complete gets its fallback at once,
//! and nobody is asked to do anything about it.

use super::wire::{Wire, post};
use super::{open, question, tool_calls};
use crate::support::{Bridge, Reply, Worker, nats};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_millis(800);

/// A worker that answers at once and a broker that stores at once need far less, and the limit is over by far.
const LATE: Duration = Duration::from_millis(1200);

const AT_ONCE: Duration = Duration::from_millis(700);

/// A call that nobody waits for.
fn job() -> String {
    json!({"message": {"type": "tool-calls", "call": {"id": "call-1"}, "toolWithToolCallList": [
        {"type": "function", "async": true, "function": {"name": "f"}, "toolCall": {"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}}
    ]}})
    .to_string()
}

#[tokio::test]
async fn what_comes_past_its_limit_is_answered_at_once() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("late", &["late.jobs.*"]).await;
    let limit = LIMIT.as_millis();
    let rules = format!(
        "[[endpoint.question]]\ntypes = [\"assistant-request\"]\ntimeout = \"{limit}ms\"\nfallback = {{ assistantId = \"a\" }}\n[[endpoint.question]]\ntypes = [\"voice-request\", \"campaign.predial\"]\ntimeout = \"{limit}ms\"\n[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"{limit}ms\"\n"
    );
    let bridge = Bridge::config(&(open("late") + &rules)).nats(nats).start_ready().await;
    let worker = Worker::start(nats, "late.>", |_| Reply::text(r#"{"assistantId":"b"}"#)).await;
    let ask = async |body: String, status: u16| {
        let request = post("/late", &body);
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(&request[..request.len() - 1]).await;
        sleep(LATE).await;
        let complete = Instant::now();
        let response = wire.ask(&request[request.len() - 1..]).await;
        let took = complete.elapsed();
        assert_eq!(response.status, status, "{body}");
        assert_eq!(response.header("hookbus-outcome"), Some("timeout"), "{body}");
        assert!(took < AT_ONCE, "{took:?} after {body}");
        response.body
    };
    let (with_fallback, without, streamed, tools, job) = tokio::join!(
        ask(question("assistant-request"), 200),
        ask(question("campaign.predial"), 504),
        ask(question("voice-request"), 504),
        ask(tool_calls(&["f", "g"]), 200),
        ask(job(), 200),
    );
    assert_eq!(with_fallback, br#"{"assistantId":"a"}"#);
    for problem in [without, streamed] {
        assert!(String::from_utf8(problem).unwrap().contains("no answer in time"));
    }
    for (results, count) in [(tools, 2), (job, 1)] {
        let results: Value = serde_json::from_slice(&results).unwrap();
        let results = results["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), count);
        assert!(results.iter().all(|entry| entry["error"] == "there was no answer in time"));
    }
    assert!(worker.questions().is_empty(), "{:?}", worker.questions());
    // Its sender was told that it failed.
    assert!(nats.messages("late", 0).await.is_empty());
    // And in time all is well.
    let answer = bridge.post("/late", self::job(), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", answer.text());
    assert_eq!(nats.messages("late", 1).await.len(), 1);
}
