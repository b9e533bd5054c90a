use async_nats::HeaderMap;
use bytes::Bytes;

use super::*;

fn message(text: &'static str) -> Message {
    Message {
        subject: "inbox".into(),
        reply: None,
        payload: Bytes::from_static(text.as_bytes()),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

#[test]
fn an_ack_is_read_for_what_it_says() {
    let class = |text| read(message(text)).ok().map(|ack| ack.map_err(|error| error.class));
    assert_eq!(class(r#"{"stream":"S","seq":7}"#), Some(Ok(())));
    assert_eq!(
        class(r#"{"stream":"S","seq":7,"duplicate":true,"domain":"d","val":"1"}"#),
        Some(Ok(()))
    );
    let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}"#;
    assert_eq!(class(full), Some(Err(Class::Unavailable)));
    assert_eq!(class(r#"{"error":{"code":503,"err_code":10008}}"#), Some(Err(Class::Transient)));
    assert_eq!(class(r#"{"error":{"code":400,"err_code":10054}}"#), Some(Err(Class::Permanent)));
}

#[test]
fn what_is_no_ack_is_left_to_others() {
    for text in [
        r#"{"ok":true}"#,
        "thanks",
        "",
        "{}",
        "null",
        r#"{"stream":"S"}"#,
        r#"{"stream":"","seq":7}"#,
        r#"{"stream":"S","seq":0}"#,
        r#"{"stream":"S","seq":"7"}"#,
        r#"{"stream":"S","seq":7,"track":"rap"}"#,
        r#"{"stream":"S","seq":7} "more""#,
        r#"{"error":"no"}"#,
        r#"{"error":{"text":"no"}}"#,
        r#"{"error":{"code":1}}"#,
        r#"{"error":{"code":404,"err_code":404}}"#,
        r#"[{"stream":"S","seq":7}]"#,
    ] {
        assert!(read(message(text)).is_err(), "{text}");
        assert!(!is_ack(&message(text)), "{text}");
    }
    for text in [
        r#"{"stream":"S","seq":7}"#,
        r#"{"duplicate":true,"seq":7,"stream":"S"}"#,
        r#"{"error":{"code":503,"err_code":10008},"stream":"S","seq":0}"#,
    ] {
        assert!(is_ack(&message(text)), "{text}");
    }
}

#[test]
fn a_refusal_is_read_by_its_number() {
    use Class::{Permanent, Transient, Unavailable};
    for (code, err_code, expected) in [
        (400, 10_054, (Permanent, "too-large")),
        (400, 10_097, (Permanent, "headers-too-large")),
        (503, 10_077, (Unavailable, "store-failed")),
        (400, 10_109, (Unavailable, "sealed")),
        (503, 10_008, (Transient, "unavailable")),
        (500, 10_023, (Transient, "unavailable")),
        (409, 10_158, (Transient, "busy")),
        (429, 10_167, (Transient, "busy")),
        (503, 10_999, (Transient, "unavailable")),
        (400, 10_999, (Unavailable, "refused")),
    ] {
        let error = sort(Refused { code, err_code, description: String::new() });
        assert_eq!((error.class, error.reason), expected, "{err_code}");
    }
}

/// An answer of a worker may begin like one.
#[test]
fn only_a_short_text_without_headers_is_an_ack() {
    let ack = |text: String, headers| {
        let (length, payload) = (text.len(), text.into());
        is_ack(&Message { payload, headers, length, ..message("") })
    };
    let padded = |length: usize| format!("{:<length$}", r#"{"stream":"S","seq":7}"#);
    assert!(ack(padded(MAX_ACK_BYTES - 1), None));
    assert!(!ack(padded(MAX_ACK_BYTES), None));
    assert!(!ack(padded(100), Some(HeaderMap::new())));
    assert!(!ack(format!(" {}", padded(100)), None));
}
