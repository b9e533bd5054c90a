//! One call as a webhook of its own, for a server that was written for Vapi: made of what a worker gets of the call, and
//! its answer read back as what a worker would have replied.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::json::{Kind, Reader, Text, content, quote};

/// The type of webhooks that call one function in the older form.
pub const FUNCTION_CALL: &str = "function-call";

/// Members of a message that hold its calls or say what it is: they are made anew.
const REPLACED: [&str; 6] =
    ["type", "timestamp", "toolCallList", "toolCalls", "toolWithToolCallList", "functionCall"];

/// What an entry of the results may hold beside the result.
const ENTRY: [&str; 4] = ["result", "error", "message", "metadata"];

/// What a worker gets of a call, as raw JSON.
struct Payload<'a> {
    id: Option<&'a str>,
    name: &'a str,
    arguments: &'a str,
    /// Members of the message, each with the name between its quotes.
    context: Vec<(&'a str, &'a str)>,
}

impl<'a> Payload<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let mut found = Self { id: None, name: "\"\"", arguments: "{}", context: Vec::new() };
        members(payload, |key, value| match &*key.unescape() {
            "id" => found.id = Some(value),
            "name" => found.name = value,
            "arguments" => found.arguments = value,
            other if REPLACED.contains(&other) => {}
            _ => found.context.push((key.raw(), value)),
        })?;
        Some(found)
    }
}

/// The webhook that holds one call alone; nothing where `payload` isn't what a worker gets of a call.
pub fn webhook(kind: &str, payload: &[u8]) -> Option<String> {
    let Payload { id, name, arguments, context } = Payload::read(payload)?;
    let mut message = String::with_capacity(4 * payload.len() + 512);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| message.push_str(part));
    put(&[r#"{"message":{"timestamp":"#, &since_1970.as_millis().to_string(), r#","type":"#]);
    if kind == FUNCTION_CALL {
        put(&[&quote(kind), r#","functionCall":{"name":"#, name]);
        put(&[r#","parameters":"#, arguments, "}"]);
    } else {
        let id = id.unwrap_or("\"\"");
        // As it comes, and beside it as the documentation prints it.
        let function =
            [r#""function":{"name":"#, name, r#","arguments":"#, arguments, "}"].concat();
        let head = [r#"{"id":"#, id, r#","type":"function","#].concat();
        let printed = [r#","name":"#, name, r#","arguments":"#, arguments].concat();
        put(&[&quote(super::TOOL_CALLS), r#","toolCallList":["#, &head, &function, &printed, "}]"]);
        put(&[r#","toolCalls":["#, &head, &function, "}]"]);
        put(&[r#","toolWithToolCallList":[{"type":"function","name":"#, name]);
        put(&[r#","function":{"name":"#, name, r#"},"toolCall":"#, &head, &function, "}}]"]);
    }
    for (name, value) in context {
        put(&[",\"", name, "\":", value]);
    }
    put(&["}}"]);
    Some(message)
}

/// What a worker would have replied to the call, by the answer of a server to the webhook that held it alone.
pub fn reply(kind: &str, payload: &[u8], answer: &str) -> Result<String, &'static str> {
    if kind == FUNCTION_CALL {
        return Ok(answer.to_owned());
    }
    let id = Payload::read(payload).and_then(|payload| payload.id).map(str::to_owned);
    let results = member(answer, "results");
    let results = results.ok_or("the server's answer is no JSON object with `results`")?;
    let entries = elements(results).ok_or("`results` of the server's answer is no list")?;
    let id = id.as_deref().and_then(content);
    let is_meant =
        |entry: &&&str| id.is_some() && member(entry, "toolCallId").and_then(content) == id;
    let entry = entries.iter().find(is_meant).or(entries.first());
    let entry = entry.ok_or("`results` of the server's answer is empty")?;
    // Of a name that comes twice the last one counts.
    let mut kept: [Option<&str>; ENTRY.len()] = [None; ENTRY.len()];
    members(entry.as_bytes(), |key, value| {
        if let Some(place) = ENTRY.iter().position(|name| key == *name) {
            kept[place] = Some(value).filter(|value| *value != "null");
        }
    })
    .ok_or("the first of `results` of the server's answer is not an object")?;
    if kept[0].is_none() && kept[1].is_none() {
        return Err(
            "the entry in `results` of the server's answer has neither `result` nor `error`",
        );
    }
    let kept = ENTRY.iter().zip(kept).filter_map(|(name, value)| Some((name, value?)));
    let kept: Vec<String> = kept.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    Ok(format!("{{{}}}", kept.join(",")))
}

/// Each member of a JSON object with its raw value; nothing where it isn't one document that is an object.
fn members<'a>(json: &'a [u8], mut each: impl FnMut(Text<'a>, &'a str)) -> Option<()> {
    let mut reader = Reader::new(json).ok()?;
    if reader.peek() != Ok(Kind::Object) {
        return None;
    }
    let read = reader.object(|reader, key| {
        each(key, reader.skip()?);
        Ok(())
    });
    read.and_then(|()| reader.end()).ok()
}

/// The raw value of a member; of several with this name the last.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    members(json.as_bytes(), |key, value| {
        if key == *name {
            found = Some(value);
        }
    })?;
    found
}

/// The raw elements of a list.
fn elements(json: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::over(json);
    if reader.peek() != Ok(Kind::Array) {
        return None;
    }
    let mut all = Vec::new();
    reader
        .array(|reader| {
            all.push(reader.skip()?);
            Ok(())
        })
        .ok()?;
    Some(all)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn payload() -> String {
        json!({
            "id": "call_1",
            "name": "get_\u{1f980}weather",
            "arguments": {"city": "Oslo"},
            "call": {"id": "c-1"},
            "toolCallList": [{"id": "another"}],
        })
        .to_string()
    }

    #[test]
    fn a_webhook_holds_the_call_and_its_context() {
        let webhook = webhook(super::super::TOOL_CALLS, payload().as_bytes()).unwrap();
        let message = &serde_json::from_str::<Value>(&webhook).unwrap()["message"];
        let function = json!({"name": "get_\u{1f980}weather", "arguments": {"city": "Oslo"}});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        assert_eq!(message["type"], "tool-calls");
        assert_eq!(message["toolCalls"], json!([call]));
        assert_eq!(message["toolWithToolCallList"][0]["toolCall"], call);
        assert_eq!(message["toolCallList"][0]["function"], function);
        assert_eq!(message["toolCallList"][0]["arguments"], json!({"city": "Oslo"}));
        assert_eq!(message["call"], json!({"id": "c-1"}));
        assert!(!webhook.contains("another"));
    }

    #[test]
    fn the_older_form_stays_what_it_was() {
        let payload = r#"{"name":"f","arguments":{"x":1},"call":{}}"#;
        let webhook = webhook(FUNCTION_CALL, payload.as_bytes()).unwrap();
        let message = &serde_json::from_str::<Value>(&webhook).unwrap()["message"];
        assert_eq!(message["functionCall"], json!({"name": "f", "parameters": {"x": 1}}));
        assert_eq!(reply(FUNCTION_CALL, b"", r#"{"result":"y"}"#).unwrap(), r#"{"result":"y"}"#);
    }

    #[test]
    fn what_is_no_call_becomes_no_webhook() {
        for wrong in [&b""[..], b"[]", b"{", b"\xff", b"{} {}"] {
            assert_eq!(webhook("tool-calls", wrong), None);
        }
    }

    #[test]
    fn the_entry_of_the_call_is_read_back() {
        let read = |answer: Value| reply("tool-calls", payload().as_bytes(), &answer.to_string());
        let meant = json!({"toolCallId": "call_1", "name": "n", "result": {"a": 1}, "message": {}});
        assert_eq!(
            read(json!({"results": [{"toolCallId": "x", "result": "no"}, meant]})).unwrap(),
            r#"{"result":{"a":1},"message":{}}"#
        );
        // Without an id the first one counts, as nothing else can be meant.
        assert_eq!(read(json!({"results": [{"result": "yes"}]})).unwrap(), r#"{"result":"yes"}"#);
        let both = json!({"results": [{"result": null, "error": "no"}]});
        assert_eq!(read(both).unwrap(), r#"{"error":"no"}"#);
        for wrong in [
            json!([]),
            json!({}),
            json!({"results": {}}),
            json!({"results": []}),
            json!({"results": ["text"]}),
            json!({"results": [{"toolCallId": "call_1"}]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
