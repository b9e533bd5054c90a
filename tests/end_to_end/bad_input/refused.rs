//! Bodies that are no webhook: 400, and nothing is stored.

use super::{assert_calm, nested, start};
use crate::http::event;
use crate::support::nats;

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text: Vec<(&str, &str)> = vec![
        ("empty", ""),
        ("blank", " \r\n\t"),
        ("not JSON", "message=status-update"),
        ("XML", "<message type='status-update'/>"),
        ("truncated", r#"{"message":{"type":"status-update","call":{"#),
        ("truncated in a string", r#"{"message":{"type":"status-upd"#),
        ("truncated in an escape", r#"{"message":{"type":"a","b":"\u12"#),
        ("truncated in a number", r#"{"message":{"type":"a","b":-"#),
        ("two documents", r#"{"message":{"type":"a"}}{"message":{"type":"a"}}"#),
        (
            "two documents in lines",
            "{\"message\":{\"type\":\"a\"}}\n{\"message\":{\"type\":\"a\"}}",
        ),
        ("something behind", r#"{"message":{"type":"a"}} x"#),
        ("a NUL behind", "{\"message\":{\"type\":\"a\"}}\0"),
        ("a brace too many", r#"{"message":{"type":"a"}}}"#),
        ("an array", r#"[{"message":{"type":"a"}}]"#),
        ("a string", r#""message""#),
        ("a number", "1"),
        ("null", "null"),
        ("an empty object", "{}"),
        ("no message", r#"{"type":"a"}"#),
        ("message in other letters", r#"{"Message":{"type":"a"}}"#),
        ("message a string", r#"{"message":"{\"type\":\"a\"}"}"#),
        ("message null", r#"{"message":null}"#),
        ("message an array", r#"{"message":[{"type":"a"}]}"#),
        ("message a number", r#"{"message":1}"#),
        ("message further down", r#"{"x":{"message":{"type":"a"}}}"#),
        ("no type", r#"{"message":{"call":{"id":"c"}}}"#),
        (
            "no type but elsewhere",
            r#"{"type":"a","message":{"call":{"type":"a"},"x":[{"type":"a"}]},"y":{"type":"a"}}"#,
        ),
        ("type null", r#"{"message":{"type":null}}"#),
        ("type a number", r#"{"message":{"type":1}}"#),
        ("type true", r#"{"message":{"type":true}}"#),
        ("type an object", r#"{"message":{"type":{"type":"a"}}}"#),
        ("type an array", r#"{"message":{"type":["a"]}}"#),
        ("type empty", r#"{"message":{"type":""}}"#),
        ("type in other letters", r#"{"message":{"Type":"a"}}"#),
        ("the last type null", r#"{"message":{"type":"a","type":null}}"#),
        ("the last type empty", r#"{"message":{"type":"a","ty\u0070e":""}}"#),
        ("the last message a string", r#"{"message":{"type":"a"},"message":"a"}"#),
        ("the last message empty", r#"{"message":{"type":"a"},"message":{}}"#),
        ("a comma too many", r#"{"message":{"type":"a",}}"#),
        ("a comma too few", r#"{"message":{"type":"a" "b":1}}"#),
        ("a colon too few", r#"{"message":{"type" "a"}}"#),
        ("single quotes", "{'message':{'type':'a'}}"),
        ("a key without quotes", r#"{message:{"type":"a"}}"#),
        ("a comment", "{\"message\":{\"type\":\"a\" /* b */}}"),
        ("NaN", r#"{"message":{"type":"a","b":NaN}}"#),
        ("Infinity", r#"{"message":{"type":"a","b":-Infinity}}"#),
        ("a leading zero", r#"{"message":{"type":"a","b":01}}"#),
        ("a plus", r#"{"message":{"type":"a","b":+1}}"#),
        ("a bare fraction", r#"{"message":{"type":"a","b":.5}}"#),
        ("a bare point", r#"{"message":{"type":"a","b":1.}}"#),
        ("a bare exponent", r#"{"message":{"type":"a","b":1e}}"#),
        ("a misspelt literal", r#"{"message":{"type":"a","b":nulL}}"#),
        ("an unknown escape", r#"{"message":{"type":"a","b":"\x41"}}"#),
        ("a half escape", r#"{"message":{"type":"a","b":"\u00g0"}}"#),
        ("a line break in a string", "{\"message\":{\"type\":\"a\",\"b\":\"\n\"}}"),
        ("a NUL in a string", "{\"message\":{\"type\":\"a\",\"b\":\"\0\"}}"),
        ("a blank that is none", "{\"message\":\u{a0}{\"type\":\"a\"}}"),
        ("a mark of the byte order", "\u{feff}{\"message\":{\"type\":\"a\"}}"),
    ];
    let mut bodies: Vec<_> =
        text.into_iter().map(|(name, body)| (name, body.as_bytes().to_vec())).collect();
    let broken = |bytes: &[u8]| [br#"{"message":{"type":"a","b":""#, bytes, br#""}}"#].concat();
    bodies.extend([
        ("a bare byte", broken(b"\xff")),
        ("Latin-1", broken(b"Z\xfcrich")),
        ("an overlong slash", broken(b"\xc0\xaf")),
        ("a surrogate in UTF-8", broken(b"\xed\xa0\x80")),
        ("above the last character", broken(b"\xf4\x90\x80\x80")),
        ("a character cut off", broken(b"\xe2\x82")),
        ("a bare byte in the type", b"{\"message\":{\"type\":\"\xff\"}}".to_vec()),
        ("a bare byte in a key", b"{\"message\":{\"type\":\"a\",\"\xff\":1}}".to_vec()),
        (
            "UTF-16",
            r#"{"message":{"type":"a"}}"#.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec()),
        ("100,000 brackets", nested(100_000).into_bytes()),
        ("100,000 open brackets", "[".repeat(100_000).into_bytes()),
        ("1,000,000 open objects", r#"{"a":"#.repeat(1_000_000).into_bytes()),
        (
            "100,000 open brackets in a message",
            (r#"{"message":{"type":"a","b":"#.to_owned() + &"[".repeat(100_000)).into_bytes(),
        ),
        (
            "100,000 wrong ends",
            (r#"{"message":{"type":"a","b":"#.to_owned()
                + &"[".repeat(100_000)
                + &"}".repeat(100_000))
                .into_bytes(),
        ),
    ]);
    bodies
}

#[tokio::test]
async fn what_is_no_webhook_is_a_400() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "no-webhook").await;
    let bodies = bodies();
    let count = bodies.len() as f64;
    for (name, body) in bodies {
        let answer = bridge.post("/no-webhook", body, &[]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        let problem = answer.json();
        assert_eq!(problem["status"], 400, "{name}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && detail.len() < 200, "{name}: {detail}");
        assert_eq!(answer.header("hookbus-outcome"), None, "{name}");
    }
    let refused = r#"hookbus_webhooks_total{endpoint="no-webhook",type="other",outcome="refused""#;
    assert_eq!(bridge.metric(refused).await, count);
    assert!(nats.messages("no-webhook", 0).await.is_empty());
    assert_eq!(bridge.post("/no-webhook", event("c"), &[]).await.status, 200);
    assert_calm(&bridge);
}
