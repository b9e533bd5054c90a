#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::json::Reader;
use crate::message::Body;

fn members(message: &Value) -> Members {
    let text = message.to_string();
    let body = Bytes::from(text);
    let mut found = Vec::new();
    let mut reader = Reader::new(&body).unwrap();
    reader
        .object(|reader, key| {
            found.push((key, reader.skip()?));
            Ok(())
        })
        .unwrap();
    Members::new(&body, &found)
}

fn call_of(question: &Question) -> (Option<String>, Value) {
    let Payload::Call(call) = &question.payload else {
        panic!("it is a call");
    };
    let id = call.id.as_ref().map(|id| String::from_utf8(id.to_vec()).unwrap());
    (id, serde_json::from_slice(&call.arguments).unwrap())
}

#[test]
fn every_printed_shape_is_read() {
    let arguments = json!({"city": "Oslo"});
    for call in [
        json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"city": "Oslo"}}}),
        json!({"id": "c1", "function": {"name": "f", "arguments": "{\"city\": \"Oslo\"}"}}),
        json!({"id": "c1", "function": {"name": "f", "parameters": {"city": "Oslo"}}}),
        json!({"id": "c1", "name": "f", "parameters": {"city": "Oslo"}}),
        json!({"id": "c1", "name": "f", "arguments": {"city": "Oslo"}}),
        json!({"id": "c1", "name": "f", "arguments": null, "parameters": "{\"city\":\"Oslo\"}"}),
    ] {
        for message in [
            json!({"toolCallList": [call]}),
            json!({"toolCallList": [], "toolCalls": [call]}),
            json!({"toolCallList": null, "toolCalls": [], "toolWithToolCallList": [{"toolCall": call}]}),
        ] {
            let questions = split(&members(&message));
            assert_eq!(questions.len(), 1, "{message}");
            assert_eq!(questions[0].function.as_deref(), Some("f"), "{message}");
            let (id, read) = call_of(&questions[0]);
            assert_eq!((id.as_deref(), &read), (Some("\"c1\""), &arguments), "{message}");
        }
    }
}

#[test]
fn a_call_is_completed_by_its_tool() {
    let questions = split(&members(&json!({
        "toolCallList": [{"id": "a"}, {"id": "b", "name": "own"}],
        "toolWithToolCallList": [
            {"name": "flat", "async": true, "toolCall": {"id": "b"}},
            {"function": {"name": "inner"}, "name": "flat", "server": {"timeoutSeconds": 5.5}, "toolCall": {"id": "a", "parameters": {"x": 1}}},
        ],
    })));
    assert_eq!(questions[0].function.as_deref(), Some("inner"));
    assert_eq!(questions[0].limit, Some(Duration::from_millis(3_500)));
    assert!(!questions[0].is_async);
    assert_eq!(call_of(&questions[0]).1, json!({"x": 1}));
    assert_eq!(questions[1].function.as_deref(), Some("own"));
    assert!(questions[1].is_async);
}

#[test]
fn strings_are_unwrapped_only_where_they_hold_an_object() {
    for (arguments, read) in [
        (json!("{\"a\":1}"), json!({"a": 1})),
        (json!(" {\"a\":1} "), json!({"a": 1})),
        (json!("[1]"), json!("[1]")),
        (json!("Oslo"), json!("Oslo")),
        (json!(""), json!("")),
        (json!("{broken"), json!("{broken")),
        (json!([1, 2]), json!([1, 2])),
        (Value::Null, json!({})),
    ] {
        let message = json!({"toolCallList": [{"id": "a", "name": "f", "arguments": arguments}]});
        assert_eq!(call_of(&split(&members(&message))[0]).1, read, "{arguments}");
    }
}

#[test]
fn short_limits_leave_something() {
    for (seconds, limit) in [(20.0, 18_000), (3.0, 1_000), (2.0, 500), (1.0, 250)] {
        let message = json!({
            "toolCallList": [{"id": "a", "name": "f"}],
            "toolWithToolCallList": [{"server": {"timeoutSeconds": seconds}, "toolCall": {"id": "a"}}],
        });
        let found = split(&members(&message))[0].limit;
        assert_eq!(found, Some(Duration::from_millis(limit)), "{seconds}");
    }
    for nonsense in [json!("20"), json!(-1), json!(1e300), Value::Null] {
        let message = json!({
            "toolCallList": [{"id": "a"}],
            "toolWithToolCallList": [{"server": {"timeoutSeconds": nonsense}, "toolCall": {"id": "a"}}],
        });
        assert_eq!(split(&members(&message))[0].limit, None, "{nonsense}");
    }
}

#[test]
fn the_sixty_fifth_call_is_not_asked() {
    let calls: Vec<_> = (0..65).map(|n| json!({"id": n.to_string(), "name": "f"})).collect();
    let questions = split(&members(&json!({ "toolCallList": calls })));
    assert_eq!(questions.iter().filter(|question| question.excess).count(), 1);
    assert!(questions[64].excess);
}

fn merged(content: Content) -> Value {
    let questions = split(&members(&json!({"toolCallList": [{"id": "c1", "name": "f"}]})));
    let outcome = match content {
        Content::Reply(_) => Outcome::Answered,
        _ => Outcome::Timeout,
    };
    let reply = merge(&questions, vec![Answer { outcome, content }]);
    let Body::Whole(body) = reply.body else {
        panic!("it is whole");
    };
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn replies_become_entries() {
    let reply = |text: &str| {
        let entry = merged(Content::Reply(text.to_owned().into()))["results"][0].clone();
        assert_eq!((&entry["name"], &entry["toolCallId"]), (&json!("f"), &json!("c1")));
        entry
    };
    for (text, result) in [
        ("sunny", "sunny"),
        ("\"sunny\"", "sunny"),
        ("a\nb\r\n\r\nc", "a b c"),
        ("\"a\\n\\nb\\u2028c\"", "a b c"),
        ("{ \"temperature\" : 21.50 }", "{\"temperature\":21.50}"),
        ("9007199254740993", "9007199254740993"),
        ("null", "null"),
        ("[1, 2]", "[1,2]"),
        ("{\"result\":\"sunny\"}", "sunny"),
        ("{\"result\":{\"t\": 1},\"toolCallId\":\"other\",\"name\":\"other\"}", "{\"t\":1}"),
        ("{\"result\":\"x\",\"extra\":1}", "{\"result\":\"x\",\"extra\":1}"),
        ("{\"result\":null}", "{\"result\":null}"),
    ] {
        let entry = reply(text);
        assert_eq!(entry["result"], json!(result), "{text}");
        assert!(entry.get("error").is_none());
    }
    let entry = reply(
        "{\"result\":\"x\",\"error\":\"no\\nway\",\"message\":{\"type\":\"request-failed\"},\"metadata\":{\"a\":1}}",
    );
    assert_eq!(entry["error"], json!("no way"));
    assert!(entry.get("result").is_none());
    assert_eq!(entry["message"]["type"], json!("request-failed"));
    assert_eq!(entry["metadata"]["a"], json!(1));
}

#[test]
fn failures_become_errors_or_fallbacks() {
    let entry = merged(Content::Nothing)["results"][0].clone();
    assert_eq!(entry["error"], json!(Outcome::Timeout.sentence()));
    let entry = merged(Content::Error("it\nbroke".to_owned()))["results"][0].clone();
    assert_eq!(entry["error"], json!("it broke"));
    let entry = merged(Content::Fallback("\"call back later\"".into()))["results"][0].clone();
    assert_eq!(entry["result"], json!("call back later"));
    let entry = merged(Content::Fallback("{\"retry\":true}".into()))["results"][0].clone();
    assert_eq!(entry["result"], json!("{\"retry\":true}"));
}

#[test]
fn nothing_asked_is_answered_with_nothing() {
    let Body::Whole(body) = merge(&split(&members(&json!({}))), Vec::new()).body else {
        panic!("it is whole");
    };
    assert_eq!(body, r#"{"results":[]}"#);
}
