//! Any tool calls with any answers: every call is found with its own id, and the reply is one that the platform reads.
//!
//! An input is a body and what the workers say, with a byte between them that no text holds.

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use hookbus::config::Context;
use hookbus::message::{Answer, Body, Content, Outcome};
use hookbus::source::{Meaning, Questions, Unasked};
use hookbus_fuzz::{Object, Opinion, classify, read};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;

const BETWEEN: u8 = 0xff;
/// Calls beyond these are not asked.
const MOST: usize = 64;
const BREAKS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == BETWEEN);
    let body = parts.next().unwrap_or_default();
    let said: Vec<_> = parts.collect();
    let Ok(classified) = classify(body) else { return };
    let Meaning::Questions(mut questions) = classified.meaning else { return };
    let kind = classified.metadata.kind;
    let calls = match &*kind {
        "tool-calls" | "function-call" => calls(&mut questions),
        _ => Vec::new(),
    };
    let has_unasked = questions.dialogue.has_unasked();
    let elements = match &*kind {
        "tool-calls" => check_questions(body, &calls, has_unasked),
        "function-call" => {
            check_legacy(body, &calls);
            None
        }
        _ => None,
    };
    let answers = questions.all.iter().enumerate().map(|(place, _)| {
        // The first of them answer; who has nothing to say didn't answer in time.
        said.get(place).map_or_else(silence, |said| answer(said))
    });
    let unasked: Unasked = Arc::new(|_, _| silence());
    let answers = answers.collect();
    let Ok(reply) = questions.dialogue.reply(answers, unasked) else {
        assert_ne!(&*kind, "tool-calls", "tool calls always have a reply");
        return;
    };
    let bytes: Vec<u8> = match reply.body {
        Body::Whole(bytes) => bytes.to_vec(),
        Body::Stream(parts) => {
            assert!(has_unasked, "a stream of what is whole");
            let parts = parts.map(|part| part.expect("a part")).collect::<Vec<_>>();
            parts.now_or_never().expect("nothing is waited for").concat()
        }
    };
    match &*kind {
        "tool-calls" => check_reply(&bytes, &calls, elements),
        "function-call" => {
            let object: Object<'_> = object(&bytes);
            assert_single_line(object.get("result"));
        }
        _ => {}
    }
});

/// A call as it is asked; the values are raw JSON.
struct Call {
    function: Arc<str>,
    id: Option<String>,
    name: Option<String>,
    arguments: String,
}

fn calls(questions: &mut Questions) -> Vec<Call> {
    let context = Context::Members(Vec::new());
    let payloads = questions.dialogue.payloads(&|_| &context, &mut |_| true);
    assert_eq!(payloads.len(), questions.all.len());
    let call = |(place, payload): (usize, Option<Bytes>)| {
        let payload = payload.expect("there is room");
        let payload = object(&payload);
        let part = |name: &str| payload.get(name).map(|value| value.get().to_owned());
        let id = questions.dialogue.identity(place).map(|call| call.id.to_vec());
        assert_eq!(id.as_deref(), part("id").as_deref().map(str::as_bytes));
        let function = questions.all[place].function.clone();
        Call {
            function: function.expect("it is a call"),
            id: part("id"),
            name: part("name"),
            arguments: part("arguments").expect("arguments are there"),
        }
    };
    payloads.into_iter().enumerate().map(call).collect()
}

/// The questions are the elements of the first list that has any. Returns how many it has.
fn check_questions(body: &[u8], calls: &[Call], has_unasked: bool) -> Option<usize> {
    let text = std::str::from_utf8(body).expect("it was classified");
    let outer = read::<Object<'_>>(text).yes()?;
    let message = outer.get("message").and_then(|value| read(value.get()).yes())?;
    let message: Object<'_> = message;
    let lists = ["toolCallList", "toolCalls", "toolWithToolCallList"];
    let lists = lists.map(|name| {
        let elements =
            message.get(name).and_then(|value| read::<Vec<&RawValue>>(value.get()).yes());
        let elements = elements.unwrap_or_default().into_iter();
        elements.filter(|element| element.get().starts_with('{')).collect::<Vec<_>>()
    });
    let (at, elements) = lists
        .iter()
        .enumerate()
        .find(|(_, elements)| !elements.is_empty())
        .map_or((0, &[][..]), |(at, elements)| (at, &elements[..]));
    assert_eq!(calls.len(), elements.len().min(MOST));
    assert_eq!(has_unasked, elements.len() > MOST);
    let has_tools = message.contains_key("toolWithToolCallList");
    for (call, element) in calls.iter().zip(elements) {
        let Some(mut element) = read::<Object<'_>>(element.get()).yes() else { continue };
        if at == 2 {
            let inner = element.get("toolCall").and_then(|inner| read(inner.get()).yes());
            element = inner.unwrap_or_default();
        }
        let id = present(&element, "id");
        assert_eq!(call.id.as_deref(), id);
        check_call(call, &element, has_tools);
    }
    Some(elements.len())
}

/// The older type has one call, without an id.
fn check_legacy(body: &[u8], calls: &[Call]) {
    let text = std::str::from_utf8(body).expect("it was classified");
    let [call] = calls else { panic!("one question") };
    assert_eq!(call.id, None);
    let written = inner(text, "message").and_then(|message| inner(message, "functionCall"));
    if let Some(element) = written.and_then(|call| read::<Object<'_>>(call).yes()) {
        check_call(call, &element, false);
    }
}

/// A member of an object, as it is written.
fn inner<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    read::<Object<'a>>(object).yes()?.get(name).map(|value| value.get())
}

/// A call has the name and the arguments that stand in its function, else in itself. With a list of tools that may know
/// more, only what stands there is compared.
fn check_call(call: &Call, element: &Object<'_>, has_tools: bool) {
    let function: Object<'_> = match element.get("function").map(|inner| read(inner.get())) {
        Some(Opinion::Yes(function)) => function,
        // Its keys may be those of other names.
        Some(Opinion::Undecided) => return,
        Some(Opinion::No) | None => Object::new(),
    };
    let name = present(&function, "name").or(present(element, "name"));
    if name.is_some() || !has_tools {
        assert_eq!(call.name.as_deref(), name);
        match name.map(read::<String>) {
            Some(Opinion::Yes(name)) => assert_eq!(&*call.function, name),
            Some(Opinion::No) | None => assert_eq!(&*call.function, ""),
            Some(Opinion::Undecided) => {}
        }
    }
    let arguments = [&function, element]
        .into_iter()
        .flat_map(|object| ["arguments", "parameters"].map(|name| present(object, name)))
        .flatten()
        .next();
    let Some(arguments) = arguments else {
        assert!(has_tools || call.arguments == "{}");
        return;
    };
    let meant = match read::<String>(arguments) {
        Opinion::Yes(text) => match read::<Object<'_>>(&text) {
            Opinion::Yes(_) => text,
            Opinion::No => arguments.to_owned(),
            Opinion::Undecided => return,
        },
        Opinion::No => arguments.to_owned(),
        Opinion::Undecided => return,
    };
    assert_eq!(call.arguments, meant.trim());
}

/// A member that is there and not null, as it is written.
fn present<'a>(object: &Object<'a>, name: &str) -> Option<&'a str> {
    object.get(name).map(|value| value.get()).filter(|value| *value != "null")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// One entry per call in their order, each a single line.
fn check_reply(reply: &[u8], calls: &[Call], elements: Option<usize>) {
    let reply: Results<'_> = serde_json::from_slice(reply).expect("the reply is JSON");
    if let Some(elements) = elements {
        assert_eq!(reply.results.len(), elements);
    }
    for (entry, call) in reply.results.iter().zip(calls) {
        let Some(entry) = read::<Object<'_>>(entry.get()).yes() else { continue };
        let name = entry.get("name").expect("it has a name").get();
        assert!(call.name.as_deref().is_none_or(|called| called == name), "{name}");
        let id = entry.get("toolCallId").map(|id| id.get());
        assert_eq!(id, call.id.as_deref());
        assert!(entry.contains_key("result") != entry.contains_key("error"));
        assert_single_line(entry.get("result").or(entry.get("error")));
    }
}

fn assert_single_line(value: Option<&&RawValue>) {
    let text: String =
        serde_json::from_str(value.expect("there is one").get()).expect("it is a string");
    assert!(!text.contains(BREAKS), "{text:?}");
}

fn object(bytes: &[u8]) -> Object<'_> {
    serde_json::from_slice(bytes).expect("the reply is an object")
}

fn silence() -> Answer {
    Answer { outcome: Outcome::Timeout, content: Content::Nothing }
}

/// What `ask` would make of what a worker says; the first byte tells who says it.
fn answer(said: &[u8]) -> Answer {
    let Ok(text) = std::str::from_utf8(said) else { return silence() };
    match text.split_at_checked(1) {
        Some(("!", text)) => {
            Answer { outcome: Outcome::WorkerError, content: Content::Error(text.to_owned()) }
        }
        // A fallback is written by us.
        Some(("?", json)) if serde_json::from_str::<serde_json::Value>(json).is_ok() => {
            let json = Bytes::copy_from_slice(json.as_bytes());
            Answer { outcome: Outcome::Timeout, content: Content::Fallback(json) }
        }
        Some(_) => Answer {
            outcome: Outcome::Answered,
            content: Content::Reply(Bytes::copy_from_slice(said).into()),
        },
        None => silence(),
    }
}
