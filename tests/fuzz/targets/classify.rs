//! Any bytes as a webhook: taken or refused as serde_json would, with the same type and the same key.

#![no_main]

use std::sync::LazyLock;

use hookbus::message::{KnownType, Refusal};
use hookbus::source::{Meaning, Source as _, vapi::Vapi};
use hookbus_fuzz::{Object, Opinion, classify, read};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

const QUESTIONS: [&str; 9] = [
    "tool-calls",
    "function-call",
    "assistant-request",
    "transfer-destination-request",
    "handoff-destination-request",
    "knowledge-base-request",
    "call.endpointing.request",
    "campaign.predial",
    "voice-request",
];

static TYPES: LazyLock<Vec<KnownType>> = LazyLock::new(|| Vapi.types());

fuzz_target!(|body: &[u8]| {
    let classified = match classify(body) {
        Ok(classified) => Some(classified),
        Err(Refusal::Malformed(_)) => None,
        Err(other) => panic!("another refusal: {other}"),
    };
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(classified.is_none());
        return;
    };
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        assert!(classified.is_none());
        return;
    }
    let expected = match expected(text) {
        Opinion::Yes(expected) => Some(expected),
        Opinion::No => None,
        Opinion::Undecided => return,
    };
    let read = classified.map(|classified| {
        let is_question = matches!(classified.meaning, Meaning::Questions(_));
        let metadata = classified.metadata;
        assert_eq!(is_question, QUESTIONS.contains(&&*metadata.kind));
        // One beyond the last is any type that isn't known by name.
        let known = TYPES.get(metadata.label);
        assert!(metadata.label <= TYPES.len());
        assert!(known.is_none_or(|known| known.name == metadata.kind));
        (metadata.kind.to_string(), metadata.key.map(|key| key.to_string()))
    });
    assert_eq!(read, expected);
});

/// The type and the key of a document that is JSON.
fn expected(text: &str) -> Opinion<(String, Option<String>)> {
    let body = match read::<Object<'_>>(text) {
        Opinion::Yes(body) => body,
        Opinion::No => return Opinion::No,
        Opinion::Undecided => return Opinion::Undecided,
    };
    let message = match body.get("message").map(|message| read::<Object<'_>>(message.get())) {
        Some(Opinion::Yes(message)) => message,
        Some(Opinion::Undecided) => return Opinion::Undecided,
        Some(Opinion::No) | None => return bare(&body),
    };
    let kind = match string(&message, "type") {
        Opinion::Yes(kind) => kind,
        Opinion::No => return Opinion::No,
        Opinion::Undecided => return Opinion::Undecided,
    };
    let ids = ["call", "chat", "session", "contact"];
    first(kind, ids.map(|name| inner(&message, name, "id")))
}

/// What stands at the root is a webhook of a simulation, or none.
fn bare(body: &Object<'_>) -> Opinion<(String, Option<String>)> {
    match string(body, "type") {
        Opinion::Yes(kind) if kind.starts_with("simulation.") => {
            let ids = [inner(body, "calls", "targetCallId"), string(body, "simulationRunItemId")];
            first(kind, ids)
        }
        Opinion::Undecided => Opinion::Undecided,
        _ => Opinion::No,
    }
}

/// This type, and the first of these that is one.
fn first<const N: usize>(
    kind: String,
    ids: [Opinion<String>; N],
) -> Opinion<(String, Option<String>)> {
    for id in ids {
        match id {
            Opinion::Yes(id) => return Opinion::Yes((kind, Some(id))),
            Opinion::No => {}
            Opinion::Undecided => return Opinion::Undecided,
        }
    }
    Opinion::Yes((kind, None))
}

/// A string in an object in an object.
fn inner(object: &Object<'_>, outer: &str, name: &str) -> Opinion<String> {
    match object.get(outer).map(|value| read::<Object<'_>>(value.get())) {
        Some(Opinion::Yes(object)) => string(&object, name),
        Some(Opinion::Undecided) => Opinion::Undecided,
        Some(Opinion::No) | None => Opinion::No,
    }
}

/// A member that is a string and not empty.
fn string(object: &Object<'_>, name: &str) -> Opinion<String> {
    match object.get(name).map(|value| read::<String>(value.get())) {
        Some(Opinion::Yes(text)) if !text.is_empty() => Opinion::Yes(text),
        Some(Opinion::Undecided) => Opinion::Undecided,
        _ => Opinion::No,
    }
}
