//! Tool calls: N calls in one webhook become N questions, N answers become one reply.
//!
//! The documentation prints several shapes of the same thing, and captures show others;
//! all are read (docs: server-url/events, tools/custom-tools).

mod excess;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::iter;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::server;
use crate::json::{self, Kind, Reader, Text};
use crate::message::{
    Answer, Content, Excess, Members, Outcome, Payload, Question, Questions, Refusal, Reply,
    ToolCall,
};
use crate::source::Unasked;

/// Calls of one webhook that are asked; for the rest nothing is built.
const MOST: usize = 64;

/// What all their keys may come to, in bytes: each call carries the key of the webhook, which is hashed and written anew
/// for it. That leaves 64 calls for a key of 128 KiB.
const KEYS: usize = 8 << 20;

/// One element of any of the lists, as it came: every value is raw JSON.
#[derive(Default, Clone, Copy)]
struct Call<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: Option<&'a str>,
}

/// One element of `toolWithToolCallList`.
#[derive(Default, Clone, Copy)]
struct Tool<'a> {
    call: Call<'a>,
    name: Option<&'a str>,
    is_async: bool,
    limit: Option<Duration>,
}

/// The questions of a `tool-calls` message whose key has this length, and the calls that are too many.
pub(super) fn split(message: &Members, key: usize) -> (Vec<Question>, Option<Excess>) {
    let [first, second, third] = server::MEMBERS;
    let names = ["toolCallList", "toolCalls", "toolWithToolCallList", first, second, third];
    let [own, copies, tools, servers @ ..] = message.pick(names);
    let tools = Objects::of(tools);
    let own = [own, copies].into_iter().find_map(|list| Objects::of(list).begun());
    let in_tools = own.is_none();
    let Some((first, mut list)) = own.or_else(|| tools.clone().begun()) else {
        return (Vec::new(), None);
    };
    let most = MOST.min(KEYS / key.max(1)).max(1);
    let objects = iter::once(first).chain(list.by_ref()).take(most);
    let calls: Vec<_> = objects.map(|object| in_list(object, in_tools).call).collect();
    let excess = list.clone().next().is_some().then(|| Excess {
        list: message.slice(list.text),
        after: list.after,
        in_tools,
    });
    // What is said of the whole message is only looked for where a tool says nothing.
    let by_server = LazyCell::new(|| server::limit_in("tool-calls", servers));
    let questions = calls.iter().zip(tools_of(&calls, tools)).map(|(call, tool)| {
        let name = call.name.or(tool.call.name).or(tool.name);
        let arguments = call.arguments.or(tool.call.arguments);
        Question {
            function: name.and_then(content).map(Into::into),
            call_id: call.id.map(|id| message.slice(id)),
            payload: Payload::Call(ToolCall {
                id: call.id.map(|id| message.slice(id)),
                name: name.map(|name| message.slice(name)),
                arguments: unwrap(message, arguments),
            }),
            limit: tool.limit.or_else(|| *by_server),
            is_async: tool.is_async,
        }
    });
    (questions.collect(), excess)
}

/// An element of a list of calls, or of one of tools that are called.
fn in_list(object: &str, in_tools: bool) -> Tool<'_> {
    let mut reader = Reader::over(object);
    let read = match in_tools {
        true => tool(&mut reader),
        false => call(&mut reader).map(|call| Tool { call, ..Tool::default() }),
    };
    read.unwrap_or_default()
}

/// What the list of tools says of each of these calls. The id ties a call to its tool; without one its place in the list
/// does. However long the list is, it is read once, and only what belongs to a call is kept.
fn tools_of<'a>(calls: &[Call<'a>], list: Objects<'a>) -> Vec<Tool<'a>> {
    // Sorted, since they are few.
    let ids = calls.iter().filter_map(|call| call.id).map(|id| (meaning(id), None));
    let mut by_id: Vec<(Cow<'_, str>, Option<Tool<'a>>)> = ids.collect();
    by_id.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    by_id.dedup_by(|(one, _), (other, _)| one == other);
    let find = |by_id: &[(Cow<'_, str>, _)], id| {
        let id = meaning(id);
        by_id.binary_search_by(|(known, _)| known.cmp(&id))
    };
    let mut by_place = vec![Tool::default(); calls.len()];
    let mut missing = by_id.len();
    for (place, object) in list.enumerate() {
        if missing == 0 && place >= calls.len() {
            break;
        }
        let tool = tool(&mut Reader::over(object)).unwrap_or_default();
        match tool.call.id {
            // The first one of an id counts.
            Some(id) => {
                if let Ok(at) = find(&by_id, id)
                    && by_id[at].1.is_none()
                {
                    by_id[at].1 = Some(tool);
                    missing -= 1;
                }
            }
            None => {
                if let Some(found) = by_place.get_mut(place) {
                    *found = tool;
                }
            }
        }
    }
    let of = |(call, by_place): (&Call<'a>, Tool<'a>)| match call.id {
        Some(id) => find(&by_id, id).ok().and_then(|at| by_id[at].1).unwrap_or_default(),
        None => by_place,
    };
    calls.iter().zip(by_place).map(of).collect()
}

/// An id as it is compared: a string without its escapes, any other value as it is written.
fn meaning(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.map_or(Cow::Borrowed(raw), |inner| Text::over(inner).unescape())
}

/// The question of a legacy `function-call` message, which has no id.
pub(super) fn legacy(message: &Members) -> Question {
    let [call_of] = message.pick(["functionCall"]);
    let call = call_of.and_then(|value| call(&mut Reader::over(value)).ok()).unwrap_or_default();
    Question {
        function: call.name.and_then(content).map(Into::into),
        limit: server::limit("function-call", message),
        ..Question::whole(Payload::Call(ToolCall {
            id: None,
            name: call.name.map(|name| message.slice(name)),
            arguments: unwrap(message, call.arguments),
        }))
    }
}

/// The objects of a list, one after the other; none where it is something else. The text is valid.
#[derive(Clone, Default)]
struct Objects<'a> {
    text: &'a str,
    /// Where the last one ends.
    after: usize,
}

impl<'a> Objects<'a> {
    fn of(value: Option<&'a str>) -> Self {
        Self { text: value.filter(|value| value.starts_with('[')).unwrap_or_default(), after: 0 }
    }

    /// The first one, if there is one, and those behind it.
    fn begun(mut self) -> Option<(&'a str, Self)> {
        self.next().map(|first| (first, self))
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let place = json::element(self.text.as_bytes(), self.after)?;
            self.after = place.end;
            let element = self.text.get(place)?;
            if element.starts_with('{') {
                return Some(element);
            }
        }
    }
}

fn call<'a>(reader: &mut Reader<'a>) -> Result<Call<'a>, json::Error> {
    let mut flat = Call::default();
    let mut flat_parameters = None;
    let (mut inner, mut inner_parameters) = (Call::default(), None);
    if reader.peek()? != Kind::Object {
        return Ok(flat);
    }
    reader.object(|reader, key| {
        if key == "id" {
            flat.id = present(reader)?;
        } else if key == "name" {
            flat.name = present(reader)?;
        } else if key == "arguments" {
            flat.arguments = present(reader)?;
        } else if key == "parameters" {
            flat_parameters = present(reader)?;
        } else if key == "function" {
            (inner, inner_parameters) = (Call::default(), None);
            if reader.peek()? != Kind::Object {
                return Ok(());
            }
            reader.object(|reader, key| {
                if key == "name" {
                    inner.name = present(reader)?;
                } else if key == "arguments" {
                    inner.arguments = present(reader)?;
                } else if key == "parameters" {
                    inner_parameters = present(reader)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(Call {
        id: flat.id,
        name: inner.name.or(flat.name),
        arguments: inner.arguments.or(inner_parameters).or(flat.arguments).or(flat_parameters),
    })
}

fn tool<'a>(reader: &mut Reader<'a>) -> Result<Tool<'a>, json::Error> {
    let mut found = Tool::default();
    let mut inner_name = None;
    reader.object(|reader, key| {
        if key == "toolCall" {
            found.call = call(reader)?;
        } else if key == "name" {
            found.name = present(reader)?;
        } else if key == "async" {
            found.is_async = reader.peek()? == Kind::True;
        } else if key == "function" {
            inner_name = call(reader)?.name;
        } else if key == "server" {
            found.limit = server::of_server(reader)?;
        }
        Ok(())
    })?;
    found.name = inner_name.or(found.name);
    Ok(found)
}

/// The raw value, unless it is null.
fn present<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, json::Error> {
    let value = reader.skip()?;
    Ok((value != "null").then_some(value))
}

/// The text of a JSON string.
fn content(raw: &str) -> Option<String> {
    let text: Text<'_> = Reader::over(raw).string().ok()?;
    Some(text.unescape().into_owned())
}

/// Arguments as the value that was meant: a string that holds an object is that object.
fn unwrap(message: &Members, raw: Option<&str>) -> Bytes {
    let Some(raw) = raw else {
        return Bytes::from_static(b"{}");
    };
    if let Some(text) = content(raw) {
        let mut reader = Reader::over(&text);
        if reader.peek() == Ok(Kind::Object) && reader.skip().is_ok() && reader.end().is_ok() {
            return text.into();
        }
    }
    message.slice(raw)
}

/// `{"results":[…]}`, one entry per call, in their order.
pub(super) fn merge(
    questions: &Questions,
    answers: Vec<Answer>,
    unasked: Option<Unasked>,
) -> Reply {
    let mut body = BytesMut::with_capacity(32 + 128 * questions.all.len());
    body.put_slice(br#"{"results":["#);
    for (place, (question, answer)) in questions.all.iter().zip(answers).enumerate() {
        if place > 0 {
            body.put_u8(b',');
        }
        let (name, id) = match &question.payload {
            Payload::Call(call) => (call.name.as_deref(), call.id.as_deref()),
            Payload::Body => (None, None),
        };
        entry(&mut body, name, id, &answer);
    }
    match (&questions.excess, unasked) {
        (Some(excess), Some(unasked)) => excess::reply(body, excess, unasked),
        _ => {
            body.put_slice(b"]}");
            Reply::json(body.freeze())
        }
    }
}

/// One entry; name and id are raw JSON.
fn entry(body: &mut BytesMut, name: Option<&[u8]>, id: Option<&[u8]>, answer: &Answer) {
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
pub(super) fn merge_legacy(answers: &[Answer]) -> Result<Reply, Refusal> {
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
        Content::Reply(bytes) => match std::str::from_utf8(bytes) {
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
        let value = present(reader)?;
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
pub(super) fn single_line(text: &str) -> String {
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

#[cfg(test)]
mod tests;
