//! Providers: what their webhooks mean, and what their answers look like.
//!
//! A source is plain functions over the head and the body of a request; it does no I/O. What only one provider knows,
//! such as the form of its calls or the schema of its replies, stays behind this trait: the walk sees events, questions
//! and replies.

mod builtin;
mod described;
mod example;
#[cfg(test)]
mod pages;
mod sample;
pub mod vapi;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;

pub use self::builtin::{BuiltIn, Evidence, Page};
pub use self::example::example;
pub use self::sample::Sample;
use crate::config::facts::Facts;
use crate::config::provider::Refuse;
use crate::config::sources::QuestionKind;
use crate::config::{Context, Endpoint};
use crate::message::{Answer, KnownType, Metadata, Question, Refusal, Replied, Reply};
use crate::places::Form;

/// One provider's dialect.
pub trait Source: Send + Sync {
    /// Read what a webhook is: in one pass, without a tree.
    fn classify(&self, request: Request<'_>) -> Result<Classified, Refusal>;

    /// The types that it knows by name, by the numbers that it gives them.
    fn types(&self) -> Vec<KnownType>;

    /// What the CloudEvents type begins with.
    fn event_prefix(&self) -> &str;

    /// The methods that it takes, as in the header `Allow`.
    fn methods(&self) -> &str {
        "POST"
    }

    /// Whether a webhook comes with this method: any other one is a handshake.
    fn is_webhook(&self, method: &Method) -> bool {
        method == Method::POST
    }

    /// The answer to a handshake that the head alone shows, and whose sender doesn't have to prove what senders of
    /// webhooks have to.
    fn handshake(&self, head: &Parts) -> Option<Result<Reply, Refusal>> {
        let _ = head;
        None
    }

    /// What the sender of an event gets that is stored, or that is accepted: on its way to a broker.
    fn acknowledge(&self, is_accepted: bool) -> Reply {
        let status = if is_accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
        Reply { status, ..Reply::json(Bytes::from_static(b"{}")) }
    }

    /// How long brokers may take before an event goes to the disk, where the sender doesn't wait for their time.
    fn ack_within(&self) -> Option<Duration> {
        None
    }

    /// Statuses of refusals that differ from the usual ones.
    fn refusals(&self) -> Refuse {
        Refuse::default()
    }
}

/// A request that was authenticated and read.
pub struct Request<'a> {
    /// Method, path, query and headers.
    pub head: &'a Parts,
    /// The body, decoded.
    pub body: &'a Bytes,
    /// The number of the scheme whose signature let it in (`Endpoint::schemes`), if one did: what that covers counts.
    pub scheme: Option<usize>,
    /// The fields of the body, if it is a form and they were found already.
    pub form: Option<Form>,
}

impl<'a> Request<'a> {
    /// One of which nothing else is known.
    pub const fn new(head: &'a Parts, body: &'a Bytes) -> Self {
        Self { head, body, scheme: None, form: None }
    }
}

/// What a source read out of a webhook.
pub struct Classified {
    /// What it is.
    pub metadata: Metadata,
    /// The provider's id of this delivery, where the source reads one.
    pub delivery_id: Option<Arc<str>>,
    /// What is to be done with it.
    pub meaning: Meaning,
}

/// What is to be done with a webhook.
pub enum Meaning {
    /// The sender is telling.
    Event,
    /// The sender is waiting for one reply to all of this.
    Questions(Questions),
    /// The sender only tries out the endpoint: this is what it wants.
    Handshake(Reply),
}

/// All that is asked in one webhook.
pub struct Questions {
    /// What is asked, in the order of the answers: a few, whatever the webhook holds.
    pub all: Vec<Question>,
    /// How it is put to workers, and how their answers become the reply.
    pub dialogue: Box<dyn Dialogue>,
}

/// Between the sender and the workers, for as long as a webhook with questions is handled.
pub trait Dialogue: Send + Sync {
    /// What workers get, in the order of the questions. Called once. `context` returns what the rule of a question hands
    /// on, and `take` is asked before bytes are taken: where it refuses, nothing is built.
    fn payloads<'a>(
        &mut self,
        context: &dyn Fn(usize) -> &'a Context,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>>;

    /// What makes a question the same as one of another delivery; nothing where it is never the same.
    fn identity(&self, question: usize) -> Option<Identity<'_>>;

    /// Whether a worker's reply can be sent on; where not, why.
    fn check(&self, reply: &Replied) -> Result<(), &'static str>;

    /// Whether the one answer is passed on as it comes, in parts.
    fn is_streamed(&self) -> bool {
        false
    }

    /// What is answered when no worker does and no rule has a fallback, as JSON.
    fn fallback(&self) -> Option<Bytes> {
        None
    }

    /// Whether the webhook holds more than is asked.
    fn has_unasked(&self) -> bool {
        false
    }

    /// The one reply; `answers` are in the order of the questions. What wasn't asked gets an answer from `unasked`, which
    /// may be needed until the reply is written.
    fn reply(self: Box<Self>, answers: Vec<Answer>, unasked: Unasked) -> Result<Reply, Refusal>;
}

/// What makes a question the same as another one: the id that the sender gave it, and what it says. Raw JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The id; an empty one tells nothing.
    pub id: &'a [u8],
    /// The arguments.
    pub arguments: &'a [u8],
}

/// The answer to something that isn't asked, by its function and whether it is one that nobody waits for.
pub type Unasked = Arc<dyn Fn(&str, bool) -> Answer + Send + Sync>;

/// Those that are code.
const CODED: [&str; 1] = [vapi::NAME];

/// The source of an endpoint.
pub fn of(endpoint: &Endpoint) -> Box<dyn Source> {
    match &endpoint.facts.description {
        Some(provider) => Box::new(described::Described::new(provider, endpoint)),
        None => Box::new(vapi::Vapi),
    }
}

/// Why the provider of an endpoint couldn't read a fallback, by what judges the replies of workers.
pub fn judge_fallback(
    endpoint: &Endpoint,
    asked: QuestionKind<'_>,
    fallback: &serde_json::Value,
) -> Result<(), &'static str> {
    match &endpoint.facts.description {
        Some(provider) => described::judge_fallback(provider, asked, fallback),
        None => vapi::judge_fallback(asked, fallback),
    }
}

/// The source whose webhooks call functions.
pub fn of_functions() -> Box<dyn Source> {
    Box::new(vapi::Vapi)
}

/// The type of its webhooks that call functions.
pub const FUNCTION_CALLS: &str = vapi::TOOL_CALLS;

/// The body of such a webhook, which calls one function; ids are made of this one, and so many bytes of context stand
/// beside the call.
pub fn function_call(id: &str, function: &str, arguments: &Value, context: usize) -> Bytes {
    vapi::samples::function_call(id, function, arguments, context)
}

/// The webhook that a server of the provider would have got for one call alone: `kind` is the type of the webhook that
/// held it, and `payload` what a worker gets of it.
pub fn webhook_of_call(kind: &str, payload: &[u8]) -> Option<Bytes> {
    vapi::one_call::webhook(kind, payload).map(Bytes::from)
}

/// What a worker would have replied to that call, by the server's answer.
pub fn reply_of_server(kind: &str, payload: &[u8], answer: &str) -> Result<Bytes, &'static str> {
    vapi::one_call::reply(kind, payload, answer).map(Bytes::from)
}

/// Whether the sender of this type reads bytes as they are, and no text.
pub fn is_answered_in_bytes(source: &str, kind: &str) -> bool {
    source == vapi::NAME && vapi::is_streamed(kind)
}

/// What a source of this name says of itself, if there is one.
pub fn facts(name: &str) -> Option<Arc<Facts>> {
    match name {
        vapi::NAME => Some(vapi::facts()),
        _ => builtin::find(name).map(|known| Arc::new(Facts::of(name, &known.provider))),
    }
}

/// The names of the sources that are code and not described.
pub fn names_with_code() -> impl Iterator<Item = &'static str> {
    CODED.into_iter()
}

/// The names of all sources, in the order of the alphabet.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = CODED.into_iter().chain(builtin::names()).collect();
    names.sort_unstable();
    names
}

/// The recorded webhooks of a source.
pub fn samples(name: &str) -> &'static [Sample] {
    match name {
        vapi::NAME => vapi::samples::ALL,
        _ => builtin::find(name).map_or(&[], |known| &known.samples),
    }
}

/// What the page of a source in the docs says.
pub fn page(name: &str) -> Option<&'static Page> {
    match name {
        vapi::NAME => vapi::page(),
        _ => builtin::find(name).map(|known| &known.page),
    }
}

/// A provider that is built in as a description.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    builtin::find(name)
}
