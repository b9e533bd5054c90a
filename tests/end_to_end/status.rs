//! `hookbus status`: whether anything was lost, asked before, during and after an outage. What is really lost is in
//! `spool::vanished`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bridge::run;
use crate::support::{Bridge, HOOK, Nats, eventually};

/// Takes events of some 100 bytes, and none of 5 KB.
const SMALL: &str = "max_payload: 4096";

/// How soon an event is where it belongs.
const RECOVERY: Duration = Duration::from_secs(30);

fn event(key: &str, size: usize) -> String {
    json!({"message": {"type": "transcript", "call": {"id": key}, "text": "x".repeat(size)}})
        .to_string()
}

async fn post(bridge: &Bridge, keys: std::ops::Range<usize>, size: usize, status: u16) {
    for key in keys {
        let answer = bridge.post("/hook", event(&format!("call-{key}"), size), &[]).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

/// What `hookbus status` says, and its exit code.
async fn status(bridge: &Bridge) -> (Option<i32>, Value, String) {
    let url = bridge.admin_url("");
    let shown = run(&["status", "--admin", &url]).await;
    let json = run(&["status", "--json", "--admin", &url]).await;
    assert_eq!(shown.code, json.code, "{shown:?} {json:?}");
    (shown.code, serde_json::from_str(&json.stdout).unwrap(), shown.stdout)
}

/// Waits until the balance has these values: accepted, found, stored, queued, dead letters, dropped.
async fn balance(bridge: &Bridge, expected: [u64; 6]) -> String {
    let names = ["accepted", "found", "stored", "queued", "dead_letters", "dropped"];
    let mut last = Value::Null;
    eventually("the balance", RECOVERY, async || {
        let (code, status, shown) = status(bridge).await;
        last = status["balance"].clone();
        let values = names.map(|name| last[name].as_u64().unwrap());
        // Nothing is on its way any more, and nothing is missing.
        (values == expected && code == Some(0)).then_some(shown)
    })
    .await
}

fn config(spool: &Path) -> String {
    format!("{HOOK}\n[spool]\ndir = {spool:?}\n")
}

#[tokio::test]
async fn each_event_is_somewhere() {
    let Some(mut nats) = Nats::start_with(SMALL).await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let spool = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::config(config(spool.path())).nats(&nats).start_ready().await;
    balance(&bridge, [0; 6]).await;
    post(&bridge, 0..3, 10, 200).await;
    post(&bridge, 0..1, 5_000, 202).await;
    balance(&bridge, [4, 0, 3, 0, 1, 0]).await;

    nats.kill();
    bridge.readiness("nats: down").await;
    post(&bridge, 0..5, 10, 202).await;
    let shown = balance(&bridge, [9, 0, 3, 5, 1, 0]).await;
    assert!(shown.starts_with(concat!("hookbus ", env!("CARGO_PKG_VERSION"))), "{shown}");
    for line in ["nats: down", "\nnothing is missing\n", "+ dead letters             1  "] {
        assert!(shown.contains(line), "no `{line}` in {shown}");
    }
    // The next process finds what this one leaves.
    bridge.kill();
    bridge.restart().await;
    balance(&bridge, [0, 6, 0, 5, 1, 0]).await;
    nats.restart_with("").await;
    balance(&bridge, [0, 6, 5, 0, 1, 0]).await;

    let url = bridge.admin_url("");
    let replayed = run(&["dlq", "replay", "--all", "--admin", &url]).await;
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    balance(&bridge, [0, 6, 6, 0, 0, 0]).await;
    nats.restart_with(SMALL).await;
    bridge.readiness("nats: connected").await;
    post(&bridge, 0..2, 5_000, 202).await;
    balance(&bridge, [2, 6, 6, 0, 2, 0]).await;
    let dropped = run(&["dlq", "drop", "--all", "--admin", &url]).await;
    assert_eq!(dropped.code, Some(0), "{}", dropped.stderr);
    balance(&bridge, [2, 6, 6, 0, 0, 2]).await;
}

#[tokio::test]
async fn without_a_bridge_it_says_so() {
    let nobody = run(&["status", "--admin", "http://127.0.0.1:9"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("error: no answer from 127.0.0.1:9"), "{}", nobody.stderr);
}
