#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::config;

fn redaction() -> Redaction {
    Redaction::new(&config::Tail::default().redact)
}

fn redacted(text: &str) -> String {
    redaction().apply(text.to_owned())
}

#[test]
fn values_of_secret_names_are_left_out() {
    let secret = json!("[redacted]");
    for (value, expected) in [
        (json!({"token": "s3cret"}), json!({"token": secret})),
        (
            json!({"a": [{"API-Key": {"b": ["s3cret"]}, "c": 1}]}),
            json!({"a": [{"API-Key": secret, "c": 1}]}),
        ),
        (
            json!({"server": {"secret": "s3cret\"}"}, "b": 2}),
            json!({"server": {"secret": secret}, "b": 2}),
        ),
        (
            json!({"accessToken": null, "client_secret": 5}),
            json!({"accessToken": secret, "client_secret": secret}),
        ),
        (json!({"maxTokens": 250, "text": "token"}), json!({"maxTokens": 250, "text": "token"})),
    ] {
        let text = redacted(&value.to_string());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
        let pretty = redacted(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&pretty).unwrap(), expected, "{pretty}");
    }
    assert_eq!(redacted(r#"{"\u0074oken" : "s3cret"}"#), r#"{"\u0074oken" : "[redacted]"}"#);
}

/// What holds no secret is shown as it came, and all of it where nothing is configured.
#[test]
fn all_else_stays_as_it_is() {
    for text in [
        "",
        "{",
        "[1, 2]",
        " {\"a\" : \"b\\\"\"}",
        "\"token\"",
        "plain & simple = text",
        "a=b&c=%7Bd%7D",
        "<token>x</token>",
    ] {
        assert_eq!(redacted(text), text);
    }
    let text = r#"{"arguments": "{\"city\": \"Oslo\"}", "said": "[laughs] she said \"no\" twice"}"#;
    assert_eq!(redacted(text), text);
    let text = r#"{"token": "shown"}"#;
    assert_eq!(Redaction::new(&[]).apply(text.to_owned()), text);
}

#[test]
fn json_in_strings_is_read_too() {
    let mut value = json!({"token": "s3cret", "n": 1});
    for depth in 0..2 * MAX_DEPTH {
        value = json!({"arguments": value.to_string(), "n": 1});
        let text = redacted(&value.to_string());
        assert!(!text.contains("s3cret") && text.contains(REDACTED), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["n"], 1);
        let inner = serde_json::from_str::<Value>(read["arguments"].as_str().unwrap());
        assert!(inner.is_ok(), "{depth}: {text}");
    }
}

#[test]
fn fields_of_forms_are_read() {
    assert_eq!(
        redacted("token=s3cret&text=a+b&%74oken=s3cret"),
        "token=[redacted]&text=a+b&%74oken=[redacted]"
    );
    let payload: String = byte_serialize(br#"{"token":"s3cret","a":"b c"}"#).collect();
    let text = redacted(&format!("payload={payload}&x=1"));
    let fields: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    assert_eq!(fields[0].1, r#"{"token":"[redacted]","a":"b c"}"#);
    assert_eq!(fields[1], ("x".to_owned(), "1".to_owned()));
}

/// Wherever it is cut, and whatever is broken, no part of a secret is shown.
#[test]
fn no_cut_shows_one() {
    let inner = json!({"password": "s3cret", "b": [1]}).to_string();
    let value = json!({"token": "s3cret\\", "list": [{"apiKey": ["s3cret", {"x": "s3cret"}]}], "inner": inner, "secret": {}});
    let form = format!(
        "a=1&token=s3cret&payload={}",
        byte_serialize(inner.as_bytes()).collect::<String>()
    );
    for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), form] {
        for end in 0..=text.len() {
            let shown = redacted(&text[..end]);
            assert!(!shown.contains("s3"), "{shown}");
        }
    }
    for broken in [
        r#"{"a": "x"", "token": "s3cret"}"#,
        r#"{"a": "he said "no", "token": "s3cret"}"#,
        r#"{"a": "x" y", "token": "s3cret"}"#,
        r#"{"a": ", "token": "s3cret"}"#,
        r#"{"a" "token" "s3cret"}"#,
    ] {
        let shown = redacted(broken);
        assert!(!shown.contains("s3cret") && shown.ends_with(REST), "{shown}");
    }
}

/// JSON in a string in a string, as deep as 64 KiB can be: it takes no stack and little time.
#[test]
fn depth_costs_little() {
    let mut text = r#"["a"]"#.to_owned();
    while text.len() < 64 << 10 {
        text = format!("[{}]", json::quote(&text).replace("\\\\", "\\u005c"));
    }
    let began = std::time::Instant::now();
    redacted(&text);
    redacted(&"[\"".repeat(32 << 10));
    redacted(&"{\"token\":".repeat(8 << 10));
    redacted(&"{\"token\":[".repeat(8 << 10));
    let took = began.elapsed();
    println!("{took:?}");
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}
