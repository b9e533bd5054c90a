//! Unusual bodies that are webhooks: stored as they came, by the type and the key that JavaScript, Python and Go
//! would read.

use super::{assert_calm, decoded, nested, start};
use crate::support::nats;

struct Case {
    name: &'static str,
    body: String,
    /// What stands for the type in the subject.
    kind: &'static str,
    key: Option<&'static str>,
}

fn case(
    name: &'static str,
    body: impl Into<String>,
    kind: &'static str,
    key: impl Into<Option<&'static str>>,
) -> Case {
    Case { name, body: body.into(), kind, key: key.into() }
}

fn cases() -> Vec<Case> {
    let large = "x".repeat(1 << 20);
    let many: String = (0..50_000).map(|number| format!(r#""m{number}":{number},"#)).collect();
    vec![
        case("blanks around", "\r\n\t {\"message\" : {\"type\" : \"a\"} } \n\n", "a", None),
        case("an unknown type", r#"{"message":{"type":"brand-new"}}"#, "brand-new", None),
        case(
            "nothing but brackets inside",
            format!(r#"{{"message":{{"type":"a","b":{},"call":{{"id":"c"}}}}}}"#, nested(100_000)),
            "a",
            "c",
        ),
        case(
            "brackets beside the message",
            format!(r#"{{"b":{},"message":{{"type":"a"}}}}"#, nested(100_000)),
            "a",
            None,
        ),
        case(
            "objects within objects",
            format!(
                r#"{{"message":{{"b":{}1{},"type":"a"}}}}"#,
                r#"{"type":"#.repeat(100_000),
                "}".repeat(100_000)
            ),
            "a",
            None,
        ),
        case(
            "the type behind a megabyte",
            format!(r#"{{"message":{{"pad":"{large}","call":{{"id":"c"}},"type":"late"}}}}"#),
            "late",
            "c",
        ),
        case(
            "the type behind many members",
            format!(r#"{{"message":{{{many}"call":{{"id":"c"}},"type":"late"}}}}"#),
            "late",
            "c",
        ),
        case(
            "the message last",
            format!(r#"{{"pad":"{large}","message":{{"type":"late"}}}}"#),
            "late",
            None,
        ),
        case(
            "quotes and braces in strings",
            r#"{"message":{"a":"\"type\":\"x\"}}","b":"\\","type":"a","call":{"x":"}","id":"c"}}}"#,
            "a",
            "c",
        ),
        case(
            "two messages",
            r#"{"message":{"type":"a","call":{"id":"c"}},"message":{"type":"b"}}"#,
            "b",
            None,
        ),
        case("a string, then a message", r#"{"message":"a","message":{"type":"b"}}"#, "b", None),
        case("two types", r#"{"message":{"type":"a","type":"b"}}"#, "b", None),
        case("a number, then a type", r#"{"message":{"type":1,"type":"b"}}"#, "b", None),
        case(
            "two calls",
            r#"{"message":{"type":"a","call":{"id":"c"},"call":{"id":"d"}}}"#,
            "a",
            "d",
        ),
        case(
            "two calls, the last null",
            r#"{"message":{"type":"a","call":{"id":"c"},"call":null,"chat":{"id":"h"}}}"#,
            "a",
            "h",
        ),
        case(
            "two calls, the last without an id",
            r#"{"message":{"type":"a","call":{"id":"c"},"call":{}}}"#,
            "a",
            None,
        ),
        case("two ids", r#"{"message":{"type":"a","call":{"id":"c","id":"d"}}}"#, "a", "d"),
        case(
            "two ids, the last null",
            r#"{"message":{"type":"a","call":{"id":"c","id":null}}}"#,
            "a",
            None,
        ),
        case(
            "two ids, one escaped",
            r#"{"message":{"type":"a","call":{"id":"c","\u0069d":"d"}}}"#,
            "a",
            "d",
        ),
        case(
            "types elsewhere",
            r#"{"type":"x","message":{"call":{"type":"x","id":"c"},"artifact":{"type":"x","messages":[{"type":"x"}]},"type":"a","z":{"type":"x"}},"z":{"type":"x"}}"#,
            "a",
            "c",
        ),
        case(
            "calls elsewhere",
            r#"{"call":{"id":"x"},"message":{"type":"a","artifact":{"call":{"id":"x"}},"call":{"call":{"id":"x"},"id":"c","z":{"id":"x"}},"list":[{"call":{"id":"x"}}]}}"#,
            "a",
            "c",
        ),
        case(
            "no call but elsewhere",
            r#"{"call":{"id":"x"},"message":{"type":"a","artifact":{"call":{"id":"x"}},"id":"x"}}"#,
            "a",
            None,
        ),
        case(
            "escaped keys",
            r#"{"\u006dessage":{"\u0074ype":"a","c\u0061ll":{"\u0069\u0064":"c"}}}"#,
            "a",
            "c",
        ),
        case("an escaped type", r#"{"message":{"type":"\u0061"}}"#, "a", None),
        case(
            "keys with more behind",
            r#"{"message\u0000":1,"message":{"type\u0000":"x","type ":"x","types":"x","type":"a"}}"#,
            "a",
            None,
        ),
        case("a null call", r#"{"message":{"type":"a","call":null}}"#, "a", None),
        case("a call that is a string", r#"{"message":{"type":"a","call":"c"}}"#, "a", None),
        case("a call that is a list", r#"{"message":{"type":"a","call":[{"id":"c"}]}}"#, "a", None),
        case(
            "an id that is a number",
            r#"{"message":{"type":"a","call":{"id":7},"session":{"id":"s"}}}"#,
            "a",
            "s",
        ),
        case(
            "an empty id",
            r#"{"message":{"type":"a","call":{"id":""},"chat":{"id":null},"session":{"id":{}},"contact":{"id":"k"}}}"#,
            "a",
            "k",
        ),
        case(
            "every key",
            r#"{"message":{"type":"a","contact":{"id":"k"},"session":{"id":"s"},"chat":{"id":"h"},"call":{"id":"c"}}}"#,
            "a",
            "c",
        ),
        case(
            "large and small numbers",
            r#"{"message":{"type":"a","n":[9007199254740993,123456789012345678901234567890,-0,1E400,1.0000000000000000000001,0.1e-9999]}}"#,
            "a",
            None,
        ),
        case(
            "half a surrogate in the type",
            r#"{"message":{"type":"a\ud800b"}}"#,
            "a%EF%BF%BDb",
            None,
        ),
        case(
            "half a surrogate in the key",
            r#"{"message":{"type":"a","call":{"id":"c\udc00d"}}}"#,
            "a",
            "c\u{fffd}d",
        ),
        case(
            "half a surrogate elsewhere",
            r#"{"message":{"type":"a","\ud800":"\udc00\ud800"}}"#,
            "a",
            None,
        ),
        case(
            "a whole pair",
            r#"{"message":{"type":"\ud83e\udd80","call":{"id":"\ud83e\udd80"}}}"#,
            "%F0%9F%A6%80",
            "\u{1f980}",
        ),
        case("stars and points", r#"{"message":{"type":"a.*.>"}}"#, "a.%2A.%3E", None),
        case("nothing but a star", r#"{"message":{"type":"*"}}"#, "%2A", None),
        case("nothing but a greater-than", r#"{"message":{"type":">"}}"#, "%3E", None),
        case(
            "a type of several tokens",
            r#"{"message":{"type":"call.delete.failed"}}"#,
            "call.delete.failed",
            None,
        ),
        case("points at the ends", r#"{"message":{"type":".a."}}"#, "%2Ea%2E", None),
        case("points in a row", r#"{"message":{"type":"a..b"}}"#, "a%2E%2Eb", None),
        case("blanks", r#"{"message":{"type":" a b\t"}}"#, "%20a%20b%09", None),
        case("a system's prefix", r#"{"message":{"type":"$SYS.REQ"}}"#, "%24SYS.REQ", None),
        case("an escape of ours", r#"{"message":{"type":"%2A%"}}"#, "%252A%25", None),
        case(
            "the name for finals",
            r#"{"message":{"type":"transcript[transcriptType=\"final\"]"}}"#,
            "transcript%5BtranscriptType%3D%22final%22%5D",
            None,
        ),
        case(
            "line breaks in the type",
            r#"{"message":{"type":"a\r\nce-id: forged\r\n\r\nx"}}"#,
            "a%0D%0Ace-id%3A%20forged%0D%0A%0D%0Ax",
            None,
        ),
        case(
            "line breaks in the key",
            r#"{"message":{"type":"a","call":{"id":"c\r\nNats-Msg-Id: forged"}}}"#,
            "a",
            "c\u{fffd}\u{fffd}Nats-Msg-Id: forged",
        ),
        case(
            "a NUL in the key",
            r#"{"message":{"type":"a","call":{"id":"c\u0000d"}}}"#,
            "a",
            "c\u{fffd}d",
        ),
        case(
            "all kinds of things in the key",
            r#"{"message":{"type":"a","call":{"id":" é%20\"*>.\u007f\u0085\u2028 "}}}"#,
            "a",
            " \u{e9}%20\"*>.\u{fffd}\u{fffd}\u{2028} ",
        ),
    ]
}

#[tokio::test]
async fn unusual_webhooks_are_stored_as_they_came() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "unusual").await;
    let cases = cases();
    let mut ids = Vec::new();
    for case in &cases {
        let answer = bridge.post("/unusual", case.body.clone(), &[]).await;
        assert_eq!(answer.status, 200, "{}: {}", case.name, answer.text());
        ids.push(answer.header("hookbus-id").unwrap().to_owned());
    }
    let stored = nats.messages("unusual", 0).await;
    assert_eq!(stored.len(), cases.len());
    for ((case, id), stored) in cases.iter().zip(&ids).zip(&stored) {
        let name = case.name;
        assert!(stored.payload == case.body, "{name}: other bytes");
        assert_eq!(stored.subject, format!("unusual.events.{}", case.kind), "{name}");
        assert_eq!(stored.header("ce-subject").map(decoded).as_deref(), case.key, "{name}");
        assert_eq!(stored.header("ce-id"), Some(id.as_str()), "{name}");
        assert_eq!(
            stored.header("Nats-Msg-Id"),
            Some(format!("unusual/{id}/{}", stored.subject).as_str()),
            "{name}"
        );
        assert!(decoded(stored.header("ce-type").unwrap()).starts_with("ai.vapi."));
        let mut headers: Vec<_> = stored
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |_| name.to_string()))
            .filter(|name| name != "ce-subject")
            .collect();
        headers.sort_unstable();
        let expected = [
            "Nats-Msg-Id",
            "ce-datacontenttype",
            "ce-id",
            "ce-source",
            "ce-specversion",
            "ce-time",
            "ce-type",
        ];
        assert_eq!(headers, expected, "{name}");
    }
    let kind = |name: &str| {
        let place = cases.iter().position(|case| case.name == name).unwrap();
        decoded(stored[place].header("ce-type").unwrap())
    };
    assert_eq!(kind("a type of several tokens"), "ai.vapi.call.delete.failed");
    assert_eq!(kind("points in a row"), "ai.vapi.a..b");
    assert_eq!(kind("a whole pair"), "ai.vapi.\u{1f980}");
    assert_eq!(
        kind("line breaks in the type"),
        "ai.vapi.a\u{fffd}\u{fffd}ce-id: forged\u{fffd}\u{fffd}\u{fffd}\u{fffd}x"
    );
    // Types that nobody knows don't become labels.
    let other = r#"hookbus_webhooks_total{endpoint="unusual",type="other""#;
    assert!(bridge.metric(other).await > 40.0);
    assert!(!bridge.admin("/metrics").await.text().contains("forged"));
    assert_calm(&bridge);
}

/// Types and keys of any length: cut where they would be too long, and still told apart.
#[tokio::test]
async fn long_names_are_cut_and_stay_distinct() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "long").await;
    let types: Vec<String> = [128, 129, 130, 5_000, 1 << 20]
        .into_iter()
        .flat_map(|length| {
            [format!("{}a", "x".repeat(length - 1)), format!("{}b", "x".repeat(length - 1))]
        })
        .chain([".x".repeat(2_000), "\u{1f980}".repeat(100), "*".repeat(129)])
        .collect();
    for kind in &types {
        let body = serde_json::json!({"message": {"type": kind, "call": {"id": kind}}}).to_string();
        let answer = bridge.post("/long", body, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let stored = nats.messages("long", 0).await;
    assert_eq!(stored.len(), types.len());
    for (kind, stored) in types.iter().zip(&stored) {
        let token = stored.subject.strip_prefix("long.events.").unwrap();
        if kind.len() <= 128 {
            assert_eq!(token, kind);
        } else {
            assert!(token.len() < 500 && token != kind, "{token}");
            assert!(token.split('.').all(|token| !token.is_empty()), "{token}");
            assert!(!token.contains(['*', '>', ' ']), "{token}");
        }
        for name in ["ce-type", "ce-subject"] {
            let value = decoded(stored.header(name).unwrap());
            assert!(value.len() <= 1_024, "{name} has {} bytes", value.len());
            let whole = value.strip_prefix("ai.vapi.").unwrap_or(&value);
            assert!(kind.len() > 1_000 || whole == kind, "{name}: {whole}");
        }
    }
    for part in [
        |stored: &nats::Stored| stored.subject.clone(),
        |stored: &nats::Stored| stored.header("ce-type").unwrap().to_owned(),
        |stored: &nats::Stored| stored.header("ce-subject").unwrap().to_owned(),
    ] {
        let mut parts: Vec<_> = stored.iter().map(part).collect();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), types.len());
    }
    assert_calm(&bridge);
}

#[tokio::test]
async fn headers_of_the_sender_stay_in_their_place() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "sent").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent = [
        ("content-type", "application/vnd.x+json; charset=\"utf-8\""),
        ("traceparent", trace),
        ("tracestate", "a=1,b=2"),
        ("ce-id", "forged"),
        ("nats-msg-id", "forged"),
        ("hookbus-id", "forged"),
        ("authorization", "Bearer secret"),
        ("cookie", "a=b"),
    ];
    let body = crate::http::event("c");
    assert_eq!(bridge.post("/sent", body.clone(), &sent).await.status, 200);
    let malformed = [("traceparent", "00-1-2-3"), ("tracestate", "a=1")];
    assert_eq!(bridge.post("/sent", body, &malformed).await.status, 200);
    let stored = nats.messages("sent", 0).await;
    assert_eq!(
        stored[0].header("ce-datacontenttype").map(decoded).as_deref(),
        Some("application/vnd.x+json; charset=\"utf-8\"")
    );
    assert_eq!(stored[0].header("traceparent"), Some(trace));
    assert_eq!(stored[0].header("tracestate"), Some("a=1,b=2"));
    assert_eq!(stored[1].header("traceparent"), None);
    assert_eq!(stored[1].header("tracestate"), None);
    for stored in &stored {
        let text = format!("{:?}", stored.headers);
        assert!(!text.contains("forged") && !text.contains("secret"), "{text}");
        assert_eq!(stored.header("cookie"), None);
    }
}
