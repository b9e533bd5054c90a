//! Any replies of workers, and of services by NATS micro: an error is never taken for an answer nor an answer for an
//! error, and whatever services say of themselves is cut, clean and put to the right ones.

#![no_main]

use std::collections::BTreeSet;

use async_nats::{HeaderMap, HeaderValue, Message};
use bytes::Bytes;
use hookbus::ask;
use hookbus::discovery::{Collected, Discovered};
use hookbus::message::Outcome;
use hookbus::nats::header::insert;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const ERROR: &str = "Nats-Service-Error";
const CODE: &str = "Nats-Service-Error-Code";
/// Longest error of a worker, and longest text of a service, in characters.
const LONGEST: usize = 500;
const TEXT: usize = 256;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    payload: &'a [u8],
    error: Option<&'a str>,
    code: Option<&'a str>,
    other: Option<&'a str>,
    information: Vec<Said<'a>>,
    statistics: Vec<Said<'a>>,
}

/// What a service says: anything, or as the specification has it (ADR-32).
#[derive(Arbitrary, Debug)]
enum Said<'a> {
    Bytes(&'a [u8]),
    Proper { name: &'a str, id: &'a str, subject: &'a str, requests: u64, error: &'a str },
}

fuzz_target!(|input: Input<'_>| {
    check_reply(&input);
    check_services(&input);
});

fn check_reply(input: &Input<'_>) {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: Option<&str>| {
        let value = value.and_then(|value| value.parse::<HeaderValue>().ok())?;
        insert(&mut headers, name, value.clone());
        Some(value.as_str().to_owned())
    };
    let (error, code) = (put(ERROR, input.error), put(CODE, input.code));
    put("Other", input.other);
    let message = Message {
        subject: "inbox".into(),
        reply: None,
        payload: Bytes::copy_from_slice(input.payload),
        headers: (!headers.is_empty()).then_some(headers),
        status: None,
        description: None,
        length: input.payload.len(),
    };
    match ask::reply(message, false) {
        Ok(reply) => {
            assert!(error.is_none() && code.is_none());
            assert_eq!(reply.body, input.payload);
            assert!(!reply.body.is_empty() && std::str::from_utf8(&reply.body).is_ok());
        }
        Err((Outcome::WorkerError, text)) => {
            assert!(error.is_some() || code.is_some());
            let expected = error.as_deref().map(str::trim).filter(|text| !text.is_empty());
            let expected = expected.map(|text| text.chars().take(LONGEST).collect::<String>());
            assert_eq!(text, expected);
        }
        Err((Outcome::BadReply, None)) => {
            assert!(error.is_none() && code.is_none());
            assert!(input.payload.is_empty() || std::str::from_utf8(input.payload).is_err());
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn check_services(input: &Input<'_>) {
    let [information, statistics] = [&input.information, &input.statistics].map(|all| {
        let mut collected = Collected::default();
        assert!(all.iter().take(32).all(|said| collected.add(&said.bytes())), "there is room");
        collected
    });
    let found = Discovered::new(information, statistics, "_INBOX");
    assert!(found.services.len() <= input.information.len());
    let ids: BTreeSet<_> = found.services.iter().map(|one| (&one.name, &one.id)).collect();
    assert_eq!(ids.len(), found.services.len(), "who answers twice is one");
    for service in &found.services {
        check_texts([&service.name, &service.id, &service.version]);
        for endpoint in &service.endpoints {
            check_texts([&endpoint.name, &endpoint.subject, &endpoint.queue_group]);
            if let Some(statistics) = &endpoint.statistics {
                check_texts([&statistics.last_error]);
                assert!(statistics.average_milliseconds >= 0.0);
            }
        }
    }
    // The last one of a name and an id counts.
    for (at, said) in input.information.iter().take(32).enumerate() {
        let Said::Proper { name, id, subject, .. } = *said else { continue };
        let (name, id, subject) = (clean(name), clean(id), clean(subject));
        let is_same = |other: &Said<'_>| other.identity() == Some((name.clone(), id.clone()));
        if input.information.iter().take(32).skip(at + 1).any(is_same) {
            continue;
        }
        let service = found.services.iter().find(|one| one.name == name && one.id == id);
        let service = service.expect("a service that said who it is");
        assert_eq!(service.endpoints[0].subject, subject);
        // Those who say nothing of what they did, or say it of another, have no statistics.
        let told = input.statistics.iter().take(32).rev().find(|other| is_same(other));
        if let Some(Said::Proper { subject: counted, requests, error, .. }) = told {
            let expected = (clean(counted) == subject || counted.is_empty())
                .then(|| (*requests as f64 as u64, clean(error)));
            let statistics = service.endpoints[0].statistics.as_ref();
            let statistics = statistics.map(|it| (it.requests, it.last_error.clone()));
            assert_eq!(statistics, expected);
        }
    }
}

impl Said<'_> {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Proper { name, id, subject, requests, error } => {
                let endpoint = json!({
                    "name": "it",
                    "subject": subject,
                    "queue_group": "q",
                    "num_requests": requests,
                    "last_error": error,
                });
                json!({"name": name, "id": id, "version": "1.0.0", "endpoints": [endpoint]})
                    .to_string()
                    .into_bytes()
            }
        }
    }

    /// Who says it, if that can be told.
    fn identity(&self) -> Option<(String, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => clean(text),
            Value::Null => String::new(),
            other => clean(&other.to_string()),
        };
        let value: Value = serde_json::from_slice(&self.bytes()).ok()?;
        Some((text(value.get("name")?), text(value.get("id")?)))
    }
}

fn clean(text: &str) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(TEXT).map(clean).collect()
}

fn check_texts<const N: usize>(texts: [&String; N]) {
    for text in texts {
        assert!(text.chars().count() <= TEXT && !text.contains(char::is_control), "{text:?}");
    }
}
