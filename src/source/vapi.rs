//! Vapi server messages: what each type is, and the answers that the platform reads.
//!
//! Facts are from `docs.vapi.ai` (server-url/events, tools/custom-tools-troubleshooting) and the
//! OpenAPI definition published with it.

mod reply;
pub mod samples;
mod server;
mod tool_calls;

use std::sync::Arc;
use std::time::Duration;

use crate::config::vapi as facts;
use crate::json::{self, Kind, Reader, Text};
use crate::message::{
    About, Answer, Classified, Demand, Form, Members, Payload, Question, Questions, Refusal, Reply,
    Shape, Webhook,
};
use crate::source::{Source, Unasked};

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
        let key: Option<Arc<str>> =
            message.ids.into_iter().flatten().next().map(|id| id.unescape().into());
        let demand = match question {
            None => Demand::Event,
            Some((_, form)) => {
                let Message { text, members: Known { all, is_complete }, .. } = &message;
                let members = Members::new(&webhook.body, text, all, *is_complete);
                let (all, excess) = match form {
                    Form::ToolCalls => {
                        tool_calls::split(&members, key.as_ref().map_or(0, |key| key.len()))
                    }
                    Form::FunctionCall => (vec![tool_calls::legacy(&members)], None),
                    _ => {
                        let limit = server::limit(label, &members);
                        (vec![Question { limit, ..Question::whole(Payload::Body) }], None)
                    }
                };
                Demand::Questions(Questions { all, excess, form: *form, members })
            }
        };
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
        questions: &Questions,
        answers: Vec<Answer>,
        unasked: Option<Unasked>,
    ) -> Result<Reply, Refusal> {
        match questions.form {
            Form::ToolCalls => Ok(tool_calls::merge(questions, answers, unasked)),
            Form::FunctionCall => tool_calls::merge_legacy(&answers),
            Form::Json(_) | Form::Stream => reply::single(answers),
        }
    }
}

/// What is read of a body, as slices of it.
struct Message<'a> {
    kind: Option<Text<'a>>,
    /// What may be the key, in the order in which it counts.
    ids: [Option<Text<'a>>; 4],
    /// The whole of it.
    text: &'a str,
    members: Known<'a>,
}

/// The members of a message, unless they are more than anybody sends: then the first ones, and of the rest those that
/// questions are read from.
#[derive(Default)]
struct Known<'a> {
    all: Vec<(Text<'a>, &'a str)>,
    is_complete: bool,
}

/// Members that are remembered whatever they are. A real message has some two dozen.
const FIRST: usize = 64;

/// The members that questions are read from.
const READ: [&str; 7] = [
    "toolCallList",
    "toolCalls",
    "toolWithToolCallList",
    "functionCall",
    "assistant",
    "call",
    "phoneNumber",
];

impl<'a> Known<'a> {
    fn add(&mut self, key: Text<'a>, value: &'a str) {
        if self.all.len() < FIRST {
            self.all.push((key, value));
            return;
        }
        self.is_complete = false;
        if let Some(name) = READ.iter().find(|name| key == ***name) {
            let mut late = self.all.iter_mut().skip(FIRST);
            match late.find(|(known, _)| *known == **name) {
                Some(known) => *known = (key, value),
                None => self.all.push((key, value)),
            }
        }
    }
}

/// The members whose `id` may be the key, in the order in which they count.
const KEYS: [&str; 4] = ["call", "chat", "session", "contact"];

/// What the types begin with that come without `message`.
const BARE: &str = "simulation.";

/// One pass over the body. Of a key that occurs twice the last one counts, as in JavaScript, Python and Go.
fn read(body: &[u8]) -> Result<Message<'_>, json::Error> {
    let mut reader = Reader::new(body)?;
    let mut found = None;
    let (mut kind, mut target, mut item) = (None, None, None);
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
    match (found, kind.filter(is_bare)) {
        (Some(found), _) => Ok(found),
        (None, Some(kind)) => {
            let ids = [target, item, None, None];
            Ok(Message { kind: Some(kind), ids, text: "", members: Known::default() })
        }
        (None, None) => Err(reader.error("`message` is not an object")),
    }
}

fn message<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, json::Error> {
    let (mut kind, mut ids) = (None, [None; 4]);
    let mut members = Known { all: Vec::with_capacity(24), is_complete: true };
    let text = reader.slice(|reader| {
        reader.object(|reader, key| {
            let value = reader.slice(|reader| {
                if key == "type" {
                    kind = text(reader)?;
                } else if let Some(place) = KEYS.iter().position(|name| key == **name) {
                    ids[place] = text_of(reader, "id")?;
                }
                Ok(())
            })?;
            members.add(key, value);
            Ok(())
        })
    })?;
    Ok(Message { kind, ids, text, members })
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
