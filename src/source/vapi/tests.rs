#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use super::facts::QUESTIONS;
use super::*;
use crate::config::Context;

fn classify(body: impl Into<bytes::Bytes>) -> Result<Classified, Refusal> {
    let (head, ()) = http::Request::new(()).into_parts();
    Vapi.classify(Request::new(&head, &body.into()))
}

fn metadata(body: &str) -> (String, Option<String>) {
    let metadata = classify(body.to_owned()).unwrap().metadata;
    (metadata.kind.to_string(), metadata.key.map(|key| key.to_string()))
}

#[test]
fn each_sample_is_what_the_index_says() {
    for sample in samples::ALL {
        let class = classify(sample.body.to_string()).unwrap();
        let kind = sample.name.split("--").next().unwrap();
        let asks = QUESTIONS.iter().any(|(name, _)| *name == kind);
        assert_eq!(matches!(class.meaning, Meaning::Questions(_)), asks, "{}", sample.name);
        assert!(class.metadata.key.is_some(), "{}", sample.name);
        assert!(class.metadata.label < facts::types().len(), "{}", sample.name);
    }
}

#[test]
fn the_configuration_knows_the_same_questions() {
    let facts = &facts::FACTS;
    let mut known: Vec<_> = facts.asked().chain(facts.calls.iter().map(String::as_str)).collect();
    let mut ours: Vec<_> = QUESTIONS.iter().map(|(name, _)| *name).collect();
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
        assert_eq!(metadata(body), ("hang".to_owned(), Some("c".to_owned())), "{}", &body[..60]);
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
        assert_eq!(metadata(&body).1.as_deref(), key, "{members}");
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
    assert!(classify(invalid).is_err());
}

#[test]
fn depth_is_no_danger() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body = format!(r#"{{"message":{{"type":"hang","x":{deep}}}}}"#);
    assert_eq!(metadata(&body).0, "hang");
    assert!(classify("[".repeat(100_000)).is_err());
}

#[test]
fn a_question_is_read_wherever_its_members_stand() {
    let filling: String = (0..70).map(|n| format!(r#""x{n}":{n},"#)).collect();
    // Few enough to be remembered, and more.
    for filling in ["", filling.as_str()] {
        let body = format!(
            r#"{{"message":{{"type":"tool-calls",{filling}"toolCallList":[],"phoneNumber" : {{"server":{{"timeoutSeconds":20}}}},"call":{{"id":"d"}},"phone\u004eumber":{{"server":{{"timeoutSeconds":5}}}},"tool\u0043allList":[{{"id":"a","name":"f"}}]}}}}"#
        );
        let Meaning::Questions(mut questions) = classify(body).unwrap().meaning else {
            panic!("it asks")
        };
        assert_eq!(questions.all[0].limit, Some(Duration::from_secs(3)));
        let context = Context::Members(vec!["phoneNumber".to_owned(), "call".to_owned()]);
        let payloads = questions.dialogue.payloads(&|_| &context, &mut |_| true);
        assert_eq!(
            payloads[0].as_deref(),
            Some(&br#"{"id":"a","name":"f","arguments":{},"call":{"id":"d"},"phone\u004eumber":{"server":{"timeoutSeconds":5}}}"#[..])
        );
    }
}

#[test]
fn webhooks_of_simulations_stand_at_the_root() {
    for (body, kind, key) in [
        (
            r#"{"type":"simulation.run.started","runId":"r","simulationRunItemId":"i","calls":{"targetCallId":"c"}}"#,
            "simulation.run.started",
            Some("c"),
        ),
        (
            r#"{"simulationRunItemId":"i","calls":{"targetCallId":null},"type":"simulation.run.ended"}"#,
            "simulation.run.ended",
            Some("i"),
        ),
        (
            r#"{"type":"simulation.other","calls":[],"simulationRunItemId":"i"}"#,
            "simulation.other",
            Some("i"),
        ),
        (
            r#"{"type":"simul\u0061tion.x","calls":{"targetCallId":""},"simulationRunItemId":7}"#,
            "simulation.x",
            None,
        ),
        (
            r#"{"type":"decoy","type":"simulation.x","calls":{"targetCallId":"c"},"calls":null}"#,
            "simulation.x",
            None,
        ),
        // With a message it is like any other.
        (
            r#"{"type":"simulation.x","simulationRunItemId":"i","message":{"type":"hang","call":{"id":"c"}}}"#,
            "hang",
            Some("c"),
        ),
    ] {
        let class = classify(body).unwrap();
        assert!(matches!(class.meaning, Meaning::Event), "{body}");
        assert_eq!(&*class.metadata.kind, kind, "{body}");
        assert_eq!(class.metadata.key.as_deref(), key, "{body}");
    }
    let label = |body: &'static str| {
        facts::types()
            .get(classify(body).unwrap().metadata.label)
            .map(|known| known.name.to_string())
    };
    assert_eq!(
        label(r#"{"type":"simulation.run.ended"}"#).as_deref(),
        Some("simulation.run.ended")
    );
    assert_eq!(label(r#"{"type":"simulation.new"}"#), None);
    for body in [
        r#"{"type":"simulation"}"#,
        r#"{"type":"status-update"}"#,
        r#"{"type":["simulation.run.started"]}"#,
        r#"{"type":"simulation.x","type":null}"#,
        r#"[{"type":"simulation.run.started"}]"#,
    ] {
        assert!(matches!(classify(body), Err(Refusal::Malformed(_))), "{body}");
    }
}
