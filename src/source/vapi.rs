//! Vapi server messages: what each type is, and the answers that the platform reads.
//!
//! Facts are from `docs.vapi.ai` (server-url/events, tools/custom-tools-troubleshooting) and the
//! OpenAPI definition published with it.

mod call;
mod facts;
mod members;
pub mod one_call;
mod payload;
mod reply;
mod results;
pub mod samples;
mod server;
mod tool_calls;
mod whole;

use std::sync::{Arc, LazyLock};

use self::facts::Form;
use self::members::{Members, Places};
use self::server::Holders;
use self::tool_calls::Lists;
use crate::config::facts::Facts;
use crate::config::sources::QuestionKind;
use crate::json::{self, Kind, Reader, Text};
use crate::message::{KnownType, Metadata, Refusal};
use crate::source::{Classified, Meaning, Page, Questions, Request, Source};

/// What an endpoint calls this source.
pub const NAME: &str = "vapi";

/// The type of webhooks that call tools.
pub const TOOL_CALLS: &str = "tool-calls";

/// The dialect of Vapi.
#[derive(Debug)]
pub struct Vapi;

/// What the configuration has to know of Vapi.
pub fn facts() -> Arc<Facts> {
    facts::FACTS.clone()
}

/// Whether the answer to a question of this type is passed on as it comes.
pub fn is_streamed(kind: &str) -> bool {
    matches!(facts::of(kind).1, Some(Form::Stream))
}

/// What its page in the docs says.
pub fn page() -> Option<&'static Page> {
    // A test reads it: an error is for that.
    static PAGE: LazyLock<Option<Page>> =
        LazyLock::new(|| toml::from_str(include_str!("vapi/page.toml")).ok());
    PAGE.as_ref()
}

/// Why Vapi couldn't read a fallback.
pub(super) fn judge_fallback(
    asked: QuestionKind<'_>,
    fallback: &serde_json::Value,
) -> Result<(), &'static str> {
    let json = fallback.to_string();
    match asked {
        QuestionKind::Function => results::check(&json),
        QuestionKind::Type(kind) => match facts::of(kind).1 {
            Some(Form::Json(schema)) => reply::check(schema, json.as_bytes()),
            Some(Form::ToolCalls | Form::FunctionCall | Form::Stream) | None => Ok(()),
        },
    }
}

impl Source for Vapi {
    fn classify(&self, request: Request<'_>) -> Result<Classified, Refusal> {
        let message =
            read(request.body).map_err(|error| Refusal::Malformed(error.to_string().into()))?;
        let kind = message
            .kind
            .ok_or(Refusal::Malformed("message.type is not a non-empty string".into()))?;
        let kind: Arc<str> = kind.unescape().into();
        let (label, form) = facts::of(&kind);
        let key: Option<Arc<str>> =
            message.ids.into_iter().flatten().next().map(|id| id.unescape().into());
        let meaning = match form {
            None => Meaning::Event,
            Some(form) => {
                let key = key.as_ref().map_or(0, |key| key.len());
                Meaning::Questions(questions(request, message, &kind, form, key))
            }
        };
        let metadata = Metadata { kind, label, key };
        Ok(Classified { metadata, delivery_id: None, meaning })
    }

    fn types(&self) -> Vec<KnownType> {
        facts::types()
    }

    fn event_prefix(&self) -> &str {
        "ai.vapi."
    }
}

/// What a message of this type asks; its key has this length.
fn questions(
    request: Request<'_>,
    message: Message<'_>,
    kind: &str,
    form: Form,
    key: usize,
) -> Questions {
    let Message { text, places, values, .. } = message;
    let members = || Members::new(request.body, text, places);
    let value = |name: Name| values[name as usize];
    let holders = Holders {
        assistant: value(Name::Assistant),
        call: value(Name::Call),
        phone_number: value(Name::PhoneNumber),
    };
    match form {
        Form::ToolCalls => {
            let lists = Lists {
                calls: value(Name::ToolCallList),
                copies: value(Name::ToolCalls),
                tools: value(Name::ToolWithToolCallList),
            };
            tool_calls::questions(members(), lists, holders, key)
        }
        Form::FunctionCall => tool_calls::legacy(members(), value(Name::FunctionCall), holders),
        Form::Json(schema) => whole::question(request.body, kind, Some(schema), holders),
        Form::Stream => whole::question(request.body, kind, None, holders),
    }
}

/// What is read of a body, as slices of it.
#[derive(Default)]
struct Message<'a> {
    kind: Option<Text<'a>>,
    /// What may be the key, in the order in which it counts.
    ids: [Option<Text<'a>>; 4],
    /// The whole of it.
    text: &'a str,
    places: Places,
    /// The members with these names.
    values: [Option<&'a str>; NAMES],
}

/// The members that are read. Of the first four the `id` may be the key, in the order in which they count.
#[derive(Clone, Copy)]
enum Name {
    Call,
    Chat,
    Session,
    Contact,
    Type,
    Assistant,
    PhoneNumber,
    ToolCallList,
    ToolCalls,
    ToolWithToolCallList,
    FunctionCall,
}

const NAMES: usize = Name::FunctionCall as usize + 1;

impl Name {
    fn of(key: Text<'_>) -> Option<Self> {
        Some(match &*key.unescape() {
            "type" => Self::Type,
            "call" => Self::Call,
            "chat" => Self::Chat,
            "session" => Self::Session,
            "contact" => Self::Contact,
            "assistant" => Self::Assistant,
            "phoneNumber" => Self::PhoneNumber,
            "toolCallList" => Self::ToolCallList,
            "toolCalls" => Self::ToolCalls,
            "toolWithToolCallList" => Self::ToolWithToolCallList,
            "functionCall" => Self::FunctionCall,
            _ => return None,
        })
    }
}

/// What the types begin with that come without `message`.
const BARE: &str = "simulation.";

/// One pass over the body. Of a key that occurs twice the last one counts, as in JavaScript, Python and Go.
fn read(body: &[u8]) -> Result<Message<'_>, json::Error> {
    let mut reader = Reader::new(body)?;
    let (mut found, mut is_found) = (Message::default(), false);
    let (mut kind, mut target, mut item) = (None, None, None);
    if reader.peek()? != Kind::Object {
        reader.skip()?;
        reader.end()?;
        return Err(reader.error("the body is not an object"));
    }
    reader.object(|reader, key| {
        if key == "message" {
            is_found = reader.peek()? == Kind::Object;
            if is_found {
                found = Message::default();
                message(reader, body, &mut found)?;
            }
        } else if key == "type" {
            kind = text(reader)?;
        } else if key == "calls" {
            target = text_of(reader, "targetCallId")?;
        } else if key == "simulationRunItemId" {
            item = text(reader)?;
        }
        Ok(())
    })?;
    reader.end()?;
    // Webhooks of simulations stand at the root.
    let is_bare = |kind: &Text<'_>| kind.unescape().starts_with(BARE);
    if !is_found {
        let kind = kind.filter(is_bare).ok_or(reader.error("`message` is not an object"))?;
        found = Message { kind: Some(kind), ids: [target, item, None, None], ..Message::default() };
    }
    Ok(found)
}

fn message<'a>(
    reader: &mut Reader<'a>,
    body: &[u8],
    found: &mut Message<'a>,
) -> Result<(), json::Error> {
    let Message { kind, ids, places, values, .. } = found;
    found.text = reader.slice(|reader| {
        reader.object(|reader, key| {
            let name = Name::of(key);
            let value = reader.slice(|reader| {
                match name {
                    Some(Name::Type) => {
                        *kind = text(reader)?;
                        // Nobody is handed the members of an event.
                        if kind.is_some_and(|kind| !facts::asks(kind)) {
                            places.forget();
                        }
                    }
                    Some(name) => {
                        if let Some(id) = ids.get_mut(name as usize) {
                            *id = text_of(reader, "id")?;
                        }
                    }
                    None => {}
                }
                Ok(())
            })?;
            if let Some(name) = name {
                values[name as usize] = Some(value);
            }
            places.add(body, key, value);
            Ok(())
        })
    })?;
    Ok(())
}

/// A text in an object; none where the value is something else, or the member isn't a non-empty string.
fn text_of<'a>(reader: &mut Reader<'a>, name: &str) -> Result<Option<Text<'a>>, json::Error> {
    let mut found = None;
    if reader.peek()? == Kind::Object {
        reader.object(|reader, key| {
            if key == *name {
                found = text(reader)?;
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// A non-empty string. Anything else is left for the reader to skip.
fn text<'a>(reader: &mut Reader<'a>) -> Result<Option<Text<'a>>, json::Error> {
    match reader.peek()? {
        Kind::String => Ok(Some(reader.string()?).filter(|text| !text.is_empty())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
