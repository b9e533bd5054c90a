//! Webhooks that ask several questions: one for each element of a list in the body. Their answers become one array, or
//! one object by a member of the elements.

use std::sync::Arc;

use bytes::Bytes;

use super::dialogue::{Asking, question};
use crate::config::Context;
use crate::config::piece::{Piece, pieces};
use crate::config::provider;
use crate::json::{Found, Pointers, Reader, quote};
use crate::message::{Answer, Content, Outcome, Refusal, Replied, Reply};
use crate::places::{Places, Value, Values};
use crate::source::{Dialogue, Identity, Questions, Request, Unasked};

/// Elements that are asked about, as many as calls of functions in one webhook.
const MAX_ELEMENTS: usize = 64;

/// Where the elements stand, and what becomes of their answers.
#[derive(Debug)]
pub(super) struct Each {
    /// The list, among the places of the webhook.
    list: usize,
    /// Its place as it is written, for refusals.
    of: String,
    /// The member that an answer is found by.
    by: Option<Pointers>,
    /// The member of the reply that holds the answers, as JSON.
    inside: Option<String>,
}

impl Each {
    /// As described, if its places can be read.
    pub(super) fn new(settings: &provider::Each, places: &mut Places) -> Option<Self> {
        let pointer = |text: &str| match pieces(text).ok()?.pop()? {
            Piece::Pointer(keys) => Some(keys),
            _ => None,
        };
        let by = settings.by.as_deref().and_then(pointer).map(|keys| {
            let mut by = Pointers::default();
            by.add(&keys);
            by
        });
        Some(Self {
            list: places.add(&Piece::Pointer(pointer(&settings.of)?))?,
            of: settings.of.clone(),
            by,
            inside: settings.inside.as_deref().map(quote),
        })
    }

    /// What a webhook asks. A list that isn't there is as good as an empty one: nothing is asked.
    pub(super) fn questions(
        &self,
        asking: &Arc<Asking>,
        request: &Request<'_>,
        values: &Values<'_>,
        id: Option<Arc<str>>,
    ) -> Result<Questions, Refusal> {
        let list = match values.get(self.list) {
            Value::Nested(list) => &**list,
            Value::Absent => "[]",
            _ => return Err(self.wrong("is no list")),
        };
        let mut elements = Vec::new();
        let mut reader = Reader::over(list);
        let read = reader.array(|reader| {
            let element = reader.skip()?;
            // Those after the last one that is asked about are counted, and not kept.
            if elements.len() <= MAX_ELEMENTS {
                elements.push(element);
            }
            Ok(())
        });
        read.map_err(|_| self.wrong("is no list"))?;
        if elements.len() > MAX_ELEMENTS {
            return Err(self.wrong(&format!("has more than {MAX_ELEMENTS} elements")));
        }
        let names = match &self.by {
            Some(by) => self.names(by, &elements)?,
            None => Vec::new(),
        };
        let all = elements.iter().map(|_| question(asking)).collect();
        let number = |number| id.as_ref().map(|id| quote(&format!("{id}.{number}")));
        let dialogue = List {
            ids: (0..elements.len()).map(number).collect(),
            elements: elements.iter().map(|it| request.body.slice_ref(it.as_bytes())).collect(),
            asking: asking.clone(),
            is_object: self.by.is_some(),
            names,
            inside: self.inside.clone(),
        };
        Ok(Questions { all, dialogue: Box::new(dialogue) })
    }

    /// The names of the elements, as JSON. No two are the same.
    fn names(&self, by: &Pointers, elements: &[&str]) -> Result<Vec<String>, Refusal> {
        let mut names = Vec::with_capacity(elements.len());
        for element in elements {
            let name = name(by, element);
            let name = name.ok_or_else(|| self.wrong("has an element without a name"))?;
            if names.contains(&name) {
                return Err(self.wrong("has two elements of one name"));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn wrong(&self, what: &str) -> Refusal {
        Refusal::Malformed(format!("`{}` {what}", self.of).into())
    }
}

/// What the answer to an element is found by, as JSON.
fn name(by: &Pointers, element: &str) -> Option<String> {
    let mut name = None;
    let mut told = |_, found: Found<'_>| match found {
        Found::Value(json) => match Value::of_json(json) {
            Value::One(text) => name = Some(quote(&text)),
            _ => name = None,
        },
        Found::Missing | Found::Again => name = None,
    };
    by.read(&mut Reader::over(element), &mut told).ok()?;
    name
}

/// The elements of one webhook, each of which is a question.
struct List {
    asking: Arc<Asking>,
    elements: Vec<Bytes>,
    /// As JSON: an element that comes again in the same delivery has the same.
    ids: Vec<Option<String>>,
    is_object: bool,
    /// The members of that object, as JSON.
    names: Vec<String>,
    inside: Option<String>,
}

impl Dialogue for List {
    /// Parts of the body, which take nothing.
    fn payloads<'a>(
        &mut self,
        _: &dyn Fn(usize) -> &'a Context,
        _: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>> {
        self.elements.iter().cloned().map(Some).collect()
    }

    fn identity(&self, question: usize) -> Option<Identity<'_>> {
        let id = self.ids.get(question)?.as_ref()?.as_bytes();
        Some(Identity { id, arguments: self.elements.get(question)? })
    }

    fn check(&self, reply: &Replied) -> Result<(), &'static str> {
        self.asking.check(reply)
    }

    fn fallback(&self) -> Option<Bytes> {
        self.asking.fallback()
    }

    fn reply(self: Box<Self>, answers: Vec<Answer>, _: Unasked) -> Result<Reply, Refusal> {
        let is_missing =
            |answer: &&Answer| matches!(answer.content, Content::Error(_) | Content::Nothing);
        // The sender can't tell an answer that isn't there from one that is.
        if let Some(worst) = answers.iter().filter(is_missing).map(|it| it.outcome).max() {
            return Err(Refusal::Unanswered(worst));
        }
        if answers.len() != self.elements.len() {
            return Err(Refusal::Unanswered(Outcome::NoResponders));
        }
        let mut body = Vec::new();
        if let Some(inside) = &self.inside {
            body.extend_from_slice(format!("{{{inside}:").as_bytes());
        }
        body.push(if self.is_object { b'{' } else { b'[' });
        for (at, answer) in answers.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            if let Some(name) = self.names.get(at) {
                body.extend_from_slice(format!("{name}:").as_bytes());
            }
            match &answer.content {
                Content::Reply(reply) => body.extend_from_slice(&reply.body),
                Content::Fallback(json) => body.extend_from_slice(json),
                Content::Error(_) | Content::Nothing => {}
            }
        }
        body.push(if self.is_object { b'}' } else { b']' });
        if self.inside.is_some() {
            body.push(b'}');
        }
        Ok(self.asking.of_several(body.into()))
    }
}
