#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::{Instant, SystemTime};

use super::*;
use crate::message::{Classified, Trace};

fn webhook(body: impl Into<bytes::Bytes>) -> Webhook {
    Webhook {
        id: "id".into(),
        endpoint: "vapi".into(),
        body: body.into(),
        content_type: "application/json".into(),
        started: Instant::now(),
        received: SystemTime::now(),
        trace: Trace::default(),
    }
}

fn classify(body: &str) -> Result<Classified, Refusal> {
    Vapi.classify(&webhook(body.to_owned()))
}

fn about(body: &str) -> (String, Option<String>) {
    let about = classify(body).unwrap().about;
    (about.kind.to_string(), about.key.map(|key| key.to_string()))
}

#[test]
fn each_sample_is_what_the_index_says() {
    for sample in samples::ALL {
        let class = classify(sample.body).unwrap();
        let kind = sample.name.split("--").next().unwrap();
        let asks = QUESTIONS.iter().any(|(name, _)| *name == kind);
        assert_eq!(matches!(class.demand, Demand::Questions(_)), asks, "{}", sample.name);
        assert!(class.about.key.is_some(), "{}", sample.name);
        assert_ne!(class.about.label, "other", "{}", sample.name);
    }
}

#[test]
fn the_configuration_knows_the_same_questions() {
    let mut known: Vec<_> = facts::QUESTIONS.iter().chain(&facts::TOOL_CALLS).collect();
    let mut ours: Vec<_> = QUESTIONS.iter().map(|(name, _)| name).collect();
    known.sort();
    ours.sort();
    assert_eq!(known, ours);
}

#[test]
fn the_type_counts_wherever_it_stands_and_however_it_is_written() {
    let long = "x".repeat(1 << 20);
    let last = format!(
        r#"{{"message":{{"pad":"{long}","call":{{"type":"decoy","id":"c"}},"type":"hang"}}}}"#
    );
    for body in [
        r#"{"message":{"type":"hang","call":{"id":"c"}}}"#,
        r#"{"message":{"\u0074ype":"ha\u006eg","c\u0061ll":{"\u0069d":"\u0063"}}}"#,
        r#"{"type":"decoy","call":{"id":"decoy"},"message":{"artifact":{"type":"decoy","call":{"id":"decoy"},"message":{"type":"decoy"}},"call":{"id":"c","nested":{"id":"decoy"}},"type":"hang"},"zz":{"type":"decoy"}}"#,
        r#"{"message":{"type":"decoy","call":{"id":"decoy"}},"message":{"type":"decoy","type":"hang","call":{"id":"decoy","id":"c"}}}"#,
        r#"{"message":{"type":"hang","call":{"id":"decoy"},"call":{"id":"c"}}}"#,
        &last,
    ] {
        assert_eq!(about(body), ("hang".to_owned(), Some("c".to_owned())), "{}", &body[..60]);
    }
}

#[test]
fn the_key_is_the_first_id_that_is_one() {
    for (members, key) in [
        (r#""call":{"id":"a"},"chat":{"id":"b"}"#, Some("a")),
        (r#""call":null,"chat":{"id":"b"},"session":{"id":"c"}"#, Some("b")),
        (r#""call":{"id":null},"session":{"id":"c"},"contact":{"id":"d"}"#, Some("c")),
        (r#""call":{"id":""},"chat":{"id":7},"session":[],"contact":{"id":"d"}"#, Some("d")),
        (r#""call":{"id":"a"},"call":null"#, None),
        (r#""call":"a""#, None),
    ] {
        let body = format!(r#"{{"message":{{"type":"hang",{members}}}}}"#);
        assert_eq!(about(&body).1.as_deref(), key, "{members}");
    }
}

#[test]
fn what_is_no_webhook_is_refused() {
    for body in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "{",
        "{}{}",
        r#"{"message":"hang"}"#,
        r#"{"message":[]}"#,
        r#"{"message":{}}"#,
        r#"{"message":{"type":null}}"#,
        r#"{"message":{"type":1}}"#,
        r#"{"message":{"type":{}}}"#,
        r#"{"message":{"type":""}}"#,
        r#"{"message":{"type":"hang"},"message":1}"#,
        r#"{"message":{"type":"hang","type":null}}"#,
        r#"{"message":{"type":"hang"}} x"#,
        "\u{feff}{\"message\":{\"type\":\"hang\"}}",
    ] {
        assert!(matches!(classify(body), Err(Refusal::Malformed(_))), "{body}");
    }
    let mut invalid = br#"{"message":{"type":"hang","x":""#.to_vec();
    invalid.push(0xff);
    invalid.extend_from_slice(br#""}}"#);
    assert!(Vapi.classify(&webhook(invalid)).is_err());
}

#[test]
fn depth_is_no_danger() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body = format!(r#"{{"message":{{"type":"hang","x":{deep}}}}}"#);
    assert_eq!(about(&body).0, "hang");
    assert!(classify(&"[".repeat(100_000)).is_err());
}

#[test]
fn the_members_of_a_question_are_slices_of_the_body() {
    let body = r#"{"message":{"type":"assistant-request","call":{"id":"c"},"phoneNumber":{"n":1},"phoneNumber":{"n":2}}}"#;
    let webhook = webhook(body.to_owned());
    let Demand::Questions(questions) = Vapi.classify(&webhook).unwrap().demand else {
        panic!("it asks");
    };
    assert_eq!(questions.members.get("phoneNumber"), Some(r#"{"n":2}"#));
    let names: Vec<_> =
        questions.members.select(|_| true).into_iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(names, ["type", "call", "phoneNumber"]);
}
