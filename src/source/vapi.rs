//! Vapi server messages: what each type is, and the answers that the platform reads.
//!
//! Facts are from `docs.vapi.ai` (server-url/events, tools/custom-tools-troubleshooting) and the
//! OpenAPI definition published with it.

mod reply;
pub mod samples;
mod tool_calls;

use std::sync::Arc;
use std::time::Duration;

use crate::config::vapi as facts;
use crate::json::{self, Kind, Reader, Text};
use crate::message::{
    About, Answer, Classified, Demand, Form, Members, Payload, Question, Questions, Refusal, Reply,
    Shape, Webhook,
};
use crate::source::Source;

/// The dialect of Vapi.
#[derive(Debug)]
pub struct Vapi;

/// The types that ask, and the form of their replies.
const QUESTIONS: [(&str, Form); 9] = [
    ("tool-calls", Form::ToolCalls),
    ("function-call", Form::FunctionCall),
    ("assistant-request", Form::Json(Shape::Assistant)),
    ("transfer-destination-request", Form::Json(Shape::Transfer)),
    ("handoff-destination-request", Form::Json(Shape::Handoff)),
    ("knowledge-base-request", Form::Json(Shape::KnowledgeBase)),
    ("call.endpointing.request", Form::Json(Shape::Endpointing)),
    ("campaign.predial", Form::Json(Shape::Predial)),
    ("voice-request", Form::Stream),
];

impl Source for Vapi {
    fn classify(&self, webhook: &Webhook) -> Result<Classified, Refusal> {
        let message =
            read(&webhook.body).map_err(|error| Refusal::Malformed(error.to_string().into()))?;
        let kind = message
            .kind
            .ok_or(Refusal::Malformed("message.type is not a non-empty string".into()))?;
        let kind: Arc<str> = kind.unescape().into();
        let question = QUESTIONS.iter().find(|(name, _)| **name == *kind);
        let label = match question {
            Some((name, _)) => name,
            None => facts::EVENTS.iter().find(|name| ***name == *kind).copied().unwrap_or("other"),
        };
        let demand = match question {
            None => Demand::Event,
            Some((_, form)) => {
                let members = Members::new(&webhook.body, &message.members);
                let all = match form {
                    Form::ToolCalls => tool_calls::split(&members),
                    Form::FunctionCall => vec![tool_calls::legacy(&members)],
                    _ => vec![Question::whole(Payload::Body)],
                };
                Demand::Questions(Questions { all, form: *form, members })
            }
        };
        let [call, chat, session, contact] = message.ids;
        let key = call.or(chat).or(session).or(contact).map(|id| id.unescape().into());
        Ok(Classified { about: About { kind, label, key }, demand })
    }

    fn event_prefix(&self) -> &'static str {
        "ai.vapi."
    }

    fn time_limit(&self, label: &str) -> Duration {
        facts::default_timeout(label).get()
    }

    fn fallback(&self, label: &str) -> Option<&'static str> {
        (label == "knowledge-base-request").then_some(r#"{"documents":[]}"#)
    }

    fn check(&self, form: Form, reply: &[u8]) -> Result<(), &'static str> {
        reply::check(form, reply)
    }

    fn reply(
        &self,
        form: Form,
        questions: &[Question],
        answers: Vec<Answer>,
    ) -> Result<Reply, Refusal> {
        match form {
            Form::ToolCalls => Ok(tool_calls::merge(questions, answers)),
            Form::FunctionCall => tool_calls::merge_legacy(&answers),
            Form::Json(_) | Form::Stream => reply::single(answers),
        }
    }
}

/// The `message` of a body, as slices of it.
#[derive(Default)]
struct Message<'a> {
    kind: Option<Text<'a>>,
    /// The `id` of `call`, `chat`, `session` and `contact`.
    ids: [Option<Text<'a>>; 4],
    members: Vec<(Text<'a>, &'a str)>,
}

/// The members whose `id` may be the key, in the order in which they count.
const KEYS: [&str; 4] = ["call", "chat", "session", "contact"];

/// One pass over the body. Of a key that occurs twice the last one counts, as in JavaScript, Python and Go.
fn read(body: &[u8]) -> Result<Message<'_>, json::Error> {
    let mut reader = Reader::new(body)?;
    let mut found = None;
    if reader.peek()? != Kind::Object {
        reader.skip()?;
        reader.end()?;
        return Err(reader.error("the body is not an object"));
    }
    reader.object(|reader, key| {
        if key == "message" {
            found = match reader.peek()? {
                Kind::Object => Some(message(reader)?),
                _ => None,
            };
        }
        Ok(())
    })?;
    reader.end()?;
    found.ok_or(reader.error("`message` is not an object"))
}

fn message<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, json::Error> {
    let mut message = Message { members: Vec::with_capacity(24), ..Message::default() };
    reader.object(|reader, key| {
        let value = reader.slice(|reader| {
            if key == "type" {
                message.kind = text(reader)?;
            } else if let Some(place) = KEYS.iter().position(|name| key == **name) {
                message.ids[place] = id(reader)?;
            }
            Ok(())
        })?;
        message.members.push((key, value));
        Ok(())
    })?;
    Ok(message)
}

/// `id` of an object; none where the value is something else, or the id isn't a text.
fn id<'a>(reader: &mut Reader<'a>) -> Result<Option<Text<'a>>, json::Error> {
    let mut id = None;
    if reader.peek()? == Kind::Object {
        reader.object(|reader, key| {
            if key == "id" {
                id = text(reader)?;
            }
            Ok(())
        })?;
    }
    Ok(id)
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
