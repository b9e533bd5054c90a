//! What stands in `deploy/`: it loads in the programs that it is for, and names only what exists.

mod chart;
mod compose;
mod dashboard;
mod image;
mod metrics;
mod service;

use crate::support::process::output;
use crate::support::{missing, project, python, tool};
use serde_json::Value;
use std::path::PathBuf;
use tokio::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file.
async fn yaml(text: &str) -> Option<Vec<Value>> {
    const CODE: &str =
        "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let parsed = python::code(CODE, &[], text.as_bytes()).await?;
    assert_eq!(parsed.code, Some(0), "{}\n{text}", parsed.stderr);
    Some(serde_json::from_str(&parsed.stdout).unwrap())
}

/// What a value of JSON holds at a path that has to be there.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text in {value:#}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list in {value:#}"))
}

/// A program that a package of Debian brings: unpacked in `.tools`, else on the `PATH`.
fn packaged(package: &str, program: &str) -> Option<PathBuf> {
    let unpacked = tool(package).join(program);
    if unpacked.exists() {
        return Some(unpacked);
    }
    let found = std::process::Command::new(program).arg("--version").output();
    if found.is_ok() {
        return Some(program.into());
    }
    missing(&format!("{program} (run: make tools)"));
    None
}

/// Runs promtool, which has to find nothing wrong.
async fn promtool(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(packaged("prometheus", "promtool")?);
    command.args(arguments).current_dir(project());
    let checked = output(command, b"").await;
    assert_eq!(checked.code, Some(0), "promtool {arguments:?}: {checked:?}");
    Some(checked.stdout)
}
