//! Who answers: `check --connect` and `GET /workers`, by NATS micro.

mod missed;
mod reachable;
mod shown;
mod strange;

use crate::support::bridge::run;
use crate::support::process::Output;
use crate::support::{Bridge, Endpoint, endpoint, eventually};
use serde_json::Value;
use std::time::Duration;

/// Two functions by name, some by a pattern, and one type.
fn config() -> Endpoint {
    endpoint("hook").events_to(&[]).tables(
        "[[endpoint.tool]]\nnames = [\"weather\", \"book\", \"set_*\"]\n\
         [[endpoint.question]]\ntypes = [\"assistant-request\"]",
    )
}

/// What the admin listener says, once it is so.
async fn shown(bridge: &Bridge, mut is_it: impl FnMut(&Value) -> bool) -> Value {
    eventually("the workers", Duration::from_secs(15), async || {
        let answer = bridge.admin("/workers").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let report = answer.json();
        is_it(&report).then_some(report)
    })
    .await
}

fn function<'a>(report: &'a Value, name: &str) -> &'a Value {
    let functions = report["functions"].as_array().unwrap();
    let is_it = |one: &&Value| one["function"] == name || one["type"] == name;
    functions.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {report}"))
}

async fn check(config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, config).unwrap();
    run(&["check", "--connect", "--config", file.to_str().unwrap()]).await
}
