//! What a line says, and which ones are shown.

use super::follower::Follower;
use super::{bridge_of, dropping};
use crate::http::{event, open, question, tool_calls};
use crate::support::http::raw_within;
use crate::support::{Bridge, Endpoint, Nats, Reply, Worker, endpoint, eventually, sample};
use serde_json::{Value, json};
use std::time::Duration;

/// With everything that can become of a webhook.
fn config() -> Endpoint {
    endpoint("hook").secrets(&["opensesame-71"]).tables(
        "[[endpoint.event]]\ntypes = [\"hang\"]\nto = []\n\
         [[endpoint.tool]]\nnames = [\"broken\"]\nfallback = \"later\"\n\
         copy_to = [\"nats:hook.events.copies\"]",
    )
}

fn fields(line: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), line[*name].clone())).collect()
}

#[tokio::test]
async fn each_webhook_is_a_line_with_its_fate() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("HOOK", &["hook.events.>", "hook.jobs.>"]).await;
    let _worker = Worker::start(&nats, "hook.tool.weather", |_| {
        Reply::text("sunny").header("Hookbus-Worker", " weather-1 ")
    })
    .await;
    let bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    let all = Follower::start(&bridge, &["--json"]).await;
    let errors = Follower::start(&bridge, &["--json", "--errors"]).await;
    let some = Follower::start(&bridge, &["--json", "--type", "tool-*", "--key", "call-1"]).await;
    let fell = Follower::start(&bridge, &["--outcome", "no-responders"]).await;

    let right = [("x-vapi-secret", "opensesame-71")];
    let wrong = [("x-vapi-secret", "opensesame-72")];
    let id = bridge.post("/hook", event(r"c\u001b[31m\n7"), &right).await;
    let id = id.header("hookbus-id").unwrap().to_owned();
    bridge.post("/hook", question("hang"), &right).await;
    bridge.post("/hook", tool_calls(&["weather"]), &right).await;
    bridge.post("/hook", tool_calls(&["weather", "broken"]), &right).await;
    bridge.post("/hook", question("assistant-request"), &right).await;
    bridge.post("/hook", event("c"), &wrong).await;
    bridge.post("/hook", "{}", &right).await;
    bridge.post("/hook?token=opensesame-73", event("c"), &right).await;

    let lines = all.json(8).await;
    let names = ["type", "key", "kind", "outcome", "reason", "status", "destinations"];
    let expected = [
        json!({"type": "status-update", "key": "c\u{fffd}[31m\u{fffd}7", "kind": "event", "outcome": "stored",
            "reason": null, "status": 200, "destinations": ["nats:{endpoint}.events.{type}"]}),
        json!({"type": "hang", "key": "call-1", "kind": "event", "outcome": "dropped",
            "reason": null, "status": 200, "destinations": null}),
        json!({"type": "tool-calls", "key": "call-1", "kind": "question", "outcome": "answered",
            "reason": null, "status": 200, "destinations": null}),
        json!({"type": "tool-calls", "key": "call-1", "kind": "question", "outcome": "fallback",
            "reason": "no-responders", "status": 200, "destinations": ["nats:hook.events.copies"]}),
        json!({"type": "assistant-request", "key": "call-1", "kind": "question", "outcome": "no-responders",
            "reason": null, "status": 503, "destinations": null}),
        json!({"type": null, "key": null, "kind": null, "outcome": "refused",
            "reason": "unauthorized", "status": 401, "destinations": null}),
        json!({"type": null, "key": null, "kind": null, "outcome": "refused",
            "reason": "malformed", "status": 400, "destinations": null}),
    ];
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(fields(line, &names), *expected, "{line}");
        assert_eq!(line["line"], "webhook");
        assert_eq!(line["endpoint"], "hook");
    }
    let asked = |line: &Value| -> Vec<Value> {
        let all = line["questions"].as_array().into_iter().flatten();
        all.map(|question| {
            let took = question["milliseconds"].as_f64().unwrap();
            assert!(took > 0.0 && took <= line["milliseconds"].as_f64().unwrap(), "{line}");
            fields(question, &["function", "outcome", "worker", "reused"])
        })
        .collect()
    };
    let weather = json!({"function": "weather", "outcome": "answered", "worker": "weather-1", "reused": null});
    let broken =
        json!({"function": "broken", "outcome": "no-responders", "worker": null, "reused": null});
    let whole =
        json!({"function": null, "outcome": "no-responders", "worker": null, "reused": null});
    // It has the id of the one before.
    let again =
        json!({"function": "weather", "outcome": "answered", "worker": null, "reused": true});
    let expected =
        [vec![], vec![], vec![weather], vec![again, broken], vec![whole], vec![], vec![]];
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(asked(line), expected, "{line}");
    }
    assert_eq!(lines[0]["id"], *id);
    assert_eq!(lines[0]["bytes"], event(r"c\u001b[31m\n7").len());
    let took = lines[0]["milliseconds"].as_f64().unwrap();
    assert!(took > 0.0 && took < 20_000.0, "{took}");
    assert!(humantime::parse_rfc3339(lines[0]["time"].as_str().unwrap()).is_ok());

    let outcomes: Vec<_> =
        errors.json(4).await.iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["fallback", "no-responders", "refused", "refused"]);
    let types: Vec<_> = some.json(2).await.iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["tool-calls", "tool-calls"]);
    let fell = fell.lines(2).await;
    assert!(fell[0].contains("hook  tool-calls     call-1    fallback:no-responders"), "{fell:?}");
    let shown = fell[0].split_once(" ms  ").unwrap().1;
    assert!(shown.starts_with("weather()[answered, "), "{fell:?}");
    assert!(shown.contains("ms, reused] broken()[no-responders, "), "{fell:?}");
    assert!(shown.ends_with("ms] nats:hook.events.copies"), "{fell:?}");

    let everything = format!("{lines:?}{fell:?}{}", all.log());
    assert!(!everything.contains("opensesame"), "{everything}");
    assert!(!everything.contains("toolCallList") && !everything.contains("ended"), "{everything}");
}

/// A trace that the webhook is part of, and what each destination did with it: one stores it, for another it waits on disk.
#[tokio::test]
async fn each_destination_has_its_own_time() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("HOOK", &["hook.events.>", "hook.jobs.>"]).await;
    let config = endpoint("hook").events_to(&["nats:hook.events.{type}", "nats:elsewhere.{type}"]);
    let bridge = Bridge::config(config).nats(&nats).start_ready().await;
    let follower = Follower::start(&bridge, &["--json"]).await;
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    assert_eq!(bridge.post("/hook", event("c"), &parent).await.status, 202);
    let job = sample("tool-calls--async.json");
    assert_eq!(bridge.post("/hook", job.bytes, &[]).await.status, 200);
    let lines = follower.json(2).await;

    assert_eq!(lines[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(lines[1]["trace_id"], Value::Null);
    let outcomes = |line: &Value| -> Vec<(String, String)> {
        let took = line["milliseconds"].as_f64().unwrap();
        let times = [&line["authenticated_milliseconds"], &line["received_milliseconds"]];
        let [known, read] = times.map(|time| time.as_f64().unwrap());
        assert!(0.0 < known && known <= read, "{line}");
        let receipts = line["receipts"].as_array().unwrap().iter();
        let mut all: Vec<_> = receipts
            .map(|receipt| {
                let at = receipt["milliseconds"].as_f64().unwrap();
                assert!(read <= at && at <= took, "{line}");
                let text = |name: &str| receipt[name].as_str().unwrap().to_owned();
                (text("destination"), text("outcome"))
            })
            .collect();
        all.sort();
        all
    };
    let pair = |to: &str, outcome: &str| (to.to_owned(), outcome.to_owned());
    let stored =
        [pair("nats:elsewhere.{type}", "spooled"), pair("nats:hook.events.{type}", "stored")];
    assert_eq!(outcomes(&lines[0]), stored);
    assert_eq!(outcomes(&lines[1]), [pair("nats:{endpoint}.jobs.{function}", "stored")]);
}

#[tokio::test]
async fn a_sender_that_hangs_up_is_shown() {
    let Some(nats) = Nats::start().await else { return };
    let worker = Worker::start(&nats, "hook.tool.slow", |_| Reply::none()).await;
    let bridge = Bridge::config(open("hook")).nats(&nats).start_ready().await;
    let follower = Follower::start(&bridge, &["--json"]).await;
    let body = tool_calls(&["slow"]);
    let request = format!(
        "POST /hook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    raw_within(&bridge.address(), request.as_bytes(), Duration::from_millis(300)).await;
    let asked = async || (!worker.questions().is_empty()).then_some(());
    eventually("the question", Duration::from_secs(10), asked).await;
    let lines = follower.json(1).await;
    assert_eq!(lines[0]["outcome"], "hung-up");
    assert_eq!(lines[0]["status"], Value::Null);
    assert_eq!(lines[0]["questions"], json!([{"function": "slow"}]));
}

#[tokio::test]
async fn it_connects_again_and_ends_by_ctrl_c() {
    let mut bridge = bridge_of(&dropping("")).start().await;
    let mut follower = Follower::start(&bridge, &["--json"]).await;
    bridge.post("/hook", event("before"), &[]).await;
    follower.lines(1).await;
    bridge.restart().await;
    follower.said("went away").await;
    follower.said("again").await;
    bridge.post("/hook", event("after"), &[]).await;
    let keys: Vec<_> = follower.json(2).await.iter().map(|line| line["key"].clone()).collect();
    assert_eq!(keys, ["before", "after"]);

    // Who watches doesn't hold up the end of a bridge.
    bridge.signal("TERM");
    assert!(bridge.wait().await.success());
    assert!(follower.interrupt().await.success(), "{}", follower.log());
}

#[tokio::test]
async fn a_bridge_that_is_not_there_is_an_error() {
    let mut bridge = bridge_of(&dropping("")).start().await;
    bridge.kill();
    let mut follower = Follower::begin(&bridge, &[], None);
    assert_eq!(follower.ends().await.code(), Some(1));
    follower.said("error: no answer from 127.0.0.1:").await;
    follower.said("hint: is a bridge running there?").await;
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let bridge =
        bridge_of(&dropping("[admin]\nlisten = \"{admin}\"\ntoken = \"t-1\"")).start().await;
    for wrong in [None, Some("t-2")] {
        let mut follower = Follower::begin(&bridge, &[], wrong);
        assert_eq!(follower.ends().await.code(), Some(1));
        follower.said("asks for the token").await;
    }
    let mut follower = Follower::begin(&bridge, &["--json"], Some("t-1"));
    follower.said("following").await;
    bridge.post("/hook", event("c"), &[]).await;
    follower.lines(1).await;
    assert!(!bridge.log().contains("t-1"));
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let bridge = bridge_of(&dropping("")).start().await;
    for query in ["types=a", "errors=maybe", "bodies="] {
        let answer = bridge.admin(&format!("/tail?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(bridge.post("/tail", "", &[]).await.status, 404, "it isn't public");
}

/// Names from outside.
#[tokio::test]
async fn strange_functions_and_workers_are_cut_and_cleaned() {
    let Some(nats) = Nats::start().await else { return };
    let _worker = Worker::start(&nats, "hook.tool.>", |_| {
        Reply::text("x").header("Hookbus-Worker", &format!("w\u{85}{}", "\u{e9}".repeat(500)))
    })
    .await;
    let bridge = Bridge::config(open("hook")).nats(&nats).start_ready().await;
    let follower = Follower::start(&bridge, &["--json"]).await;
    let long = format!("f{}", "y".repeat(5_000));
    bridge.post("/hook", tool_calls(&["a\u{1b}[2Jb", &long]), &[]).await;
    let line = &follower.json(1).await[0];
    let names = [0, 1].map(|at| line["questions"][at]["function"].as_str().unwrap().to_owned());
    assert_eq!(names[0], "a\u{fffd}[2Jb");
    assert_eq!(names[1].len(), 1_024);
    for at in 0..2 {
        let worker = line["questions"][at]["worker"].as_str().unwrap();
        assert!(worker.starts_with("w\u{fffd}\u{e9}") && worker.len() <= 130, "{worker}");
    }
}
