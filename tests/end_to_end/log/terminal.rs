//! What commands show of other people's text does nothing to a terminal.

use crate::support::bridge::run;
use crate::support::process::Output;
use crate::support::{Bridge, Nats, Reply, Worker, endpoint};
use serde_json::{Value, json};

/// Clears the screen where a terminal takes control characters of 8 bits, rings a bell, turns the writing around.
const ODD: &str = "k\u{9b}2J\u{1b}[31m\u{7}\u{7f}\u{202e}";

/// Line breaks are ours, and tabs harm nobody.
fn assert_harmless(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let is_harmful =
            |c: &char| (c.is_control() || *c == '\u{202e}') && *c != '\n' && *c != '\t';
        assert_eq!(text.chars().find(is_harmful), None, "{text:?}");
    }
}

#[tokio::test]
async fn keys_of_dead_letters() {
    let Some(nats) = Nats::start_with("max_payload: 64KB\n").await else { return };
    nats.create_stream("EVENTS", &["a.events.>"]).await;
    let bridge = Bridge::config(endpoint("a")).nats(&nats).start_ready().await;
    let body = json!({"message": {"type": ODD, "call": {"id": ODD}, "text": "x".repeat(100_000)}});
    assert_eq!(bridge.post("/a", body.to_string(), &[]).await.status, 202);
    let admin = bridge.admin_url("");
    let listed = run(&["dlq", "list", "--admin", &admin]).await;
    assert!(listed.stdout.contains("k\u{fffd}"), "{}", listed.stdout);
    assert_harmless(&listed);
    let listed = run(&["dlq", "list", "--json", "--admin", &admin]).await;
    assert_harmless(&listed);
    let entry: Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    // The bridge keeps no control characters in attributes, but whoever turns the writing around is still there.
    assert!(entry["key"].as_str().unwrap().ends_with('\u{202e}'), "{entry}");
}

#[tokio::test]
async fn what_a_worker_says() {
    let Some(nats) = Nats::start().await else { return };
    let reply = |_: &_| Reply::text(ODD).header("Nats-Service-Error", "k\u{9b}2J\u{202e}");
    let _worker = Worker::start(&nats, "vapi.tool.f", reply).await;
    let url = nats.url();
    let arguments = [
        "conform",
        "f",
        "--server",
        &url,
        "--arguments",
        "{}",
        "--parallel",
        "2",
        "--timeout",
        "2s",
    ];
    let shown = run(&arguments).await;
    assert!(shown.stdout.contains("f on vapi.tool.f"), "{}{}", shown.stdout, shown.stderr);
    assert_harmless(&shown);
    let shown = run(&[&arguments[..], &["--json"]].concat()).await;
    assert_harmless(&shown);
    serde_json::from_str::<Value>(&shown.stdout).unwrap();
}

#[tokio::test]
async fn what_was_written_on_the_command_line() {
    for arguments in [
        &["check", "--config", ODD][..],
        &["serve", "--config", ODD],
        &["send", ODD, "--to", "http://127.0.0.1:1/x"],
        &["answer", ODD, "--", ODD],
    ] {
        assert_harmless(&run(arguments).await);
    }
}
