//! Every worker keeps the same rules, through the built binary: the five functions of each behave alike.

use super::{Example, PATIENCE, Running};
use crate::support::{Bridge, Endpoint, Nats, endpoint, eventually, missing};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

fn config() -> Endpoint {
    endpoint("examples").tables(
        "[[endpoint.tool]]\nnames = [\"wait\"]\ntimeout = \"4s\"\n\
         fallback = \"I could not find out in time.\"\n\
         [[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"15s\"",
    )
}

#[tokio::test]
async fn the_worker_in_python_keeps_the_rules() {
    let example = Example {
        folder: "workers/python",
        command: &[".venv/bin/python", "worker.py"],
        built: ".venv/requirements.txt",
    };
    keeps_the_rules(&example).await;
}

#[tokio::test]
async fn the_worker_in_go_keeps_the_rules() {
    let example = Example { folder: "workers/go", command: &["./worker"], built: "worker" };
    keeps_the_rules(&example).await;
}

#[tokio::test]
async fn the_worker_in_typescript_keeps_the_rules() {
    let example = Example {
        folder: "workers/typescript",
        command: &["node", "dist/worker.js"],
        built: "dist/worker.js",
    };
    keeps_the_rules(&example).await;
}

#[tokio::test]
async fn the_worker_in_java_keeps_the_rules() {
    let example = Example {
        folder: "workers/java",
        command: &["java", "-cp", "target/classes:target/libs/*", "hookbus.Worker"],
        built: "target/classes/hookbus/Worker.class",
    };
    keeps_the_rules(&example).await;
}

#[tokio::test]
async fn the_worker_in_rust_keeps_the_rules() {
    let example = Example {
        folder: "workers/rust",
        command: &["target/debug/worker"],
        built: "target/debug/worker",
    };
    keeps_the_rules(&example).await;
}

/// A process for each call, which `hookbus answer` starts: what it logs, and how many it works at, is not the example's.
#[tokio::test]
async fn the_worker_in_shell_answers_as_the_others_do() {
    let example = Example { folder: "workers/shell", command: &["./run"], built: "worker.sh" };
    if output(&mut std::process::Command::new("jq")).is_none() {
        return missing("jq (install it, such as by `apt-get install jq`)");
    }
    let Some(mut nats) = Nats::start().await else { return };
    let environment = [
        ("NATS_URL", &*nats.url()),
        ("HOOKBUS_ENDPOINT", "examples"),
        ("HOOKBUS", env!("CARGO_BIN_EXE_hookbus")),
    ];
    let Some(mut worker) = example.start(&environment) else { return };
    worker.ready().await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    is_listed(&nats).await;
    answers_what_is_right(&bridge).await;
    says_what_is_wrong(&bridge).await;
    nats.restart().await;
    answers_again(&bridge).await;
    stops_without_losing_a_call(&bridge, &nats, &mut worker).await;
}

fn output(command: &mut std::process::Command) -> Option<std::process::Output> {
    command.arg("--version").output().ok()
}

async fn keeps_the_rules(example: &Example) {
    let Some(mut nats) = Nats::start().await else { return };
    // It waits for a server that isn't there yet.
    nats.kill();
    let environment = [("NATS_URL", &*nats.url()), ("HOOKBUS_ENDPOINT", "examples")];
    let Some(mut worker) = example.start(&environment) else { return };
    nats.restart().await;
    worker.ready().await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;

    is_listed(&nats).await;
    answers_what_is_right(&bridge).await;
    says_what_is_wrong(&bridge).await;
    keeps_deadlines(&bridge, &nats, &worker).await;
    answers_many_at_a_time(&bridge).await;
    goes_on_with_a_trace(&bridge, &worker).await;
    nats.restart().await;
    answers_again(&bridge).await;
    stops_without_losing_a_call(&bridge, &nats, &mut worker).await;
}

async fn answers_again(bridge: &Bridge) {
    eventually("an answer after the server's restart", PATIENCE, async || {
        (result(bridge, "add", json!({"a": 2, "b": 3})).await == "5").then_some(())
    })
    .await;
}

/// NATS micro knows its functions, all in the queue group of workers.
async fn is_listed(nats: &Nats) {
    let info = nats.client().await.request("$SRV.INFO", Bytes::new()).await.unwrap();
    let info: Value = serde_json::from_slice(&info.payload).unwrap();
    let endpoints = info["endpoints"].as_array().unwrap();
    let mut endpoints: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            assert_eq!(endpoint["queue_group"], "q");
            endpoint["subject"].as_str().unwrap().to_owned()
        })
        .collect();
    endpoints.sort();
    let expected = ["add", "echo", "fail", "get_weather", "wait"];
    assert_eq!(endpoints, expected.map(|name| format!("examples.tool.{name}")));
}

async fn answers_what_is_right(bridge: &Bridge) {
    let weather = result(bridge, "get_weather", json!({"city": "Oslo"})).await;
    let weather: Value = serde_json::from_str(&weather).unwrap();
    assert_eq!(weather, json!({"city": "Oslo", "celsius": 21, "sky": "clear"}));

    assert_eq!(result(bridge, "add", json!({"a": 2, "b": 3})).await, "5");
    assert_eq!(result(bridge, "add", json!({"a": 0.5, "b": -0.25})).await, "0.25");

    let text = "Grüße 👋🏽 日本 \\ \"é\" \u{2003}fin";
    assert_eq!(result(bridge, "echo", json!({"text": text})).await, text);
    // Vapi takes a single line.
    assert_eq!(result(bridge, "echo", json!({"text": "one\r\ntwo"})).await, "one two");

    let long = result(bridge, "echo", json!({"text": "k".repeat(900), "repeat": 1000})).await;
    assert!(long.len() == 900_000 && long.bytes().all(|byte| byte == b'k'), "{}", long.len());
    assert_eq!(result(bridge, "wait", json!({"milliseconds": 300})).await, "waited");
}

async fn says_what_is_wrong(bridge: &Bridge) {
    let wrong = [
        ("get_weather", json!({})),
        ("get_weather", json!({"city": ""})),
        ("get_weather", json!({"city": 7})),
        ("get_weather", json!([])),
        ("add", json!({"a": 1})),
        ("add", json!({"a": "1", "b": 2})),
        ("add", json!({"a": true, "b": 2})),
        ("echo", json!({"text": 1})),
        ("echo", json!({"text": "a", "repeat": 0})),
        ("echo", json!({"text": "a", "repeat": 1.5})),
    ];
    for (function, arguments) in wrong {
        let (outcome, entry) = call(bridge, function, arguments.clone()).await;
        let what = format!("{function} {arguments}: {entry}");
        assert_eq!(outcome, "worker-error", "{what}");
        // What is wrong with the arguments, and not that something failed.
        let error = entry["error"].as_str().unwrap_or_else(|| panic!("{what}"));
        assert!(error.contains("must be") && !error.contains("failed"), "{what}");
    }
    let (outcome, entry) = call(bridge, "fail", json!({})).await;
    assert_eq!(outcome, "worker-error");
    assert_eq!(entry["error"], "the function failed on purpose");
    assert_eq!(call(bridge, "unheard_of", json!({})).await.0, "no-responders");
}

async fn keeps_deadlines(bridge: &Bridge, nats: &Nats, worker: &Running) {
    let (outcome, entry) = call(bridge, "wait", json!({"milliseconds": 20_000})).await;
    assert_eq!(
        (outcome.as_str(), &entry["result"]),
        ("timeout", &json!("I could not find out in time."))
    );
    logged(worker, "given up at the deadline").await;

    // A question that waited in front of it for too long.
    let client = nats.client().await;
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(1);
    let headers = HeaderMap::from_iter([
        ("Hookbus-Deadline".parse().unwrap(), HeaderValue::from(deadline.as_millis() as u64)),
        ("Hookbus-Timeout-Ms".parse().unwrap(), HeaderValue::from(5000_u64)),
    ]);
    let question = r#"{"name": "add", "arguments": {"a": 1, "b": 1}}"#;
    let subject = "examples.tool.add";
    client.publish_with_reply_and_headers(subject, inbox, headers, question.into()).await.unwrap();
    logged(worker, "expired").await;
    // What it had sent before this answer would be here.
    let answer = client.request(subject, question.into()).await.unwrap();
    assert_eq!(answer.payload, "2");
    assert!(replies.next().now_or_never().is_none(), "it answered too late");
}

async fn logged(worker: &Running, outcome: &str) -> Value {
    eventually(&format!("a line with the outcome `{outcome}`"), PATIENCE, async || {
        let lines = worker.logged();
        let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["outcome"] == outcome)
    })
    .await
}

async fn answers_many_at_a_time(bridge: &Bridge) {
    // More slow calls than it works at: they hold up no other function.
    let began = Instant::now();
    let slow = join_all((0..40).map(|_| result(bridge, "wait", json!({"milliseconds": 1000}))));
    let quick = async {
        let calls =
            (0..100).map(|number| result(bridge, "echo", json!({"text": number.to_string()})));
        (join_all(calls).await, began.elapsed())
    };
    let (slow, (quick, elapsed)) = tokio::join!(slow, quick);
    assert!(slow.iter().all(|result| result == "waited"), "{slow:?}");
    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(quick, expected);
    let slow = began.elapsed();
    assert!(elapsed < slow && slow >= Duration::from_millis(3000), "{elapsed:?}, {slow:?}");
}

async fn goes_on_with_a_trace(bridge: &Bridge, worker: &Running) {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = webhook(&[("add", json!({"a": 1, "b": 1}))]);
    let answer = bridge.post("/examples", body, &[("traceparent", parent)]).await;
    let id = answer.header("hookbus-id").unwrap();
    let line = eventually("the line of a call", PATIENCE, async || {
        let lines = worker.logged();
        let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["id"] == id)
    })
    .await;
    assert_eq!(line["trace"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
    let span = line["span"].as_str().unwrap();
    assert!(span.len() == 16 && span != "00f067aa0ba902b7", "{line}");
    assert_eq!((&line["function"], &line["outcome"]), (&json!("add"), &json!("answered")));
}

async fn stops_without_losing_a_call(bridge: &Bridge, nats: &Nats, worker: &mut Running) {
    // Outside the queue group it sees each question when the worker is given it.
    let client = nats.client().await;
    let mut questions = client.subscribe("examples.tool.wait").await.unwrap();
    client.flush().await.unwrap();
    let add = r#"{"name": "add", "arguments": {"a": 1, "b": 1}}"#;
    client.request("examples.tool.add", add.into()).await.unwrap();

    let calls: Vec<_> = (0..20).map(|_| ("wait", json!({"milliseconds": 800}))).collect();
    let body = webhook(&calls);
    let answered = bridge.post("/examples", body, &[]);
    let stopped = async {
        questions.by_ref().take(20).count().await;
        // Sent to it after them: it has them all by now.
        client.request("examples.tool.add", add.into()).await.unwrap();
        worker.terminate();
        worker.ended().await
    };
    let (answer, status) = tokio::join!(answered, stopped);
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 20);
    assert!(results.iter().all(|entry| entry["result"] == "waited"), "{answer}");
    assert_eq!(status.code(), Some(0));
    assert_eq!(call(bridge, "add", json!({"a": 1, "b": 1})).await.0, "no-responders");
}

/// The result of a call that succeeds.
async fn result(bridge: &Bridge, function: &str, arguments: Value) -> String {
    let (_, mut entry) = call(bridge, function, arguments).await;
    match entry["result"].take() {
        Value::String(result) => result,
        _ => entry.to_string(),
    }
}

/// The outcome of a call and its entry in the answer.
async fn call(bridge: &Bridge, function: &str, arguments: Value) -> (String, Value) {
    let answer = bridge.post("/examples", webhook(&[(function, arguments)]), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let outcome = answer.header("hookbus-outcome").unwrap().to_owned();
    (outcome, answer.json()["results"][0].take())
}

/// Tool calls with ids that were never used: each is asked.
fn webhook(calls: &[(&str, Value)]) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let calls = calls.iter().map(|(name, arguments)| {
        let id = format!("call_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let calls: Vec<_> = calls.collect();
    json!({"message": {"type": "tool-calls", "call": {"id": "conformance"}, "toolCallList": calls}})
        .to_string()
}
