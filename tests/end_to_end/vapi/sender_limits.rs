//! The time that a webhook says its sender has: at the tool, the assistant or the phone number.

use crate::http::open;
use crate::support::http::Answer;
use crate::support::{Bridge, Reply, Worker, nats};
use serde_json::{Value, json};
use std::time::Duration;

/// A bridge whose workers answer everything in the shape that is wanted, but `hangs`.
struct Ground {
    bridge: Bridge,
    workers: [Worker; 2],
    name: &'static str,
}

impl Ground {
    async fn start(name: &'static str, rules: &str) -> Option<Ground> {
        let nats = nats::shared().await?;
        let bridge = Bridge::config(&(open(name) + rules)).nats(nats).start_ready().await;
        let tools = Worker::start(nats, &format!("{name}.tool.*"), |asked| {
            if asked.subject.ends_with(".hangs") { Reply::none() } else { Reply::text("done") }
        })
        .await;
        let others = Worker::start(nats, &format!("{name}.ask.>"), |_| {
            let all =
                json!({"error": "no", "documents": [], "timeoutSeconds": 1, "eligible": true});
            Reply::json(&all)
        })
        .await;
        Some(Ground { bridge, workers: [tools, others], name })
    }

    /// How much time the worker of this question had, in milliseconds, and what came of it.
    async fn ask(&self, message: &Value) -> (u64, Answer) {
        let body = json!({ "message": message }).to_string();
        let answer = self.bridge.post(&format!("/{}", self.name), body, &[]).await;
        let mut asked = self.workers.iter().flat_map(|worker| worker.questions());
        let id = answer.header("hookbus-id").unwrap();
        let asked = asked.find(|asked| asked.header("Hookbus-Id") == Some(id)).unwrap();
        (asked.header("Hookbus-Timeout-Ms").unwrap().parse().unwrap(), answer)
    }

    /// Fails unless there were about so many milliseconds.
    async fn assert(&self, message: &Value, expected: u64) {
        let (left, answer) = self.ask(message).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(left <= expected && left + 1_000 > expected, "{message}: {left}, not {expected}");
    }
}

fn server(seconds: f64) -> Value {
    json!({"url": "https://hooks.example.test/vapi", "timeoutSeconds": seconds})
}

/// A tool call with these further members, and with a limit of the tool's where there is one.
fn call(function: &str, more: Value, own: Option<Value>) -> Value {
    let mut message = json!({
        "type": "tool-calls",
        "toolCallList": [{"id": "c", "function": {"name": function}}],
    });
    if let Some(own) = own {
        message["toolWithToolCallList"] = json!([{"server": own, "toolCall": {"id": "c"}}]);
    }
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

#[tokio::test]
async fn the_server_that_gets_a_webhook_says_how_long_it_may_take() {
    let rule = "[[endpoint.tool]]\nnames = [\"brief\"]\ntimeout = \"3s\"\n[[endpoint.tool]]\nnames = [\"long\"]\ntimeout = \"1m\"\n";
    let Some(ground) = Ground::start("server-limits", rule).await else { return };
    let assistant = json!({"assistant": {"server": server(7.0)}});
    let in_call = json!({"call": {"id": "x", "assistant": {"server": server(8.0)}}});
    let number = json!({"phoneNumber": {"server": server(9.0)}});
    let number_in_call = json!({"call": {"phoneNumber": {"server": server(10.0)}}});
    let all = json!({
        "phoneNumber": number["phoneNumber"],
        "call": {"assistant": in_call["call"]["assistant"]},
        "assistant": assistant["assistant"],
    });
    let none = json!({});
    for (function, more, own, expected) in [
        ("f", &none, None, 18_000),
        ("f", &assistant, None, 5_000),
        ("f", &in_call, None, 6_000),
        ("f", &number, None, 7_000),
        ("f", &number_in_call, None, 8_000),
        ("f", &all, None, 5_000),
        // The tool's own comes first, be it shorter or longer.
        ("f", &all, Some(server(6.0)), 4_000),
        ("f", &all, Some(server(12.0)), 10_000),
        // What says nothing leaves it to the next one.
        ("f", &all, Some(json!({})), 5_000),
        // The longest wins nowhere: the rule's own time is still there.
        ("f", &json!({"assistant": {"server": server(300.0)}}), None, 18_000),
        ("brief", &assistant, None, 3_000),
        ("long", &none, None, 60_000),
        ("long", &json!({"assistant": {"server": server(45.0)}}), None, 43_000),
        ("long", &json!({"assistant": {"server": server(45.0)}}), Some(server(100.0)), 60_000),
    ] {
        ground.assert(&call(function, more.clone(), own), expected).await;
    }
    let short = json!({"assistant": {"server": server(3.0)}});
    let (_, answer) = ground.ask(&call("hangs", short, None)).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("timeout"));
    assert!(answer.elapsed >= Duration::from_millis(950), "{:?}", answer.elapsed);
    assert!(answer.elapsed < Duration::from_millis(2_900), "{:?}", answer.elapsed);
}

#[tokio::test]
async fn other_questions_have_it_where_the_platform_honours_it() {
    let Some(ground) = Ground::start("other-limits", "").await else { return };
    let question = |kind: &str, more: &Value| {
        let mut message = more.clone();
        message["type"] = json!(kind);
        message["functionCall"] = json!({"name": "f"});
        message
    };
    let plain =
        json!({"assistant": {"server": server(4.0)}, "phoneNumber": {"server": server(3.0)}});
    let number = json!({"phoneNumber": {"server": server(3.0)}});
    let own = json!({
        "assistant": {
            "server": server(4.0),
            "voice": {"server": server(5.0)},
            "startSpeakingPlan": {"smartEndpointingPlan": {"server": server(3.5)}},
        },
    });
    for (kind, more, expected) in [
        ("function-call", &plain, 2_000),
        ("function-call", &number, 1_000),
        ("transfer-destination-request", &plain, 2_000),
        ("transfer-destination-request", &number, 1_000),
        ("handoff-destination-request", &plain, 2_000),
        ("call.endpointing.request", &plain, 2_000),
        ("call.endpointing.request", &own, 1_500),
        ("call.endpointing.request", &number, 3_000),
        ("voice-request", &own, 3_000),
        ("voice-request", &plain, 18_000),
        // 7.5 s and 10 s, whatever a server says.
        ("assistant-request", &plain, 6_000),
        ("knowledge-base-request", &plain, 8_000),
        ("campaign.predial", &plain, 18_000),
    ] {
        ground.assert(&question(kind, more), expected).await;
    }
}
