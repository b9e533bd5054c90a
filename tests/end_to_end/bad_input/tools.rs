//! Tool calls that are many, deep, doubled or large, and answers that are.

use super::{assert_calm, nested, start};
use crate::http::question;
use crate::support::{Reply, Worker, nats};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn of_65_tool_calls_64_are_asked() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "many").await;
    let worker =
        Worker::start(nats, "many.tool.*", |asked| Reply::text(asked.json()["id"].to_string()))
            .await;
    let names: Vec<_> = (0..65).map(|number| format!("f{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answer = bridge.post("/many", crate::http::tool_calls(&names), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("overloaded")));
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 65);
    for (number, result) in results.iter().enumerate() {
        let id = format!("call_{}", number + 1);
        assert_eq!(result["toolCallId"], id);
        assert_eq!(result["name"], names[number]);
        if number < 64 {
            assert_eq!(result["result"], id);
        } else {
            assert!(result["error"].is_string() && result.get("result").is_none());
        }
    }
    assert_eq!(worker.questions().len(), 64);
}

#[tokio::test]
async fn of_doubled_members_the_last_counts() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "doubled").await;
    let worker = Worker::start(nats, "doubled.>", |asked| Reply::text(asked.payload.clone())).await;
    let cases = [
        // The call's own members.
        (
            r#""toolCallList":[{"id":"x","id":"i","function":{"name":"x","name":"f","arguments":{"x":1},"arguments":{"a":1}}}]"#,
            r#"{"id":"i","name":"f","arguments":{"a":1}}"#,
        ),
        (
            r#""toolCallList":[{"id":"i","function":{"name":"x","arguments":{"x":1}},"function":{"name":"f"}}]"#,
            r#"{"id":"i","name":"f","arguments":{}}"#,
        ),
        (
            r#""toolCallList":[{"id":"i","function":{"name":"x"},"function":null,"name":"f"}]"#,
            r#"{"id":"i","name":"f","arguments":{}}"#,
        ),
        (
            r#""toolCallList":[{"id":"i","function":{"name":"x","n\u0061me":"f"}}]"#,
            r#"{"id":"i","name":"f","arguments":{}}"#,
        ),
        // The list itself.
        (
            r#""toolCallList":[{"id":"x","name":"x"}],"toolCallList":[{"id":"i","name":"f"}]"#,
            r#"{"id":"i","name":"f","arguments":{}}"#,
        ),
        (
            r#""toolCallList":[{"id":"x","name":"x"}],"toolC\u0061llList":[{"id":"i","name":"f"}]"#,
            r#"{"id":"i","name":"f","arguments":{}}"#,
        ),
        // The context.
        (
            r#""call":{"id":"x"},"customer":1,"call":{"id":"c"},"toolCallList":[{"id":"i","name":"f"}]"#,
            r#"{"id":"i","name":"f","arguments":{},"customer":1,"call":{"id":"c"}}"#,
        ),
        (
            r#""call":{"id":"x"},"c\u0061ll":{"id":"d"},"toolCallList":[{"id":"i","name":"f"}]"#,
            r#"{"id":"i","name":"f","arguments":{},"c\u0061ll":{"id":"d"}}"#,
        ),
    ];
    for (members, payload) in cases {
        let body = format!(r#"{{"message":{{"type":"x","type":"tool-calls",{members}}}}}"#);
        let answer = bridge.post("/doubled", body, &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", answer.text());
        let asked = worker.questions().pop().unwrap();
        assert_eq!(asked.subject, "doubled.tool.f", "{members}");
        assert_eq!(std::str::from_utf8(&asked.payload).unwrap(), payload);
    }
    assert_eq!(worker.questions().len(), cases.len());
}

#[tokio::test]
async fn numbers_stay_as_they_are_written() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "numbers").await;
    let numbers = r#"{"a":9007199254740993,"b":123456789012345678901234567890,"c":-0,"d":1.10,"e":1E400,"f":[1e5,100000.0]}"#;
    let worker = Worker::start(nats, "numbers.tool.*", |asked| {
        let asked = std::str::from_utf8(&asked.payload).unwrap();
        let start = asked.find(r#"{"a":9"#).unwrap();
        Reply::text(asked[start..=asked.find("]}").unwrap() + 1].to_owned())
    })
    .await;
    let quoted = json!(numbers).to_string();
    for arguments in [numbers, &quoted] {
        let body = format!(
            r#"{{"message":{{"type":"tool-calls","toolCallList":[{{"id":"i","function":{{"name":"f","arguments":{arguments}}}}}]}}}}"#
        );
        let answer = bridge.post("/numbers", body, &[]).await;
        assert_eq!(
            std::str::from_utf8(&worker.questions().pop().unwrap().payload).unwrap(),
            format!(r#"{{"id":"i","name":"f","arguments":{numbers}}}"#)
        );
        assert_eq!(answer.json()["results"][0]["result"], numbers);
    }
    // An answer with a shape is passed on as bytes, too.
    let reply = r#"{ "assistantId":"a", "assistantOverrides":{"n":9007199254740993, "m":123456789012345678901234567890} }"#;
    let _asked = Worker::start(nats, "numbers.ask.*", move |_| Reply::text(reply)).await;
    drop(worker);
    let answer = bridge.post("/numbers", question("assistant-request"), &[]).await;
    assert_eq!((answer.status, answer.text()), (200, reply));
}

#[tokio::test]
async fn halves_of_surrogates_pass() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "halves").await;
    let worker = Worker::start(nats, "halves.tool.*", |asked| match &*asked.subject {
        "halves.tool.text" => Reply::text(r#""a\ud800b""#),
        "halves.tool.entry" => Reply::text(r#"{"result":"a\udc00b","metadata":{"x":"\ud800"}}"#),
        // A subject is text: half a surrogate in a name becomes U+FFFD there.
        "halves.tool.%EF%BF%BD" => Reply::text(r#"{"x":"\ud800"}"#),
        other => panic!("{other}"),
    })
    .await;
    let calls = r#"[{"id":"1","name":"text","arguments":{"a":"\ud800"}},{"id":"2","name":"entry","arguments":"{\"a\":\"\ud800\"}"},{"id":"3","name":"\ud800","arguments":"\udc00"}]"#;
    let body = format!(
        r#"{{"message":{{"type":"tool-calls","call":{{"id":"\ud800"}},"toolCallList":{calls}}}}}"#
    );
    let answer = bridge.post("/halves", body, &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", answer.text());
    let questions = worker.questions();
    let payload = |subject: &str| {
        let found = questions.iter().find(|asked| asked.subject == subject).unwrap();
        std::str::from_utf8(&found.payload).unwrap().to_owned()
    };
    assert!(
        payload("halves.tool.text")
            .contains(r#""arguments":{"a":"\ud800"},"call":{"id":"\ud800"}"#)
    );
    assert!(payload("halves.tool.%EF%BF%BD").contains(r#""arguments":"\udc00""#));
    let text = answer.text();
    assert!(text.contains("\"result\":\"a\u{fffd}b\""), "{text}");
    // What is only given back stays as it was.
    assert!(text.contains(r#""name":"\ud800","toolCallId":"3""#), "{text}");
    assert_calm(&bridge);
}

/// Deep on all ways: in arguments, in a string of arguments, in context, in a worker's reply.
#[tokio::test]
async fn depth_breaks_nothing() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "deep").await;
    let deep = nested(100_000);
    let reply = deep.clone();
    let _worker = Worker::start(nats, "deep.*.*", move |asked| match &*asked.subject {
        "deep.tool.entry" => Reply::text(format!(r#"{{"result":{reply},"metadata":{reply}}}"#)),
        "deep.tool.object" => Reply::text(format!(r#"{{"x":{reply}}}"#)),
        "deep.ask.assistant-request" => {
            Reply::text(format!(r#"{{"assistantId":"a","x":{reply}}}"#))
        }
        "deep.tool.open" => Reply::text("[".repeat(100_000)),
        _ => Reply::text(reply.clone()),
    })
    .await;
    let call = |name: &str, arguments: &str| {
        format!(r#"{{"id":"{name}","name":"{name}","arguments":{arguments}}}"#)
    };
    let calls = [
        call("plain", &deep),
        call("object", &format!(r#"{{"x":{deep}}}"#)),
        call("entry", &json!(format!(r#"{{"x":{deep}}}"#)).to_string()),
        call("open", &json!("{\"x\":".repeat(100_000)).to_string()),
    ];
    let body = format!(
        r#"{{"message":{{"type":"tool-calls","call":{deep},"toolCallList":[{}]}}}}"#,
        calls.join(",")
    );
    let answer = bridge.post("/deep", body, &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    let text = answer.text();
    for expected in [
        format!(r#""toolCallId":"plain","result":"{deep}"}}"#),
        format!(r#""toolCallId":"object","result":"{{\"x\":{deep}}}"}}"#),
        format!(r#""toolCallId":"entry","result":"{deep}","metadata":{deep}}}"#),
        format!(r#""toolCallId":"open","result":"{}"}}"#, "[".repeat(100_000)),
    ] {
        assert!(text.contains(&expected), "{} is missing", &expected[..60]);
    }
    // Whether this one has the right shape is looked at with a limit.
    let answer = bridge.post("/deep", question("assistant-request"), &[]).await;
    assert!([200, 502].contains(&answer.status), "{}", answer.status);
    assert_calm(&bridge);
}

/// Bodies that would take a careless reader minutes.
#[tokio::test]
async fn size_makes_nothing_slow() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "slow").await;
    let _worker = Worker::start(nats, "slow.tool.*", |_| Reply::text("done")).await;
    let members: String = (0..400_000).map(|number| format!(r#""{number}":0,"#)).collect();
    let with_members = format!(
        r#"{{"message":{{{members}"type":"tool-calls","toolCallList":[{{"id":"i","name":"f"}}]}}}}"#
    );
    let calls: Vec<_> = (0..60_000).map(|id| format!(r#"{{"id":"{id}","name":"f"}}"#)).collect();
    let tools: Vec<_> =
        calls.iter().rev().map(|call| format!(r#"{{"toolCall":{call}}}"#)).collect();
    let with_calls = format!(
        r#"{{"message":{{"type":"tool-calls","toolCallList":[{}],"toolWithToolCallList":[{}]}}}}"#,
        calls.join(","),
        tools.join(",")
    );
    for (body, outcome) in [(with_members, "answered"), (with_calls, "overloaded")] {
        let answer = bridge.post("/slow", body, &[]).await;
        assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some(outcome)));
        assert!(answer.elapsed < Duration::from_secs(10), "{:?}", answer.elapsed);
    }
    assert_calm(&bridge);
}

/// Lists that aren't lists, calls that aren't calls: what is there is answered.
#[tokio::test]
async fn odd_lists_are_read_as_far_as_they_go() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "lists").await;
    let _worker = Worker::start(nats, "lists.tool.*", |_| Reply::text("done")).await;
    let one = r#"{"results":[{"name":"f","toolCallId":"i","result":"done"}]}"#;
    let cases = [
        ("", r#"{"results":[]}"#),
        (r#","toolCallList":[]"#, r#"{"results":[]}"#),
        (r#","toolCallList":null"#, r#"{"results":[]}"#),
        (r#","toolCallList":{"id":"i","name":"f"}"#, r#"{"results":[]}"#),
        (r#","toolCallList":"[]""#, r#"{"results":[]}"#),
        (r#","toolCallList":[],"toolCalls":[{"id":"i","name":"f"}]"#, one),
        (
            r#","toolCallList":null,"toolCalls":[],"toolWithToolCallList":[{"toolCall":{"id":"i","name":"f"}}]"#,
            one,
        ),
        (r#","toolWithToolCallList":[{"name":"f","toolCall":{"id":"i"}}]"#, one),
        (
            r#","toolWithToolCallList":[{"function":{"name":"f"},"toolCall":{"id":"i","parameters":1}}]"#,
            one,
        ),
        (
            r#","toolCallList":[{"id":"i"}],"toolWithToolCallList":[{"name":"f","toolCall":{"id":"\u0069"}}]"#,
            one,
        ),
        (r#","toolCallList":[{"id":"i","function":{"name":"f","parameters":null}}]"#, one),
    ];
    for (members, expected) in cases {
        let body = format!(r#"{{"message":{{"type":"tool-calls"{members}}}}}"#);
        let answer = bridge.post("/lists", body, &[]).await;
        assert_eq!((answer.status, answer.text()), (200, expected), "{members}");
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
    }
}
