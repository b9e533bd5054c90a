//! What a user sees of a whole file.

#![expect(clippy::unwrap_used, reason = "tests")]

mod auth;
mod brokers;
mod endpoint;
mod file;
mod provider;
mod telemetry;

use std::path::Path;

use super::{parse, read};
use crate::config::{Context, Severity};

const AUTH: &str = "[[endpoint.auth]]\nkind = \"none\"\n";

fn env(name: &str) -> Option<String> {
    match name {
        "VAPI_SECRET" | "NATS_PASSWORD" | "KAFKA_PASSWORD" => Some("correct horse".to_owned()),
        "FALLBACK_ASSISTANT" => Some("a-1".to_owned()),
        "LEAK" => Some("leaked {typ}".to_owned()),
        "NUMBER" => Some("17".to_owned()),
        "YES" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A file with one endpoint and these lines before and in it.
fn file(tables: &str, endpoint: &str) -> String {
    format!(
        "{tables}\n[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n{AUTH}{endpoint}"
    )
}

fn problems(text: &str) -> Vec<String> {
    let loaded = parse("f", text, env);
    let has_errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_errors);
    loaded.problems.iter().map(|problem| problem.to_string().replace("f:", "")).collect()
}

#[track_caller]
fn assert_problem(text: &str, part: &str) {
    let found = problems(text);
    assert!(matches!(&found[..], [only] if only.contains(part)), "not only {part:?}: {found:#?}");
}

#[test]
fn six_mistakes_are_said_at_once() {
    let text = r#"[http]
lisen = "0.0.0.0:8080"
max_body = 8

[log]
format = "jsn"

[nats]
ack_timeout = "5 sack"

[[endpoint]]
name = "vapi"
path = "vapi"
source = "vapi"

[[endpoint.event]]
types = ["status-update"]
to = ["nats:{endpoint}.events.{typ}"]
"#;
    let shown: Vec<_> =
        parse("hookbus.toml", text, env).problems.iter().map(ToString::to_string).collect();
    let expected = r#"hookbus.toml:2:1: error: unknown key `lisen` in `[http]`
  hint: did you mean `listen`?
hookbus.toml:3:12: error: `max_body` must be a size, not a number
  hint: write a number with a unit, such as "64KiB", "8MiB" or "10GiB"
hookbus.toml:6:10: error: `format` can't be "jsn"
  hint: did you mean "json"?
hookbus.toml:9:15: error: `ack_timeout`: `5 sack` is not a time
  hint: write a number with a unit, such as "250ms", "5s", "2m" or "7d"
hookbus.toml:11:1: error: the endpoint doesn't say who may post to it
  hint: add `[[endpoint.auth]]` with `kind = "secret"`, or with `kind = "none"` to let everybody in
hookbus.toml:13:8: error: the path `vapi` doesn't begin with `/`
  hint: write `path = "/vapi"`
hookbus.toml:18:31: error: unknown variable `{typ}`
  hint: did you mean `{type}`?"#;
    assert_eq!(shown.join("\n"), expected);
}

#[test]
fn the_examples_have_no_problems() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut loaded = parse(&name, &text, env);
        if name == "kafka.toml" {
            loaded.problems.retain(|problem| {
                !problem.message.starts_with("without `[nats]` no worker can be asked")
            });
        }
        assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
        assert!(loaded.config.is_some());
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_examples_of_the_reference_have_no_problems() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let with_old = |name: &str| {
        let is_other =
            ["VAPI_SECRET_OLD", "VAPI_HMAC_SECRET", "GITHUB_SECRET", "SHOP_SECRET", "OTLP_TOKEN"]
                .contains(&name);
        env(name).or_else(|| is_other.then(|| "battery".to_owned()))
    };
    for example in text.split("```toml\n").skip(1) {
        let example = example.split("```").next().unwrap();
        let has_file = example.contains("credentials") || example.contains("cert = ");
        let text = match example {
            whole if whole.contains("[nats]") && whole.contains("[[endpoint]]") => whole.to_owned(),
            endpoint if endpoint.contains("[[endpoint]]") => format!("[nats]\n{endpoint}"),
            auth if auth.contains("[[endpoint.auth]]") => file("[nats]", "").replace(AUTH, auth),
            rules if rules.contains("[[endpoint.") => file("[nats]\n[kafka]", rules),
            tables if tables.contains("[nats]") || tables.contains("[kafka]") => {
                file(&format!("{tables}\n"), "")
            }
            tables if tables.contains("[[nats") => file(&format!("[nats]\n{tables}"), ""),
            tables => file(&format!("[nats]\n[kafka]\n{tables}"), ""),
        };
        let mut loaded = parse("f", &text, with_old);
        loaded.problems.retain(|problem| {
            let is_missing_file = has_file && problem.message.contains("can't be opened");
            !is_missing_file && !problem.message.contains("without `[nats]`")
        });
        assert!(loaded.problems.is_empty(), "{text}\n{:#?}", loaded.problems);
    }
}

#[test]
fn general() {
    for (tables, part) in [
        ("[http]\nlisten = \"0.0.0.0:9180\"\n[nats]", "both listen on port 9180"),
        ("[http]\nmax_in_flight_bytes = \"1MiB\"\n[nats]", "is less than `max_body`"),
        ("[http]\nmax_body = \"0B\"\n[nats]", "`max_body` can't be zero"),
        ("[http]\nmax_in_flight_bytes = \"9EiB\"\n[nats]", "can't be more than"),
        ("[http]\nbody_timeout = \"0s\"\n[nats]", "`body_timeout` can't be zero"),
        (
            "[http]\ndrain = \"5s\"\n[nats]",
            "warning: `drain` (5s) is shorter than a question may take (18s)",
        ),
        ("", "neither `[nats]` nor `[kafka]`"),
        ("[kafka]", "warning: without `[nats]` no worker can be asked"),
    ] {
        assert_problem(&file(tables, ""), part);
    }
    assert_problem(
        &file("", "[[endpoint.event]]\ntypes = [\"*\"]\nto = []"),
        "warning: without `[nats]`",
    );
    assert!(problems(&file("[nats]", "")).is_empty());
    assert!(
        problems(&file(
            "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[nats]",
            ""
        ))
        .is_empty()
    );
}

#[test]
fn room_for_strangers_holds_the_largest_body() {
    let said = |text: &str| {
        let text = file(&format!("[nats]\n[http]\nmax_body = \"8MiB\"\n{text}"), "");
        let problems = parse("f", &text, env).problems;
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(said("max_unverified_bytes = \"8MiB\""), "");
    let less = said("max_unverified_bytes = \"7MiB\"");
    assert!(
        less.contains("error: `max_unverified_bytes` (7MiB) is less than `max_body`"),
        "{less}"
    );
    let never = said("unverified_timeout = \"0s\"");
    assert!(never.contains("`unverified_timeout` can't be zero"), "{never}");
}

#[test]
fn a_load_balancer_needs_time_to_notice_a_stop() {
    let http = |keys: &str| file(&format!("[nats]\n[http]\n{keys}"), "");
    for lacking in [
        "health = '/healthz'",
        "health = '/healthz'\nshutdown_delay = '0s'",
        "trusted_proxies = ['10.0.0.0/8']",
    ] {
        assert_problem(&http(lacking), "but `shutdown_delay` is zero");
    }
    for fine in [
        "",
        "shutdown_delay = '0s'",
        "health = '/healthz'\nshutdown_delay = '5s'",
        "trusted_proxies = ['10.0.0.0/8']\nshutdown_delay = '5s'",
        "trusted_proxies = ['10.0.0.0/8']\nshutdown_delay = '0s'",
    ] {
        assert_eq!(problems(&http(fine)), [""; 0], "{fine}");
    }
}
