//! Requests that reach no endpoint are shown too: a sender that was given a wrong URL is found by watching.

use super::follower::Follower;
use super::{bridge_of, dropping};
use crate::http::event;
use serde_json::{Value, json};

#[tokio::test]
async fn what_reaches_no_endpoint_is_shown() {
    let bridge = bridge_of(&dropping("")).start().await;
    let all = Follower::start(&bridge, &["--json"]).await;
    let errors = Follower::start(&bridge, &["--errors", "--outcome", "no-such-path"]).await;
    let long = format!("/{}", "x".repeat(5_000));
    bridge.post("/hook/?token=opensesame", event("c"), &[]).await;
    bridge.client().get(&bridge.url("/hook")).await;
    bridge.post(&long, event("c"), &[]).await;
    bridge.post("/hook", event("c"), &[]).await;

    let lines = all.json(4).await;
    let told = |line: &Value| {
        let member = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        (member("endpoint"), member("outcome"), member("reason"), line["status"].clone())
    };
    let stray = |reason: &str, status: u16| {
        (String::new(), "refused".to_owned(), reason.to_owned(), json!(status))
    };
    assert_eq!(told(&lines[0]), stray("no-such-path", 404));
    assert_eq!(lines[0]["request"], "POST /hook/");
    assert_eq!(told(&lines[1]), stray("method", 405));
    assert_eq!(lines[1]["request"], "GET /hook");
    assert!(lines[2]["request"].as_str().unwrap().len() <= 1_024);
    assert_eq!((&lines[3]["endpoint"], &lines[3]["request"]), (&json!("hook"), &Value::Null));
    let shown = errors.lines(2).await;
    assert!(shown[0].contains("refused:no-such-path"), "{shown:?}");
    assert!(shown[0].ends_with("POST /hook/"), "{shown:?}");
    assert!(!format!("{lines:?}{shown:?}").contains("opensesame"));
}
