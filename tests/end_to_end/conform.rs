//! `conform`: what it says about good workers, and about bad ones.

use crate::answer::Answer;
use crate::support::bridge::run;
use crate::support::process::Output;
use crate::support::{Nats, ports};
use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt;
use hookbus::nats::header::insert;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

const RIGHT: &str = r#"{"city": "Oslo"}"#;

async fn conform(nats: &Nats, arguments: &[&str]) -> Output {
    let url = nats.url();
    let mut all = vec!["conform", "f", "--server", &url, "--arguments", RIGHT];
    all.extend(arguments);
    run(&all).await
}

/// The line of one check.
fn line<'a>(output: &'a Output, check: &str) -> &'a str {
    let found = output.stdout.lines().find(|line| line.contains(check));
    found.unwrap_or_else(|| panic!("no {check} in {output:?}"))
}

/// The status of one check, and what was seen.
fn assert_line(output: &Output, status: &str, check: &str, seen: &str) {
    let line = line(output, check);
    assert!(line.starts_with(status) && line.contains(seen), "{check} in:\n{}", output.stdout);
}

/// A subscriber as somebody might write one, until it is dropped.
struct Plain(JoinHandle<()>);

impl Drop for Plain {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What it does about a question.
enum Does {
    Says(&'static [u8]),
    Fails(&'static str, &'static str),
    Nothing,
}

/// One question after the other, each after a pause.
async fn plain(
    nats: &Nats,
    group: Option<&str>,
    pause: Duration,
    answer: impl Fn(&Value, &Message) -> Does + Send + 'static,
) -> Plain {
    let client = nats.client().await;
    let subject = "vapi.tool.f";
    let mut questions = match group {
        Some(group) => client.queue_subscribe(subject, group.to_owned()).await.unwrap(),
        None => client.subscribe(subject).await.unwrap(),
    };
    // The server has read the subscription when it answers this.
    let nobody = client.request("nobody.is.there", "".into()).await;
    assert!(nobody.is_err());
    Plain(tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            tokio::time::sleep(pause).await;
            let call: Value = serde_json::from_slice(&question.payload).unwrap();
            let does = answer(&call["arguments"], &question);
            reply(&client, question, does).await;
        }
    }))
}

async fn reply(client: &Client, question: Message, does: Does) {
    let to = question.reply.unwrap();
    match does {
        Does::Nothing => {}
        Does::Says(bytes) => client.publish(to, bytes.into()).await.unwrap(),
        Does::Fails(code, text) => {
            let mut headers = HeaderMap::new();
            insert(&mut headers, "Nats-Service-Error-Code", code.parse().unwrap());
            insert(&mut headers, "Nats-Service-Error", text.parse().unwrap());
            client.publish_with_headers(to, headers, "".into()).await.unwrap();
        }
    }
}

const GOOD: &str = r#"input=$(cat); case $input in *'"city":'*) echo "Sunny in
Oslo";; *) echo 'a city is needed' >&2; exit 1;; esac"#;

#[tokio::test]
async fn a_good_worker_passes_everything() {
    let Some(nats) = Nats::start().await else { return };
    let options = ["f", "--name", "weather", "--", "sh", "-c", GOOD];
    let _first = Answer::ready(&nats, &options).await;
    let _second = Answer::ready(&nats, &options).await;
    let output = conform(&nats, &[]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("f on vapi.tool.f\n"), "{}", output.stdout);
    for (check, seen) in [
        ("an answer in time", " ms"),
        ("one answer to one question", "1"),
        ("an answer that can be read", "result: Sunny in Oslo"),
        ("a service that can be found", "weather 0.1.0, 2 instances, queue group q"),
        ("trace context", "answered in"),
        ("unicode", "result: Sunny in Oslo"),
        ("500 KB", "answered in"),
        ("wrong arguments {}", "error: a city is needed"),
        (r#"wrong arguments ["a","list"]"#, "error: a city is needed"),
        ("errors in their headers", "500: a city is needed"),
        ("an expired question", "no answer in 2 s"),
        ("100 calls at the same time", "100 answered in"),
    ] {
        assert_line(&output, "ok ", check, seen);
    }
    assert!(output.stdout.ends_with("\n12 ok\n"), "{}", output.stdout);
}

#[tokio::test]
async fn programs_can_read_the_report() {
    let Some(nats) = Nats::start().await else { return };
    let _answer = Answer::ready(&nats, &["f", "--", "cat"]).await;
    let output = conform(&nats, &["--json", "--parallel", "3", "--wrong", "7"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&report["function"], &report["passed"]), (&json!("f"), &json!(true)));
    let checks = report["checks"].as_array().unwrap();
    let status = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name);
        check.unwrap_or_else(|| panic!("{name} in {report}"))["status"].clone()
    };
    assert_eq!(status("3 calls at the same time"), "ok");
    assert_eq!(status("wrong arguments 7"), "ok");
    // `cat` knows no wrong arguments, so that there is no error to look at.
    assert_eq!(status("errors in their headers"), "skipped");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_subject() {
    let Some(nats) = Nats::start().await else { return };
    let output = conform(&nats, &["--endpoint", "voice"]).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_line(&output, "FAILED", "an answer in time", "no worker listens on voice.tool.f");
    assert!(output.stdout.contains("hint: is the worker running"), "{}", output.stdout);
    assert!(output.stdout.ends_with("1 failed, 1 skipped\n"), "{}", output.stdout);
}

#[tokio::test]
async fn a_worker_without_a_queue_group_answers_twice() {
    let Some(nats) = Nats::start().await else { return };
    let does = |arguments: &Value, _: &Message| match arguments["city"].as_str() {
        Some(_) => Does::Says(b"sunny"),
        None => Does::Nothing,
    };
    let _first = plain(&nats, None, Duration::ZERO, does).await;
    let _second = plain(&nats, None, Duration::ZERO, does).await;
    let output = conform(&nats, &["--timeout", "1s"]).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_line(&output, "FAILED", "one answer to one question", "2 answers");
    assert_line(&output, "FAILED", "wrong arguments {}", "no reply");
    assert_line(&output, "warning", "a service that can be found", "no NATS micro service");
    // It isn't a service, and may not know of deadlines.
    assert_line(&output, "warning", "an expired question", "it was answered");
    assert_line(&output, "ok ", "100 calls at the same time", "100 answered");
}

#[tokio::test]
async fn broken_replies_are_found() {
    let Some(nats) = Nats::start().await else { return };
    let does = |arguments: &Value, question: &Message| match arguments {
        Value::Object(object) if object.contains_key("unicode") => Does::Says(b"Z\xfcrich"),
        Value::Object(object) if object.is_empty() => Does::Fails("four", "no city"),
        _ if question.payload.len() > 100_000 => Does::Fails("500", "too much for me"),
        _ => Does::Says(b"sunny"),
    };
    // One at a time is too slow for so many.
    let _worker = plain(&nats, Some("q"), Duration::from_millis(30), does).await;
    let output = conform(&nats, &["--timeout", "1s"]).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_line(&output, "ok ", "an answer that can be read", "result: sunny");
    assert_line(&output, "FAILED", "unicode", "a bad reply");
    assert_line(&output, "FAILED", "500 KB of context", "worker-error: error: too much for me");
    assert_line(&output, "ok ", "wrong arguments {}", "error: no city");
    assert_line(&output, "FAILED", "errors in their headers", "\"four\", which is no number");
    assert_line(&output, "FAILED", "100 calls at the same time", "without a reply");
}

#[tokio::test]
async fn an_empty_answer_and_a_silent_worker_are_found() {
    let Some(nats) = Nats::start().await else { return };
    let empty = plain(&nats, Some("q"), Duration::ZERO, |_, _| Does::Says(b"")).await;
    let output = conform(&nats, &["--timeout", "1s"]).await;
    assert_line(&output, "FAILED", "an answer that can be read", "a bad reply of 0 bytes");
    drop(empty);
    let _silent = plain(&nats, Some("q"), Duration::ZERO, |_, _| Does::Nothing).await;
    let output = conform(&nats, &["--timeout", "1s"]).await;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_line(&output, "FAILED", "an answer in time", "didn't reply within 1 s");
}

#[tokio::test]
async fn conform_says_what_is_wrong_with_its_own_use() {
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    for (arguments, code, part) in [
        (&["conform", "f"][..], 2, "--arguments"),
        (&["conform", "f", "--arguments", "{city"], 2, "not JSON"),
        (&["conform", "*", "--arguments", "{}"], 2, "is not the name of a function\nhint: "),
        (&["conform", "f", "--arguments", "{}", "--timeout", "0s"], 2, "hint: "),
        (&["conform", "f", "--arguments", "{}", "--server", &nowhere], 1, "can't connect to NATS"),
    ] {
        let output = run(arguments).await;
        assert_eq!(output.code, Some(code), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(part), "{arguments:?}: {}", output.stderr);
        assert!(output.stdout.is_empty(), "{}", output.stdout);
    }
}
