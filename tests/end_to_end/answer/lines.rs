//! One program that is spoken to in lines of JSON.

use super::{Answer, PATIENCE, ask, ask_within, error, text};
use crate::support::{Nats, eventually, missing, project, tool};
use async_nats::{Message, RequestErrorKind};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

async fn start(nats: &Nats, options: &[&str]) -> Option<Answer> {
    let python = tool("python/bin/python");
    if !python.exists() {
        missing("the Python environment (run: make tools)");
        return None;
    }
    let script = project().join("tests/end_to_end/answer/worker.py");
    let mut all = vec!["f", "g", "--lines"];
    all.extend(options);
    all.extend(["--", python.to_str().unwrap(), script.to_str().unwrap()]);
    Some(Answer::ready(nats, &all).await)
}

fn value(message: &Message) -> Value {
    serde_json::from_str(text(message)).unwrap()
}

#[tokio::test]
async fn one_program_answers_many_in_any_order() {
    let Some(nats) = Nats::start().await else { return };
    let Some(answer) = start(&nats, &[]).await else { return };
    let client = nats.client().await;
    let arguments = json!({ "city": "Zürich 東京 🦀", "lines": "a\nb" });
    let question = value(&ask(&client, "g", arguments.clone()).await);
    assert_eq!((&question["name"], &question["arguments"]), (&json!("g"), &arguments));
    assert_eq!(
        (&question["hookbus_id"], &question["type"]),
        (&json!("delivery-1"), &json!("tool-calls"))
    );
    assert!(question["timeout_ms"].as_u64().unwrap() <= PATIENCE.as_millis() as u64);
    assert!(question["deadline"].is_u64() && question["traceparent"].is_string(), "{question}");
    // White space between the arguments may hold line breaks.
    let payload = "{\"name\": \"g\",\n\"arguments\": {\n\"a\":\r\n1}}";
    let spread = client.request("vapi.tool.g", payload.into()).await.unwrap();
    assert_eq!(value(&spread)["arguments"], json!({ "a": 1 }));
    // What takes long holds up nobody.
    let slow = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "f", json!({ "how": "slow", "seconds": 2 })).await }
    });
    let replies = join_all((0..100).map(|n| ask(&client, "f", json!({ "n": n })))).await;
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!(value(reply)["arguments"], json!({ "n": n }));
    }
    assert!(!slow.is_finished());
    assert_eq!(value(&slow.await.unwrap())["arguments"]["how"], "slow");
    let failed = ask(&client, "f", json!({ "how": "error" })).await;
    assert_eq!(error(&failed), ("500", "no such city not here"));
    assert_eq!(value(&ask(&client, "f", json!({ "how": "noise" })).await)["name"], "f");
    // The id may come back as a number.
    assert!(value(&ask(&client, "f", json!({ "how": "process" })).await)["process"].is_u64());
    assert_eq!(answer.file("starts").await.lines().count(), 1);
    let folder = answer.folder.path().to_owned();
    let mut answer = answer;
    answer.process.signal("TERM");
    answer.end(0).await;
    // It was told by the end of its input, and had time for that.
    assert_eq!(std::fs::read_to_string(folder.join("ended")).unwrap(), "by itself\n");
}

#[tokio::test]
async fn a_program_that_dies_is_started_again() {
    let Some(nats) = Nats::start().await else { return };
    let Some(mut answer) = start(&nats, &[]).await else { return };
    let client = nats.client().await;
    let first = value(&ask(&client, "f", json!({ "how": "process" })).await);
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, "f", json!({ "how": "hang" })).await }
    });
    answer.file("hanging").await;
    let died = ask(&client, "f", json!({ "how": "die" })).await;
    assert_eq!(error(&died), ("500", "the program ended before it answered"));
    assert_eq!(error(&hanging.await.unwrap()), ("500", "the program ended before it answered"));
    answer.said("the program ended with exit code 7; it is started again in 100 ms").await;
    let second = eventually("the next program", PATIENCE, async || {
        let reply = ask(&client, "f", json!({ "how": "process" })).await;
        if error(&reply) == ("", "") {
            return Some(value(&reply));
        }
        assert_eq!(error(&reply), ("503", "the program is being restarted"));
        None
    })
    .await;
    assert_ne!(first["process"], second["process"]);
    answer.stop().await;
}

#[tokio::test]
async fn a_late_or_large_answer_harms_nobody_else() {
    let Some(nats) = Nats::start_with("max_payload: 1MB").await else { return };
    let Some(mut answer) = start(&nats, &[]).await else { return };
    let client = nats.client().await;
    let late = ask_within(&client, "f", json!({ "how": "hang" }), Duration::from_millis(300)).await;
    assert_eq!(late.unwrap_err(), RequestErrorKind::TimedOut);
    answer.said("f delivery-1: too slow: its deadline passed").await;
    let fits = ask(&client, "f", json!({ "how": "large", "bytes": 900_000 })).await;
    assert_eq!(fits.payload.len(), 900_002);
    let over = ask(&client, "f", json!({ "how": "large", "bytes": 1_050_000 })).await;
    assert_eq!(error(&over).1, "the answer is larger than the 1048576 bytes that the server takes");
    // One that is larger than anything that could be meant ends the program.
    let huge = ask(&client, "f", json!({ "how": "large", "bytes": 5_000_000 })).await;
    assert_eq!(error(&huge).1, "the program ended before it answered");
    answer
        .said("the program wrote a line that is larger than any answer; it is started again")
        .await;
    eventually("the next program", PATIENCE, async || {
        let reply = ask(&client, "f", json!({})).await;
        (error(&reply) == ("", "")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_does_not_read_blocks_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let options = ["f", "--lines", "--concurrency", "50", "--", "sleep", "60"];
    let mut answer = Answer::ready(&nats, &options).await;
    let client = nats.client().await;
    let filling = json!({ "filling": "x".repeat(200_000) });
    let asked = (0..50).map(|_| ask_within(&client, "f", filling.clone(), Duration::from_secs(3)));
    let replies = join_all(asked).await;
    assert!(replies.into_iter().all(|reply| matches!(reply, Err(RequestErrorKind::TimedOut))));
    // One line for each; on a slow machine some come too late to be written to it at all.
    eventually("a line for each", PATIENCE, async || {
        let log = answer.log();
        let lines = log.lines().filter(|line| line.starts_with("f delivery-1: "));
        let about = lines.filter(|line| line.contains("deadline"));
        (about.count() == 50).then_some(())
    })
    .await;
    assert!(answer.log().contains("too slow: its deadline passed"), "{}", answer.log());
    // It doesn't end by itself either.
    answer.process.signal("TERM");
    answer.end(0).await;
}
