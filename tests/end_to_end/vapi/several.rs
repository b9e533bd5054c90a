//! Several tool calls in one webhook: asked together, each with its own outcome, answered together.

use super::checks::Checks;
use crate::http::held::Held;
use crate::http::{open, tool_calls};
use crate::support::{Bridge, Reply, Worker, nats, sample};
use serde_json::json;
use std::time::Duration;

/// The worst case of everyday: one worker slow, one missing, one failing.
#[tokio::test]
async fn each_call_has_its_own_outcome() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"1s\"\n";
    let bridge = Bridge::config(&(open("three") + rule)).nats(nats).start_ready().await;
    let slow = Worker::start(nats, "three.tool.lookup_appointment", |_| {
        Reply::text("too late").after(Duration::from_secs(30))
    })
    .await;
    let failing =
        Worker::start(nats, "three.tool.get_weather", |_| Reply::error("500", "no satellite"))
            .await;
    let sample = sample("tool-calls--parallel3.json");
    let answer = bridge.post("/three", sample.bytes.clone(), &[]).await;
    assert_eq!(answer.status, 200);
    // The tools' own limit is 20 s; this is the rule's.
    assert!(answer.elapsed >= Duration::from_secs(1), "{:?}", answer.elapsed);
    assert!(answer.elapsed < Duration::from_secs(4), "{:?}", answer.elapsed);
    assert_eq!(answer.header("hookbus-outcome"), Some("worker-error"));
    let results = answer.json()["results"].as_array().unwrap().clone();
    let entries: Vec<_> = results
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry["toolCallId"].as_str().unwrap()))
        .collect();
    assert_eq!(
        entries,
        [
            ("lookup_appointment", "call_A1aaaaaaaaaaaaaaaaaaaaaa"),
            ("get_opening_hours", "call_B2bbbbbbbbbbbbbbbbbbbbbb"),
            ("get_weather", "call_C3cccccccccccccccccccccc"),
        ]
    );
    let errors: Vec<_> = results.iter().map(|entry| entry["error"].as_str().unwrap()).collect();
    assert!(errors[0].contains("in time"), "{errors:?}");
    assert!(errors[1].contains("nobody"), "{errors:?}");
    assert_eq!(errors[2], "no satellite");
    assert_eq!((slow.questions().len(), failing.questions().len()), (1, 1));
    // Both were told the same deadline.
    let id = |worker: &Worker| worker.questions()[0].header("Hookbus-Id").unwrap().to_owned();
    assert_eq!(id(&slow), id(&failing));
    for (function, outcome) in [("*", "timeout"), ("*", "no-responders"), ("*", "worker-error")] {
        let metric = format!(
            r#"hookbus_ask_seconds_count{{endpoint="three",type="",function="{function}",outcome="{outcome}""#
        );
        assert_eq!(bridge.metric(&metric).await, 1.0, "{outcome}");
    }
    let mut checks = Checks::default();
    let request = String::from_utf8(sample.bytes.to_vec()).unwrap();
    checks.add("tool-calls", &request, &answer.body);
    checks.run().await;
}

/// All are asked before any is answered, and the order of the answers is not the order of the results.
#[tokio::test]
async fn calls_are_asked_together_and_merged_in_order() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("order")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "order.tool.*").await;
    let names: Vec<_> = (0..20).map(|number| format!("f{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let asking = bridge.post("/order", tool_calls(&names), &[]);
    let answering = async {
        let mut asked = Vec::new();
        for _ in &names {
            asked.push(held.next().await);
        }
        for question in asked.iter().rev() {
            held.answer(question, question.subject.to_string()).await;
        }
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    let expected: Vec<_> = (1..)
        .zip(&names)
        .map(|(number, name)| {
            json!({"name": name, "toolCallId": format!("call_{number}"), "result": format!("order.tool.{name}")})
        })
        .collect();
    assert_eq!(answer.json(), json!({"results": expected}));
}

/// The header tells the worst of them, whatever their order.
#[tokio::test]
async fn the_worst_outcome_is_told() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = concat!(
        "[[endpoint.tool]]\nnames = [\"timeout\"]\ntimeout = \"300ms\"\n",
        "[[endpoint.tool]]\nnames = [\"spare\"]\nfallback = \"Later.\"\n",
    );
    let bridge = Bridge::config(&(open("worst") + rule)).nats(nats).start_ready().await;
    let mut workers = Vec::new();
    for (function, reply) in [
        ("answered", Reply::text("fine")),
        ("timeout", Reply::none()),
        ("worker-error", Reply::error("500", "no")),
        ("bad-reply", Reply::text("")),
    ] {
        let subject = format!("worst.tool.{function}");
        workers.push(Worker::start(nats, &subject, move |_| reply.clone()).await);
    }
    // From good to bad.
    let names = ["answered", "timeout", "no-responders", "worker-error", "bad-reply"];
    for most in 1..=names.len() {
        let mut functions = names[..most].to_vec();
        functions.reverse();
        functions.push("answered");
        let answer = bridge.post("/worst", tool_calls(&functions), &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some(names[most - 1]));
        let kept = answer.json()["results"].as_array().unwrap().clone();
        assert_eq!(kept.last().unwrap()["result"], "fine");
    }
    // A fallback doesn't hide what happened.
    let answer = bridge.post("/worst", tool_calls(&["answered", "spare"]), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"));
    assert_eq!(answer.json()["results"][1]["result"], "Later.");
    let metric = r#"hookbus_webhooks_total{endpoint="worst",type="tool-calls",outcome="fallback""#;
    assert_eq!(bridge.metric(metric).await, 1.0);
}

/// A question that NATS doesn't take fails alone.
#[tokio::test]
async fn one_that_is_too_large_fails_alone() {
    let Some(nats) = crate::support::Nats::start_with("max_payload: 64KB").await else {
        return;
    };
    let bridge = Bridge::config(open("size")).nats(&nats).start_ready().await;
    let _worker = Worker::start(&nats, "size.tool.*", |_| Reply::text("fine")).await;
    let call = |id: &str, size: usize| json!({"id": id, "function": {"name": "f", "arguments": {"x": "y".repeat(size)}}});
    let body = json!({"message": {"type": "tool-calls", "toolCallList": [call("1", 10), call("2", 100_000), call("3", 20)]}});
    let answer = bridge.post("/size", body.to_string(), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("too-large"));
    let results = answer.json()["results"].clone();
    assert_eq!((&results[0]["result"], &results[2]["result"]), (&json!("fine"), &json!("fine")));
    assert!(results[1]["error"].as_str().unwrap().contains("too large"));
    let whole = json!({"message": {"type": "assistant-request", "x": "y".repeat(100_000)}});
    let answer = bridge.post("/size", whole.to_string(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("too-large")));
    // The connection is still good.
    let answer = bridge.post("/size", tool_calls(&["f"]), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
}
