//! What a worker may reply to a tool call, and the entry that becomes of it.

use super::Scripted;
use super::checks::Checks;
use crate::http::{open, tool_calls};
use crate::support::{Bridge, Reply, Worker, nats, sample};
use serde_json::{Value, json};

/// A reply, and what stands in its entry beside `name` and `toolCallId`; no entry for one without a result.
fn forms() -> Vec<(Reply, Option<Value>)> {
    let text = |reply: &str, result: &str| {
        (Reply::text(reply.to_owned()), Some(json!({"result": result})))
    };
    let entry = |reply: Value, entry: Value| (Reply::json(&reply), Some(entry));
    vec![
        text("sunny", "sunny"),
        text("  sunny \n", "sunny"),
        text("4 degrees, \"cold\"", "4 degrees, \"cold\""),
        text(r#""sunny""#, "sunny"),
        text(r#""sunny\nand \"warm\"""#, "sunny and \"warm\""),
        text(r#""""#, ""),
        text("7", "7"),
        text("1.50", "1.50"),
        text("true", "true"),
        text("null", "null"),
        text("{ \"a\" : 1.0,\n \"b\" : [ 1, \"x y\" ] }", r#"{"a":1.0,"b":[1,"x y"]}"#),
        text("[1, 2,\n3]", "[1,2,3]"),
        text("{}", "{}"),
        text("{not JSON", "{not JSON"),
        text("one\ntwo\r\n\r\nthree\rfour", "one two three four"),
        text("one\u{2028}two\u{2029}three\u{85}four", "one two three four"),
        text("one\u{2028}\n\r\u{2029}two", "one two"),
        text("\u{1f327} caf\u{e9}", "\u{1f327} caf\u{e9}"),
        // The entry itself.
        entry(json!({"result": "x"}), json!({"result": "x"})),
        entry(json!({"error": "no\nroom"}), json!({"error": "no room"})),
        entry(json!({"result": "x", "error": "y"}), json!({"error": "y"})),
        entry(json!({"result": "x", "error": null}), json!({"result": "x"})),
        entry(json!({"result": null, "error": "y"}), json!({"error": "y"})),
        entry(json!({"result": {"a": [1, 2]}}), json!({"result": r#"{"a":[1,2]}"#})),
        entry(json!({"result": ["a\nb"]}), json!({"result": r#"["a\nb"]"#})),
        entry(json!({"result": 7}), json!({"result": "7"})),
        entry(json!({"result": false}), json!({"result": "false"})),
        entry(json!({"error": {"code": 1}}), json!({"error": r#"{"code":1}"#})),
        entry(json!({"result": "a\u{2028}b\n"}), json!({"result": "a b "})),
        entry(
            json!({"result": "x", "message": {"type": "request-complete", "content": "Done.\nReally."}, "metadata": {"a": [1]}}),
            json!({"result": "x", "message": {"type": "request-complete", "content": "Done.\nReally."}, "metadata": {"a": [1]}}),
        ),
        entry(
            json!({"error": "x", "message": {"type": "request-failed", "content": "Sorry."}}),
            json!({"error": "x", "message": {"type": "request-failed", "content": "Sorry."}}),
        ),
        entry(
            json!({"name": "other", "toolCallId": "other", "result": "x"}),
            json!({"result": "x"}),
        ),
        // No entries, but answers.
        text(r#"{"result":null}"#, r#"{"result":null}"#),
        text(r#"{"message":"x"}"#, r#"{"message":"x"}"#),
        text(r#"{"result":"x","temperature":4}"#, r#"{"result":"x","temperature":4}"#),
        text(
            r#"{"results":[{"toolCallId":"other","result":"x"}]}"#,
            r#"{"results":[{"toolCallId":"other","result":"x"}]}"#,
        ),
        text(r#"[{"result":"x"}]"#, r#"[{"result":"x"}]"#),
        text(r#"{"result":"x"} and more"#, r#"{"result":"x"} and more"#),
        // Errors.
        (
            Reply::error("500", "the database\u{2028}is down"),
            Some(json!({"error": "the database is down"})),
        ),
        (Reply::text("ignored").header("Nats-Service-Error", "no"), Some(json!({"error": "no"}))),
        (Reply::error("500", ""), None),
        (Reply::text("ignored").header("Nats-Service-Error-Code", "404"), None),
        (Reply::text(""), None),
        (Reply::text(&b"caf\xe9"[..]), None),
    ]
}

#[tokio::test]
async fn every_form_of_a_reply_becomes_an_entry() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("entries")).nats(nats).start_ready().await;
    let forms = forms();
    let replies: Vec<_> = forms.iter().map(|(reply, _)| reply.clone()).collect();
    let _worker = Worker::start(nats, "entries.tool.*", move |asked| {
        let number = asked.subject.rsplit('_').next().unwrap();
        replies[number.parse::<usize>().unwrap()].clone()
    })
    .await;
    let functions: Vec<_> = (0..forms.len()).map(|number| format!("form_{number}")).collect();
    let functions: Vec<_> = functions.iter().map(String::as_str).collect();
    let request = tool_calls(&functions);
    let answer = bridge.post("/entries", request.clone(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("bad-reply")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), forms.len());
    for (number, ((reply, expected), result)) in forms.iter().zip(results).enumerate() {
        let mut result = result.as_object().unwrap().clone();
        assert_eq!(result.remove("name"), Some(json!(functions[number])), "{reply:?}");
        assert_eq!(
            result.remove("toolCallId"),
            Some(json!(format!("call_{}", number + 1))),
            "{reply:?}"
        );
        match expected {
            Some(expected) => assert_eq!(Value::Object(result), *expected, "{reply:?}"),
            None => {
                let sentence = result.remove("error");
                let sentence = sentence.as_ref().and_then(Value::as_str).unwrap();
                assert!(!sentence.is_empty() && sentence.len() < 100, "{reply:?}: {sentence}");
                assert!(result.is_empty(), "{reply:?}: {result:?}");
            }
        }
    }
    let mut checks = Checks::default();
    checks.add("tool-calls", &request, &answer.body);
    checks.run().await;
}

/// All printed variants of a tool call are one question with the same payload.
#[tokio::test]
async fn every_form_of_a_call_is_understood() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    // The samples are the same call in many forms: each is to be asked.
    let source = "source = \"vapi\"\n";
    let endpoint = open("variants").replace(source, &format!("{source}answer_window = \"0s\"\n"));
    let bridge = Bridge::config(&endpoint).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "variants.tool.*").await;
    worker.says(Reply::text("on Monday"));
    let mut checks = Checks::default();
    for file in [
        "tool-calls.json",
        "tool-calls--chat.json",
        "tool-calls--flat-arguments.json",
        "tool-calls--flat-parameters.json",
        "tool-calls--string-arguments.json",
        "tool-calls--wire-2024.json",
    ] {
        let sample = sample(file);
        let answer = bridge.post("/variants", sample.bytes.clone(), &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{file}");
        let asked = worker.asked();
        assert_eq!(asked.subject, "variants.tool.lookup_appointment", "{file}");
        let (asked, message) = (asked.json(), &sample.json()["message"]);
        assert_eq!(asked["name"], "lookup_appointment", "{file}");
        assert_eq!(asked["id"], message["toolCallList"][0]["id"], "{file}");
        assert_eq!(asked["arguments"], json!({"phone": "+15555550142"}), "{file}");
        for member in ["call", "chat", "customer", "phoneNumber"] {
            assert_eq!(asked.get(member), message.get(member), "{file}: {member}");
        }
        let members = asked.as_object().unwrap();
        assert!(
            members.keys().all(|key| [
                "id",
                "name",
                "arguments",
                "call",
                "chat",
                "customer",
                "phoneNumber"
            ]
            .contains(&key.as_str())),
            "{file}"
        );
        let request = String::from_utf8(sample.bytes.to_vec()).unwrap();
        checks.add("tool-calls", &request, &answer.body);
    }
    checks.run().await;
}

#[tokio::test]
async fn arguments_are_unwrapped_where_they_hold_an_object() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("arguments")).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "arguments.tool.*").await;
    worker.says(Reply::text("done"));
    let cases = [
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (r#""{\"a\":1}""#, r#"{"a":1}"#),
        (r#"" {\"a\" : \"\\u00e9\"} ""#, r#" {"a" : "\u00e9"} "#),
        (r#""{\"a\":1} x""#, r#""{\"a\":1} x""#),
        (r#""{\"a\":""#, r#""{\"a\":""#),
        (r#""[1]""#, r#""[1]""#),
        (r#""Oslo""#, r#""Oslo""#),
        (r#""""#, r#""""#),
        ("[1]", "[1]"),
        ("7", "7"),
        ("false", "false"),
        ("null", "{}"),
    ];
    for (sent, expected) in cases {
        let body = format!(
            r#"{{"message":{{"type":"tool-calls","toolCallList":[{{"id":"i","function":{{"name":"f","arguments":{sent}}}}}]}}}}"#
        );
        bridge.post("/arguments", body, &[]).await;
        let asked = worker.asked();
        assert_eq!(
            std::str::from_utf8(&asked.payload).unwrap(),
            format!(r#"{{"id":"i","name":"f","arguments":{expected}}}"#)
        );
    }
}

#[tokio::test]
async fn a_rule_chooses_the_context() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rules = concat!(
        "[[endpoint.tool]]\nnames = [\"all\"]\ncontext = \"all\"\n",
        "[[endpoint.tool]]\nnames = [\"some\"]\ncontext = [\"timestamp\", \"assistant\", \"missing\"]\n",
        "[[endpoint.tool]]\nnames = [\"none\"]\ncontext = []\n",
    );
    let bridge = Bridge::config(&(open("context") + rules)).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "context.tool.*").await;
    worker.says(Reply::text("done"));
    let ask = async |function: &str| {
        let body = format!(
            r#"{{"message":{{"timestamp": 1.50,"type":"tool-calls","id":"forged","n\u0061me":"forged","arguments":"forged","toolCallList":[{{"id":"i","name":"{function}"}}],"call":{{ "id":"c" }},"assistant":null}}}}"#
        );
        bridge.post("/context", body, &[]).await;
        String::from_utf8(worker.asked().payload.to_vec()).unwrap()
    };
    assert_eq!(
        ask("all").await,
        r#"{"id":"i","name":"all","arguments":{},"timestamp":1.50,"type":"tool-calls","toolCallList":[{"id":"i","name":"all"}],"call":{ "id":"c" },"assistant":null}"#
    );
    assert_eq!(
        ask("some").await,
        r#"{"id":"i","name":"some","arguments":{},"timestamp":1.50,"assistant":null}"#
    );
    assert_eq!(ask("none").await, r#"{"id":"i","name":"none","arguments":{}}"#);
    assert_eq!(
        ask("other").await,
        r#"{"id":"i","name":"other","arguments":{},"call":{ "id":"c" }}"#
    );
}

#[tokio::test]
async fn the_legacy_call_has_an_answer_of_its_own() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = "[[endpoint.tool]]\nnames = [\"*\"]\nfallback = { spare = true }\n";
    let config = open("legacy") + &open("legacy-falls") + rule;
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "legacy.tool.*").await;
    let mut checks = Checks::default();
    for file in ["function-call.json", "function-call--string-parameters.json"] {
        let sample = sample(file);
        for (reply, result) in [
            ("sunny\nday", "sunny day"),
            (r#"{"a": 1}"#, r#"{"a":1}"#),
            (r#"{"result":"x"}"#, "x"),
            (r#"{"error":"no"}"#, "no"),
        ] {
            worker.says(Reply::text(reply));
            let answer = bridge.post("/legacy", sample.bytes.clone(), &[]).await;
            assert_eq!((answer.status, answer.json()), (200, json!({"result": result})));
            let request = String::from_utf8(sample.bytes.to_vec()).unwrap();
            checks.add("function-call", &request, &answer.body);
        }
        let asked = worker.asked();
        assert_eq!(asked.subject, "legacy.tool.lookup_appointment");
        assert_eq!(asked.json()["arguments"], json!({"phone": "+15555550142"}));
        assert_eq!(asked.json().get("id"), None);
    }
    let body = sample("function-call.json").bytes;
    worker.says(Reply::error("500", "broken"));
    let answer = bridge.post("/legacy", body.clone(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("worker-error")));
    worker.says(Reply::text(""));
    let answer = bridge.post("/legacy", body.clone(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("bad-reply")));
    let answer = bridge.post("/legacy-falls", body, &[]).await;
    assert_eq!(
        (answer.status, answer.header("hookbus-outcome"), answer.json()),
        (200, Some("no-responders"), json!({"result": r#"{"spare":true}"#}))
    );
    checks.run().await;
}
