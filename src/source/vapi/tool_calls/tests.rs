#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use std::sync::Arc;
use std::time::Duration;

use super::*;
use futures_util::{FutureExt, StreamExt};

use crate::message::{Body, Content, Outcome};
use crate::source::{Meaning, Request, Source, vapi::Vapi};

/// What is asked by a message of this type with these members.
fn of_type(kind: &str, message: &Value, key: &str) -> Questions {
    let mut message = message.clone();
    message["type"] = json!(kind);
    message["call"] = json!({"id": key});
    let body = Bytes::from(json!({"message": message}).to_string());
    let (head, ()) = http::Request::new(()).into_parts();
    match Vapi.classify(Request::new(&head, &body)).unwrap().meaning {
        Meaning::Questions(questions) => questions,
        Meaning::Event | Meaning::Handshake(_) => panic!("it asks"),
    }
}

fn questions(message: &Value) -> Questions {
    of_type("tool-calls", message, "c")
}

fn asked(message: &Value) -> Vec<Question> {
    questions(message).all
}

/// The ids and arguments of the calls, as their workers get them.
fn calls(message: &Value) -> Vec<(Option<Value>, Value)> {
    let context = Context::Members(Vec::new());
    let payloads = questions(message).dialogue.payloads(&|_| &context, &mut |_| true);
    let read = |payload: Option<Bytes>| {
        let payload: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        (payload.get("id").cloned(), payload["arguments"].clone())
    };
    payloads.into_iter().map(read).collect()
}

fn merge(questions: Questions, answers: Vec<Answer>) -> Reply {
    questions.dialogue.reply(answers, unasked()).unwrap()
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
            let questions = asked(&message);
            assert_eq!(questions.len(), 1, "{message}");
            assert_eq!(questions[0].function.as_deref(), Some("f"), "{message}");
            let (id, read) = &calls(&message)[0];
            assert_eq!((id, read), (&Some(json!("c1")), &arguments), "{message}");
        }
    }
}

#[test]
fn a_call_is_completed_by_its_tool() {
    let message = json!({
        "toolCallList": [{"id": "a"}, {"id": "b", "name": "own"}],
        "toolWithToolCallList": [
            {"name": "flat", "async": true, "toolCall": {"id": "b"}},
            {"function": {"name": "inner"}, "name": "flat", "server": {"timeoutSeconds": 5.5}, "toolCall": {"id": "a", "parameters": {"x": 1}}},
        ],
    });
    let questions = asked(&message);
    assert_eq!(questions[0].function.as_deref(), Some("inner"));
    assert_eq!(questions[0].limit, Some(Duration::from_millis(3_500)));
    assert!(!questions[0].is_async);
    assert_eq!(calls(&message)[0].1, json!({"x": 1}));
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
        assert_eq!(calls(&message)[0].1, read, "{arguments}");
    }
}

#[test]
fn short_limits_leave_something() {
    for (seconds, limit) in [(20.0, 18_000), (3.0, 1_000), (2.0, 500), (1.0, 250)] {
        let message = json!({
            "toolCallList": [{"id": "a", "name": "f"}],
            "toolWithToolCallList": [{"server": {"timeoutSeconds": seconds}, "toolCall": {"id": "a"}}],
        });
        let found = asked(&message)[0].limit;
        assert_eq!(found, Some(Duration::from_millis(limit)), "{seconds}");
    }
    for nonsense in [json!("20"), json!(-1), json!(1e300), Value::Null] {
        let message = json!({
            "toolCallList": [{"id": "a"}],
            "toolWithToolCallList": [{"server": {"timeoutSeconds": nonsense}, "toolCall": {"id": "a"}}],
        });
        assert_eq!(asked(&message)[0].limit, None, "{nonsense}");
    }
}

/// The whole of a reply, and the largest of its parts.
fn whole(reply: Reply) -> (Vec<u8>, usize) {
    match reply.body {
        Body::Whole(bytes) => (bytes.to_vec(), bytes.len()),
        Body::Stream(parts) => {
            let parts: Vec<_> = parts.map(Result::unwrap).collect().now_or_never().unwrap();
            (parts.concat(), parts.iter().map(Bytes::len).max().unwrap())
        }
    }
}

/// A call of this function falls back, unless nobody waits for it.
fn unasked() -> Unasked {
    Arc::new(|function, is_async| {
        let content = match function {
            "spare" if !is_async => Content::Fallback("\"later\"".into()),
            _ => Content::Nothing,
        };
        Answer { outcome: Outcome::Overloaded, content }
    })
}

fn timeouts(count: usize) -> Vec<Answer> {
    let answer = || Answer { outcome: Outcome::Timeout, content: Content::Nothing };
    std::iter::repeat_with(answer).take(count).collect()
}

#[test]
fn what_is_too_much_is_answered_without_being_asked() {
    for count in [64, 65, 66, 5_000] {
        let calls = |wrap: fn(Value) -> Value| -> Vec<_> {
            let name = |n| if n % 2 == 0 { "spare" } else { "other" };
            let call = |n: usize| wrap(json!({"id": n.to_string(), "name": name(n)}));
            // What is no call has no entry.
            [json!(1)].into_iter().chain((0..count).map(call)).chain([json!(["{}"])]).collect()
        };
        for message in [
            json!({"toolCallList": calls(|call| call)}),
            json!({"toolCalls": calls(|call| call)}),
            json!({"toolWithToolCallList": calls(|call| json!({"toolCall": call}))}),
            json!({"toolWithToolCallList": calls(|mut call| json!({"name": call["name"].take(), "toolCall": call}))}),
        ] {
            let questions = questions(&message);
            assert_eq!(questions.all.len(), 64);
            assert_eq!(questions.dialogue.has_unasked(), count > 64);
            let (reply, largest) = whole(merge(questions, timeouts(64)));
            assert!(largest < 80 << 10, "{largest}");
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            let results = reply["results"].as_array().unwrap();
            assert_eq!(results.len(), count);
            for (n, entry) in results.iter().enumerate() {
                assert_eq!(entry["toolCallId"], n.to_string());
                match (n, entry["name"].as_str().unwrap()) {
                    (..64, _) => assert_eq!(entry["error"], Outcome::Timeout.sentence()),
                    (_, "spare") => assert_eq!(entry["result"], "later"),
                    _ => assert_eq!(entry["error"], Outcome::Overloaded.sentence()),
                }
            }
        }
    }
}

#[test]
fn fewer_are_asked_where_each_carries_a_long_key() {
    let message = json!({"toolCallList": vec![json!({"id": "a", "name": "f"}); 70]});
    for (key, expected) in [(1, 64), (128 << 10, 64), (1 << 20, 8), (8 << 20, 1), (9 << 20, 1)] {
        let questions = of_type("tool-calls", &message, &"k".repeat(key));
        assert_eq!(
            (questions.all.len(), questions.dialogue.has_unasked()),
            (expected, true),
            "{key}"
        );
    }
}

#[test]
fn excess_that_nobody_waits_for_has_no_result() {
    let tool =
        |n: usize| json!({"name": "spare", "async": n.is_multiple_of(2), "toolCall": {"id": n}});
    let questions =
        questions(&json!({"toolWithToolCallList": (0..66).map(tool).collect::<Vec<_>>()}));
    let (reply, _) = whole(merge(questions, timeouts(64)));
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["results"][64]["error"], Outcome::Overloaded.sentence());
    assert_eq!(reply["results"][65]["result"], "later");
}

#[test]
fn tools_are_found_wherever_they_stand_in_a_long_list() {
    let calls: Vec<_> = (0..3).map(|n| json!({"id": format!("c{n}")})).collect();
    let mut tools: Vec<_> =
        (0..1_000).map(|n| json!({"name": "x", "toolCall": {"id": n}})).collect();
    tools.push(json!({"name": "late", "toolCall": {"id": "c2"}}));
    tools.push(json!({"name": "later", "toolCall": {"id": "c2"}}));
    let questions = asked(&json!({"toolCallList": calls, "toolWithToolCallList": tools}));
    let names: Vec<_> = questions.iter().map(|question| question.function.as_deref()).collect();
    assert_eq!(names, [Some(""), Some(""), Some("late")]);
}

fn merged(content: Content) -> Value {
    let questions = questions(&json!({"toolCallList": [{"id": "c1", "name": "f"}]}));
    let outcome = match content {
        Content::Reply(_) => Outcome::Answered,
        _ => Outcome::Timeout,
    };
    let (body, _) = whole(merge(questions, vec![Answer { outcome, content }]));
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn replies_become_entries() {
    let reply = |text: &str| {
        let entry = merged(Content::Reply(bytes::Bytes::from(text.to_owned()).into()))["results"]
            [0]
        .clone();
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
    let (body, _) = whole(merge(questions(&json!({})), Vec::new()));
    assert_eq!(body, br#"{"results":[]}"#);
}
