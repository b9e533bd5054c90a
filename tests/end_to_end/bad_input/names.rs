//! Function names and call ids: what a worker's subject becomes of them, and that the answer gives them back.

use super::{assert_calm, decoded, start};
use crate::support::{Reply, Worker, nats};
use serde_json::{Value, json};

/// Raw JSON of a name, and what stands for it in the subject.
fn names() -> Vec<(String, String)> {
    let short = [
        (r#""a.b""#, "a%2Eb"),
        (r#""*""#, "%2A"),
        (r#""a*""#, "a%2A"),
        (r#"">""#, "%3E"),
        (r#"".""#, "%2E"),
        (r#""..""#, "%2E%2E"),
        (r#""a b""#, "a%20b"),
        (r#"" ""#, "%20"),
        (r#""a\tb""#, "a%09b"),
        (r#""a\r\nNats-Service-Error: x""#, "a%0D%0ANats-Service-Error%3A%20x"),
        (r#""\u0000""#, "%00"),
        (r#""\ud83e\udd80""#, "%F0%9F%A6%80"),
        ("\"\u{1f980}\u{1f980}\"", "%F0%9F%A6%80%F0%9F%A6%80"),
        (r#""%2A""#, "%252A"),
        (r#""$SYS.REQ.SERVER.PING""#, "%24SYS%2EREQ%2ESERVER%2EPING"),
        (r#""_INBOX.>""#, "_INBOX%2E%3E"),
        (r#""\/a\\""#, "%2Fa%5C"),
        (r#""get_weather--v-2""#, "get_weather--v-2"),
        (r#""""#, "%"),
        ("null", "%"),
        ("7", "%"),
        (r#"{"x":1}"#, "%"),
    ];
    short.map(|(raw, token)| (raw.to_owned(), token.to_owned())).to_vec()
}

#[tokio::test]
async fn no_function_name_chooses_a_subject() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "names").await;
    // Everything that reaches the server below this endpoint's name is seen.
    let worker =
        Worker::start(nats, "names.>", |question| Reply::text(question.payload.clone())).await;
    let names = names();
    let calls: Vec<_> = (0..)
        .zip(&names)
        .map(|(number, (raw, _))| {
            let id = format!("id-{number}");
            format!(r#"{{"id":"{id}","function":{{"name":{raw},"arguments":{{"raw":{raw}}}}}}}"#)
        })
        .collect();
    let body =
        format!(r#"{{"message":{{"type":"tool-calls","toolCallList":[{}]}}}}"#, calls.join(","));
    let answer = bridge.post("/names", body, &[]).await;
    assert_eq!(
        (answer.status, answer.header("hookbus-outcome")),
        (200, Some("answered")),
        "{}",
        answer.text()
    );
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), names.len());
    let mut subjects: Vec<_> =
        worker.questions().iter().map(|asked| asked.subject.clone()).collect();
    for (number, ((raw, token), result)) in names.iter().zip(&results).enumerate() {
        let subject = format!("names.tool.{token}");
        let place = subjects.iter().position(|seen| *seen == subject);
        subjects.swap_remove(place.unwrap_or_else(|| panic!("{subject} is not in {subjects:?}")));
        assert_eq!(result["toolCallId"], format!("id-{number}"));
        // The worker gave its payload back: the name and the arguments as they were sent.
        let payload = result["result"].as_str().unwrap();
        assert!(payload.contains(&format!(r#""arguments":{{"raw":{raw}}}"#)), "{payload}");
        if raw == "null" {
            assert_eq!(result["name"], "");
            assert!(!payload.contains(r#""name""#), "{payload}");
        } else {
            let entry = format!(r#"{{"name":{raw},"toolCallId":"id-{number}","#);
            assert!(answer.text().contains(&entry), "{entry} is not in {}", answer.text());
            assert!(payload.contains(&format!(r#""name":{raw}"#)), "{payload}");
        }
    }
    assert!(subjects.is_empty(), "{subjects:?}");
    for asked in worker.questions() {
        assert_eq!(asked.header("Nats-Service-Error"), None);
    }
    assert_calm(&bridge);
}

#[tokio::test]
async fn a_long_function_name_is_cut_in_the_subject_only() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "long-names").await;
    let worker = Worker::start(nats, "long-names.>", |_| Reply::text("done")).await;
    let names = [
        "x".repeat(128),
        "x".repeat(129),
        "x".repeat(10_000),
        "x".repeat(10_000) + "y",
        "\u{1f980}".repeat(2_500),
        "*".repeat(10_000),
    ];
    let calls: Vec<_> = names
        .iter()
        .map(|name| json!({"id": "i", "function": {"name": name, "arguments": {}}}))
        .collect();
    let body = json!({"message": {"type": "tool-calls", "toolCallList": calls}});
    let answer = bridge.post("/long-names", body.to_string(), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", answer.text());
    let results = answer.json();
    for (name, result) in names.iter().zip(results["results"].as_array().unwrap()) {
        assert_eq!(result["name"], name.as_str());
    }
    let mut subjects: Vec<_> =
        worker.questions().iter().map(|asked| asked.subject.clone()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    assert_eq!(subjects.len(), names.len());
    for subject in subjects {
        let token = subject.strip_prefix("long-names.tool.").unwrap();
        assert!(token.len() < 500 && !token.contains(['.', '*', '>', ' ']), "{token}");
    }
}

/// Ids are opaque: whatever they hold comes back as it was, and goes into no header unescaped.
#[tokio::test]
async fn ids_come_back_as_they_were() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "ids").await;
    let worker = Worker::start(nats, "ids.>", |_| Reply::text("done")).await;
    let ids = [
        r#""a\nb\r\nHookbus-Id: forged""#,
        r#""\u0000""#,
        r#""\u00e9 \ud83e\udd80 \ud800""#,
        "\"\u{e9}\u{2028}\u{7f}\"",
        r#""\/\"\\""#,
        r#""""#,
        "7",
        "12345678901234567890123",
        "1.50",
        r#"["a"]"#,
        "true",
    ];
    for id in ids {
        let body = format!(
            r#"{{"message":{{"type":"tool-calls","call":{{"id":{id}}},"toolCallList":[{{"id":{id},"function":{{"name":"f"}}}}]}}}}"#
        );
        let answer = bridge.post("/ids", body, &[]).await;
        let expected =
            format!(r#"{{"results":[{{"name":"f","toolCallId":{id},"result":"done"}}]}}"#);
        assert_eq!(answer.text(), expected);
        let asked = worker.questions().pop().unwrap();
        let payload = format!(r#"{{"id":{id},"name":"f","arguments":{{}},"call":{{"id":{id}}}}}"#);
        assert_eq!(std::str::from_utf8(&asked.payload).unwrap(), payload);
        // The key is a text, cleaned and encoded; anything else is none.
        let key: Option<String> = match serde_json::from_str(id) {
            Ok(Value::String(text)) if !text.is_empty() => Some(text),
            _ if id.contains("ud800") => Some("\u{e9} \u{1f980} \u{fffd}".to_owned()),
            _ => None,
        };
        let key = key.map(|key| key.replace(char::is_control, "\u{fffd}"));
        assert_eq!(asked.header("Hookbus-Key").map(decoded), key, "{id}");
        assert_eq!(asked.header("Hookbus-Id"), answer.header("hookbus-id"), "{id}");
        assert_eq!(asked.headers.get_all("Hookbus-Id").count(), 1);
    }
    // No id, or null: the answer can't name it.
    for id in ["", r#""id":null,"#] {
        let body = format!(
            r#"{{"message":{{"type":"tool-calls","toolCallList":[{{{id}"function":{{"name":"f"}}}}]}}}}"#
        );
        let answer = bridge.post("/ids", body, &[]).await;
        assert_eq!(answer.text(), r#"{"results":[{"name":"f","result":"done"}]}"#);
    }
    assert_calm(&bridge);
}
