//! What becomes of a worker's answer in the reply to tool calls.

use bytes::{BufMut, BytesMut};

use super::reply;
use crate::json::{self, Kind, Reader, content};
use crate::message::{Answer, Content, Outcome, Refusal, Reply};

/// One entry; name and id are raw JSON.
pub(super) fn entry(body: &mut BytesMut, name: Option<&[u8]>, id: Option<&[u8]>, answer: &Answer) {
    body.put_u8(b'{');
    member(body, "name", name.unwrap_or(b"\"\""));
    if let Some(id) = id {
        member(body, "toolCallId", id);
    }
    match result(answer) {
        Entry::Result(text) => member(body, "result", json::quote(&text).as_bytes()),
        Entry::Error(text) => member(body, "error", json::quote(&text).as_bytes()),
        Entry::Given { result, error, rest } => {
            match (error, result) {
                (Some(text), _) => member(body, "error", json::quote(&text).as_bytes()),
                (None, Some(text)) => member(body, "result", json::quote(&text).as_bytes()),
                (None, None) => {}
            }
            for (name, value) in rest {
                member(body, name, value.as_bytes());
            }
        }
    }
    body.put_u8(b'}');
}

fn member(body: &mut BytesMut, name: &str, value: &[u8]) {
    if !body.ends_with(b"{") {
        body.put_u8(b',');
    }
    body.put_u8(b'"');
    body.put_slice(name.as_bytes());
    body.put_slice(b"\":");
    body.put_slice(value);
}

/// `{"result": "…"}` for the one answer to a legacy function call, which has no place for an error.
pub(super) fn legacy(answers: &[Answer]) -> Result<Reply, Refusal> {
    let answer = answers.first();
    let text = match answer.map(result) {
        Some(Entry::Result(text)) => text,
        Some(Entry::Given { result, error, .. }) => error.or(result).unwrap_or_default(),
        Some(Entry::Error(_)) | None => {
            let outcome = answer.map_or(Outcome::BadReply, |answer| answer.outcome);
            return Err(Refusal::Unanswered(outcome));
        }
    };
    let body = format!(r#"{{"result":{}}}"#, json::quote(&text));
    Ok(Reply::json(body.into()))
}

/// What an answer says about one call.
enum Entry<'a> {
    Result(String),
    Error(String),
    /// The worker wrote the entry itself.
    Given {
        result: Option<String>,
        error: Option<String>,
        /// `message` and `metadata`, raw.
        rest: Vec<(&'static str, &'a str)>,
    },
}

fn result(answer: &Answer) -> Entry<'_> {
    match &answer.content {
        Content::Reply(reply) => match std::str::from_utf8(&reply.body) {
            Ok(text) => given(text).unwrap_or_else(|| Entry::Result(line(text))),
            // `ask` lets only text through.
            Err(_) => Entry::Error(answer.outcome.sentence().to_owned()),
        },
        Content::Fallback(json) => Entry::Result(line(&String::from_utf8_lossy(json))),
        Content::Error(text) if !text.is_empty() => Entry::Error(single_line(text)),
        Content::Error(_) | Content::Nothing => Entry::Error(answer.outcome.sentence().to_owned()),
    }
}

/// The entry that a worker wrote itself: an object with a `result` or an `error`, and nothing that doesn't belong there.
fn given(text: &str) -> Option<Entry<'_>> {
    let (mut result, mut error) = (None, None);
    let (mut message, mut metadata) = (None, None);
    let mut foreign = false;
    let mut reader = Reader::over(text);
    if reader.peek() != Ok(Kind::Object) {
        return None;
    }
    let read = reader.object(|reader, key| {
        let value = Some(reader.skip()?).filter(|value| *value != "null");
        if key == "result" {
            result = value;
        } else if key == "error" {
            error = value;
        } else if key == "message" {
            message = value;
        } else if key == "metadata" {
            metadata = value;
        } else {
            foreign |= !(key == "name" || key == "toolCallId");
        }
        Ok(())
    });
    if read.and_then(|()| reader.end()).is_err() || foreign || (result.is_none() && error.is_none())
    {
        return None;
    }
    let rest = [("message", message), ("metadata", metadata)];
    Some(Entry::Given {
        result: result.map(line),
        error: error.map(line),
        rest: rest.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
    })
}

/// Whether a fallback says anything; where not, why.
pub(super) fn check(fallback: &str) -> Result<(), &'static str> {
    reply::text(line(fallback).as_bytes())
}

/// Any text or JSON as a single line: a JSON string gives its content, other JSON is written compactly.
fn line(text: &str) -> String {
    let mut reader = Reader::over(text);
    let is_json = reader.skip().is_ok() && reader.end().is_ok();
    match content(text) {
        Some(content) if is_json => single_line(&content),
        _ if is_json => single_line(&json::compact(text)),
        _ => single_line(text.trim()),
    }
}

/// One space for each run of line breaks: the platform drops results that hold one
/// (docs: tools/custom-tools-troubleshooting).
fn single_line(text: &str) -> String {
    // Mostly there is none, as the bytes tell that one may begin with.
    let has_none = text
        .bytes()
        .fold(true, |none, byte| none & !matches!(byte, b'\n' | b'\r' | 0xb | 0xc | 0xc2 | 0xe2));
    if has_none {
        return text.to_owned();
    }
    let is_break =
        |c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    let mut in_break = false;
    for c in text.chars() {
        if !is_break(c) {
            line.push(c);
        } else if !in_break {
            line.push(' ');
        }
        in_break = is_break(c);
    }
    line
}
