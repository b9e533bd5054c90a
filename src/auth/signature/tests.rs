#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::UNIX_EPOCH;

use http::header;

use super::*;

fn signature(text: &str) -> Signature {
    let text = format!("secrets = [\"old\", \"new\"]\n{text}");
    Signature::of_hmac(&toml::from_str(&text).unwrap(), None, &["X-Id".to_owned()])
}

/// The headers that a sender sends.
fn sign(signature: &Signature, body: &[u8]) -> http::HeaderMap {
    let made = signature.sign(&Method::POST, "https://test/vapi", body, SystemTime::now());
    let header = |(at, text): (Piece, Secret)| match at {
        Piece::Header(name) => {
            (name.parse::<HeaderName>().unwrap(), text.expose().parse().unwrap())
        }
        other => panic!("{other}"),
    };
    made.unwrap().into_iter().map(header).collect()
}

/// However a body is split, its signature is the same; wherever it stands in what is signed.
#[test]
fn pieces_are_signed_like_the_whole() {
    let body = b"{\"message\":{\"type\":\"hang\"}}".repeat(50);
    for format in [
        "{body}",
        "v0:{timestamp}.{body}",
        "{body}{url}",
        "{svix-id}{body}.{method}",
        "{body}.{body}",
    ] {
        let signature = signature(&format!(
            "payload_format = \"{format}\"\ninclude_timestamp = {}",
            format.contains("{timestamp}")
        ));
        let headers = sign(&signature, &body);
        let (mut head, ()) = http::Request::post("/vapi").body(()).unwrap().into_parts();
        head.headers = headers;
        head.headers.insert(header::HOST, "test".parse().unwrap());
        for sizes in [&[][..], &[1], &[7, 900, 3], &[1400], &[1349, 1]] {
            let verify = |body: &[u8]| {
                let mut signed = signature.head(&head).unwrap();
                let mut rest = body;
                for size in sizes {
                    let (part, after) = rest.split_at((*size).min(rest.len()));
                    signed.part(&head, part);
                    rest = after;
                }
                if !sizes.is_empty() {
                    signed.part(&head, rest);
                }
                signed.verify(&head, body, &mut None)
            };
            assert!(verify(&body).is_ok(), "{format} {sizes:?}");
            let mut bent = body.clone();
            bent[700] ^= 1;
            assert_eq!(verify(&bent), Err(Cause::Mismatch), "{format} {sizes:?}");
        }
    }
}

/// What tells a delivery from all others is signed, or trusted; the same one is told in the same way each time.
#[test]
fn a_delivery_is_told_by_what_is_signed() {
    let id = "message_id_header = \"x-id\"\n";
    let signs_id = "payload_format = \"{timestamp}.{svix-id}.{body}\"\n";
    let refuse = "replay = \"refuse\"\n";
    let mark = |text: &str, id: &str, time: &'static str| {
        let at = time.parse().ok();
        let proof = scheme::Proof { signature: b"s".to_vec(), key: 0, time: time.into(), at };
        signature(text).mark(Some(id).filter(|id| !id.is_empty()), &proof)
    };
    let plain = |parts: &[&[u8]]| Some(Mark::new(parts, None));
    let timed =
        |parts: &[&[u8]]| Some(Mark::new(parts, Some(seen::Signed { at: 7, tolerance: 300 })));
    let signed_id = format!("{id}{signs_id}");
    assert_eq!(mark(&signed_id, "a", "7"), plain(&[b"id", b"a"]));
    assert_eq!(mark(&signed_id, "", "7"), None);
    let by_id = format!("{signed_id}{refuse}");
    assert_eq!(mark(&by_id, "a", "7"), timed(&[b"id", b"a", b"7"]));
    let by_signature = format!("{id}{refuse}");
    assert_eq!(mark(&by_signature, "a", "7"), timed(&[b"signature", b"s"]));
    assert_eq!(mark(&by_signature, "", ""), plain(&[b"signature", b"s"]));
}

/// What isn't signed is no time, and no id unless it is trusted.
#[test]
fn only_what_is_signed_or_trusted_is_told() {
    let verify = |text: &str, id: Option<&str>| {
        let signature = signature(text);
        let (mut head, ()) = http::Request::post("/vapi").body(()).unwrap().into_parts();
        head.headers = sign(&signature, b"{}");
        for (name, value) in [("x-id", id), ("x-other", id)] {
            if let Some(value) = value {
                head.headers.insert(name, value.parse().unwrap());
            }
        }
        let delivery =
            signature.head(&head).and_then(|signed| signed.verify(&head, b"{}", &mut None));
        delivery.map(|(delivery, _)| delivery.id.map(str::to_owned))
    };
    let trusted = "message_id_header = \"x-id\"";
    assert_eq!(verify(trusted, Some("a")), Ok(Some("a".to_owned())));
    assert_eq!(verify(trusted, None), Ok(None));
    assert_eq!(verify(trusted, Some("\u{fc}")), Err(Cause::Malformed));
    assert_eq!(verify("message_id_header = \"x-other\"", Some("a")), Ok(None));
    let signed = "message_id_header = \"x-id\"\npayload_format = \"{svix-id}{timestamp}{body}\"";
    // The signature is that of another id.
    assert_eq!(verify(signed, Some("a")), Err(Cause::Mismatch));
    let unsigned_time = signature("payload_format = \"{body}\"");
    let (mut head, ()) = http::Request::post("/vapi").body(()).unwrap().into_parts();
    head.headers = sign(&unsigned_time, b"{}");
    let signed = unsigned_time.scheme.head(&head, SystemTime::now()).unwrap();
    assert_eq!(
        signed.verify(&head, b"{}").map(|proof| (proof.time, proof.at)),
        Ok(("".into(), None))
    );
    let stale = unsigned_time.scheme.head(&head, UNIX_EPOCH);
    assert_eq!(stale.err(), Some(Cause::FromFuture));
}
