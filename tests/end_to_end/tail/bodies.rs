//! Bodies are shown where the configuration allows it and the reader asks, and not otherwise.

use super::follower::Follower;
use super::{bridge_of, dropping};
use crate::http::event;
use crate::support::bridge;
use crate::support::{Bridge, http::Client};

const ALLOWED: &str = "[tail]\nbodies = true";

async fn reload(bridge: &Bridge) -> String {
    let answer = Client::new().post(&bridge.admin_url("/reload"), "", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

#[tokio::test]
async fn they_are_shown_only_where_that_is_allowed_and_asked_for() {
    let mut bridge = bridge_of(&dropping("")).start().await;
    let mut follower = Follower::begin(&bridge, &["--bodies"], None);
    assert_eq!(follower.ends().await.code(), Some(1));
    follower.said("bodies are not shown here").await;
    follower.said("hint: `bodies = true` in [tail]").await;
    assert_eq!(bridge.admin("/tail?bodies=true").await.status, 403);

    bridge.configure(&dropping(ALLOWED));
    assert!(reload(&bridge).await.contains("[tail] changed"));
    let asks = Follower::start(&bridge, &["--json", "--bodies"]).await;
    let other = Follower::start(&bridge, &["--json"]).await;
    let person = Follower::start(&bridge, &["--bodies"]).await;
    bridge.post("/hook", event("one"), &[]).await;
    let large = event(&"\u{e9}".repeat(100_000));
    bridge.post("/hook", large.clone(), &[]).await;
    let lines = asks.json(2).await;
    assert_eq!(lines[0]["body"], *event("one"));
    let cut = lines[1]["body"].as_str().unwrap();
    assert!(large.starts_with(cut) && cut.len().abs_diff(64 << 10) < 4, "{}", cut.len());
    assert_eq!(lines[1]["bytes"], large.len());
    assert!(other.json(2).await.iter().all(|line| line["body"].is_null()));
    let person = person.lines(4).await;
    assert_eq!(person[1], format!("    {}", event("one")));
    assert!(person[3].ends_with(&format!(" ... ({} bytes)", large.len())));

    // Taken back, it holds for those who follow already.
    bridge.configure(&dropping(""));
    reload(&bridge).await;
    bridge.post("/hook", event("two"), &[]).await;
    let lines = asks.json(3).await;
    assert_eq!((&lines[2]["key"], &lines[2]["body"]), (&"two".into(), &serde_json::Value::Null));
    assert!(!bridge.log().contains("\"status\":\"ended\""));
}

/// What the names of say that it is secret is left out, by the names that are configured, at once after a reload.
#[tokio::test]
async fn secrets_are_left_out() {
    let mut bridge = bridge_of(&dropping(ALLOWED)).start().await;
    let asks = Follower::start(&bridge, &["--json", "--bodies"]).await;
    let body = r#"{"message":{"type":"hang","call":{"id":"c"},"server":{"secret":"opensesame"},"color":"red"}}"#;
    bridge.post("/hook", body, &[]).await;
    let shown = asks.json(1).await[0]["body"].as_str().unwrap().to_owned();
    assert_eq!(shown, body.replace("opensesame", "[redacted]"));
    bridge.configure(&dropping(&format!("{ALLOWED}\nredact = [\"colo*\"]")));
    reload(&bridge).await;
    bridge.post("/hook", body, &[]).await;
    let shown = asks.json(2).await[1]["body"].as_str().unwrap().to_owned();
    assert_eq!(shown, body.replace("\"red\"", "\"[redacted]\""));
}

#[tokio::test]
async fn check_warns_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, dropping(ALLOWED)).unwrap();
    let output = bridge::run(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let text = "hookbus.toml:2:10: warning: `hookbus tail --bodies` shows what webhooks hold";
    assert!(output.stderr.contains(text), "{}", output.stderr);
}
