#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

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
        let text = format!(
            "secrets = [\"old\", \"new\"]\npayload_format = \"{format}\"\ninclude_timestamp = {}",
            format.contains("{timestamp}")
        );
        let settings = toml::from_str(&text).unwrap();
        let hmac = Hmac::new(&settings, None, &[]);
        let headers = hmac.sign(&Method::POST, "https://test/vapi", &body).unwrap();
        let (mut head, ()) = http::Request::post("/vapi").body(()).unwrap().into_parts();
        head.headers = headers;
        head.headers.insert(header::HOST, HeaderValue::from_static("test"));
        for sizes in [&[][..], &[1], &[7, 900, 3], &[1400], &[1349, 1]] {
            let verify = |body: &[u8]| {
                let mut signed = hmac.head(&head).unwrap();
                let mut rest = body;
                for size in sizes {
                    let (part, after) = rest.split_at((*size).min(rest.len()));
                    signed.part(&head, part);
                    rest = after;
                }
                if !sizes.is_empty() {
                    signed.part(&head, rest);
                    // Nothing of it is left for the end.
                    assert_eq!(signed.begun.len(), hmac.urls(&head).len() * 2);
                }
                signed.verify(&head, body)
            };
            assert!(verify(&body).is_ok(), "{format} {sizes:?}");
            let mut bent = body.clone();
            bent[700] ^= 1;
            assert_eq!(verify(&bent), Err(Cause::Mismatch), "{format} {sizes:?}");
        }
    }
}

fn hmac(text: &str) -> Hmac {
    Hmac::new(&toml::from_str(&format!("secrets = [\"s\"]\n{text}")).unwrap(), None, &[])
}

/// In seconds or in milliseconds, in the past or in the future.
#[test]
fn a_time_of_signing_is_near_ours() {
    let hmac = hmac("tolerance = \"5m\"");
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (text, expected) in [
        ("1700000000", Ok(1_700_000_000)),
        ("1699999700", Ok(1_699_999_700)),
        ("1699999699", Err(Cause::Stale)),
        ("1700000300", Ok(1_700_000_300)),
        ("1700000301", Err(Cause::Stale)),
        ("1699999700000", Ok(1_699_999_700)),
        ("1699999699999", Err(Cause::Stale)),
        ("1700000300000", Ok(1_700_000_300)),
        ("1700000300001", Err(Cause::Stale)),
        ("99999999999", Err(Cause::Stale)),
        ("100000000000", Err(Cause::Stale)),
        ("99999999999999999999", Err(Cause::Stale)),
        ("0", Err(Cause::Stale)),
        ("", Err(Cause::Malformed)),
        ("+1700000000", Err(Cause::Malformed)),
        ("1700000000.0", Err(Cause::Malformed)),
        (" 1700000000", Err(Cause::Malformed)),
    ] {
        assert_eq!(hmac.check_time(text, now), expected, "{text}");
    }
    // Where the two units meet.
    let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
    assert_eq!(hmac.check_time("100000000000", at(MIN_MILLISECONDS)), Ok(MIN_MILLISECONDS / 1_000));
    assert_eq!(hmac.check_time("99999999999", at(99_999_999_999_000)), Ok(99_999_999_999));
}

/// What tells a delivery from all others is signed, or trusted; the same one is told in the same way each time.
#[test]
fn a_delivery_is_told_by_what_is_signed() {
    let id = "message_id_header = \"x-id\"\n";
    let signs_id = "payload_format = \"{timestamp}.{svix-id}.{body}\"\n";
    let refuse = "replay = \"refuse\"\n";
    let mark = |text: &str, id: &'static str, time: &'static str, signature: &[u8]| {
        let hmac = hmac(text);
        let (timestamp, time) = (time, time.parse().ok());
        let signature = signature.to_vec();
        let signed =
            Signed { hmac: &hmac, signature, timestamp, time, message_id: id, begun: Vec::new() };
        signed.mark(Some(id).filter(|id| !id.is_empty()))
    };
    let plain = |parts: &[&[u8]]| Some(Mark::new(parts, None));
    let timed =
        |parts: &[&[u8]]| Some(Mark::new(parts, Some(seen::Signed { at: 7, tolerance: 300 })));
    let signed_id = format!("{id}{signs_id}");
    assert_eq!(mark(&signed_id, "a", "7", b"s"), plain(&[b"id", b"a"]));
    assert_eq!(mark(&signed_id, "", "7", b"s"), None);
    let by_id = format!("{signed_id}{refuse}");
    assert_eq!(mark(&by_id, "a", "7", b"s"), timed(&[b"id", b"a", b"7"]));
    let by_signature = format!("{id}{refuse}");
    assert_eq!(mark(&by_signature, "a", "7", b"s"), timed(&[b"signature", b"s"]));
    assert_eq!(mark(&by_signature, "", "", b"s"), plain(&[b"signature", b"s"]));
}
