#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use super::*;
use crate::config::facts::{Asked, Facts};
use crate::config::units::Time;

const ENDPOINT: &str =
    "[nats]\n[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n";

const EVENTS: [&str; 6] = [
    "hang",
    "session.created",
    "session.deleted",
    "session.updated",
    "status-update",
    "transcript",
];

fn names(rules: &str, text: &str) -> Names {
    let mut config: Config = toml::from_str(&format!("{ENDPOINT}{rules}")).unwrap();
    config.endpoints[0].facts = Arc::new(Facts {
        events: EVENTS.map(str::to_owned).to_vec(),
        questions: vec![Asked {
            name: "assistant-request".to_owned(),
            timeout: Time::seconds(6),
            patience: None,
        }],
        calls: ["tool-calls", "function-call"].map(str::to_owned).to_vec(),
        ..Facts::default()
    });
    Names::new(&config, &config.endpoints[0], text)
}

fn known(rules: &str, text: &str) -> Vec<String> {
    names(rules, text).known.into_iter().collect()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = r#"
            [[endpoint.event]]
            types = ["hang", "my.own"]
            to = ["nats:a.{type}", "kafka:t-{type}"]
            [[endpoint.event]]
            types = ["session.*", "hang"]
            to = ["nats:b.{type}"]
            "#;
    assert_eq!(known(rules, "nats:a.{type}"), ["a.hang", "a.my.own"]);
    assert_eq!(known(rules, "kafka:t-{type}"), ["t-hang", "t-my.own"]);
    assert!(!names(rules, "nats:a.{type}").is_open);
    let sessions = ["b.session.created", "b.session.deleted", "b.session.updated"];
    assert_eq!(known(rules, "nats:b.{type}"), sessions);
    assert!(names(rules, "nats:b.{type}").is_open, "other sessions");
    let rest = names(rules, "nats:{endpoint}.events.{type}");
    assert_eq!(rest.known.len(), EVENTS.len() - 4);
    assert!(rest.is_open && rest.known.contains("vapi.events.transcript"));
    assert!(!rest.known.contains("vapi.events.hang"));
    assert!(known(rules, "nats:{endpoint}.jobs.{function}").is_empty());
}

#[test]
fn what_depends_on_more_than_the_type_is_not_known() {
    let rules = "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:a.{type}.{key}\", \"nats:b\"]\n";
    assert!(known(rules, "nats:a.{type}.{key}").is_empty());
    assert!(names(rules, "nats:a.{type}.{key}").is_open);
    assert_eq!(known(rules, "nats:b"), ["b"]);
    assert_eq!(known(rules, "nats:{endpoint}.events.{type}"), [""; 0]);
    assert!(!names(rules, "nats:{endpoint}.events.{type}").is_open);
}

#[test]
fn copies_of_questions_need_a_home_too() {
    let rules = "[[endpoint.question]]\ntypes = [\"assistant-*\"]\ncopy_to = [\"nats:c.{type}\"]\n\
                     [[endpoint.tool]]\nnames = [\"*\"]\ncopy_to = [\"nats:c.{type}\"]\n";
    assert_eq!(known(rules, "nats:c.{type}"), ["c.assistant-request", "c.tool-calls"]);
}
