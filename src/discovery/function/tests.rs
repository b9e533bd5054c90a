#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::source;

fn functions() -> Functions {
    let config = r#"
            [[endpoint]]
            name = "vapi"
            path = "/vapi"
            source = "vapi"
            [[endpoint.tool]]
            names = ["get_weather", "set_*"]
            [[endpoint.tool]]
            names = ["book"]
            subject = "desk.{key}.book"
            [[endpoint.question]]
            types = ["chat.*", "assistant-request"]
        "#;
    let mut config: Config = toml::from_str(config).unwrap();
    config.endpoints[0].facts = source::facts("vapi").unwrap();
    Functions::new(&config)
}

#[test]
fn subjects_are_those_that_are_asked_on() {
    let functions = functions();
    let subjects: Vec<_> = functions.configured().iter().map(|one| &*one.subject).collect();
    let expected = [
        "vapi.tool.get_weather",
        "vapi.tool.set_*",
        "desk.*.book",
        "vapi.ask.chat.*",
        "vapi.ask.assistant-request",
    ];
    assert_eq!(subjects, expected);
    let asked = |endpoint: &str, name: &str| RecentQuestion {
        endpoint: endpoint.into(),
        is_function: true,
        name: name.into(),
    };
    let recent =
        [asked("vapi", "book"), asked("vapi", "set_x"), asked("gone", "x"), asked("vapi", "a b")];
    let all = functions.with(&recent);
    let more: Vec<_> = all[expected.len()..].iter().map(|one| &*one.subject).collect();
    assert_eq!(more, ["vapi.tool.set_x", "vapi.tool.a%20b"]);
}

#[test]
fn subjects_to_be_asked_on_are_whole() {
    let (named, others) = functions().subjects();
    let named: Vec<_> = named.iter().map(String::as_str).collect();
    assert_eq!(named, ["desk.x.book", "vapi.ask.assistant-request", "vapi.tool.get_weather"]);
    for other in ["vapi.tool.set_x", "vapi.ask.chat.x", "vapi.ask.voice-request"] {
        assert!(others.contains(other), "{other} in {others:?}");
    }
    assert!(!others.contains("vapi.ask.assistant-request"));
}

#[test]
fn who_answers_is_told_by_the_subject() {
    let functions = functions();
    let answered = |subject: &str| -> Vec<usize> {
        let all = functions.configured().iter().enumerate();
        all.filter(|(_, one)| one.is_answered_on(subject)).map(|(at, _)| at).collect()
    };
    assert_eq!(answered("vapi.tool.get_weather"), [0]);
    assert_eq!(answered("vapi.tool.set_alarm"), [1]);
    assert_eq!(answered("vapi.tool.*"), [0, 1]);
    assert_eq!(answered("vapi.>"), [0, 1, 3, 4]);
    assert_eq!(answered("desk.7.book"), [2]);
    assert_eq!(answered("desk.*.*"), [2]);
    assert_eq!(answered("vapi.ask.chat.x.y"), [3]);
    assert_eq!(answered("vapi.ask.*.*.*"), [3]);
    assert_eq!(answered("vapi.tool"), [0; 0]);
}
