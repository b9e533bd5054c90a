//! Any reply to an event: only what JetStream says counts as an acknowledgement, only what it will never take as a reason
//! to give the event up, and whatever it says is understood.

#![no_main]

use async_nats::Message;
use bytes::Bytes;
use hookbus::sink::{Class, Error, jetstream};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// All members that JetStream's replies to a publish have.
const MEMBERS: [&str; 8] =
    ["stream", "seq", "error", "domain", "duplicate", "val", "batch", "count"];
/// The codes of errors that will come again: the message or its headers are too large.
const TOO_LARGE: [u64; 2] = [10_054, 10_097];

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Ack { stream: &'a str, seq: u64, duplicate: Option<bool>, domain: Option<&'a str> },
    Refused { stream: Option<&'a str>, code: u16, err_code: u32, description: Option<&'a str> },
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Bytes(bytes) => any(bytes),
        Input::Ack { stream, seq, duplicate, domain } => {
            let mut ack = json!({"stream": stream, "seq": seq});
            duplicate.into_iter().for_each(|is| ack["duplicate"] = is.into());
            domain.into_iter().for_each(|domain| ack["domain"] = domain.into());
            let text = ack.to_string();
            let is_stored = !stream.is_empty() && seq > 0;
            assert_eq!(matches!(read(text.as_bytes()), Some(Ok(()))), is_stored, "{text}");
            any(text.as_bytes());
        }
        Input::Refused { stream, code, err_code, description } => {
            let mut error = json!({"code": code, "err_code": err_code});
            description.into_iter().for_each(|text| error["description"] = text.into());
            let mut ack = json!({"error": error});
            if let Some(stream) = stream {
                ack["stream"] = stream.into();
                ack["seq"] = 0.into();
            }
            let text = ack.to_string();
            let is_known = (400..600).contains(&code) && (10_000..20_000).contains(&err_code);
            assert_eq!(matches!(read(text.as_bytes()), Some(Err(_))), is_known, "{text}");
            any(text.as_bytes());
        }
    }
});

fn read(bytes: &[u8]) -> Option<Result<(), Error>> {
    jetstream::read(message(bytes)).ok()
}

fn any(bytes: &[u8]) {
    let said = read(bytes);
    if jetstream::is_ack(&message(bytes)) {
        assert!(said.is_some());
    }
    let Some(said) = said else { return };
    serde_json::from_slice::<IgnoredAny>(bytes).expect("what was read is JSON");
    // One with half of a surrogate pair, in a place that nobody reads.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let object = value.as_object().expect("it is an object");
    assert!(object.keys().all(|name| MEMBERS.contains(&name.as_str())), "{value}");
    let error = object.get("error").filter(|error| !error.is_null());
    match said {
        Ok(()) => {
            assert!(error.is_none(), "{value}");
            assert!(value["stream"].as_str().is_some_and(|stream| !stream.is_empty()), "{value}");
            assert!(value["seq"].as_u64().is_some_and(|seq| seq > 0), "{value}");
        }
        Err(said) => {
            let code = error.expect("an error")["err_code"].as_u64().expect("a code");
            assert_eq!(said.class == Class::Permanent, TOO_LARGE.contains(&code), "{value}");
        }
    }
}

fn message(bytes: &[u8]) -> Message {
    Message {
        subject: "inbox".into(),
        reply: None,
        payload: Bytes::copy_from_slice(bytes),
        headers: None,
        status: None,
        description: None,
        length: bytes.len(),
    }
}
