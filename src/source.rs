//! Providers: what their webhooks mean, and what their answers look like.
//!
//! A source is plain functions over the head and the body of a request; it does no I/O. What only one provider knows,
//! such as the form of its calls or the schema of its replies, stays behind this trait: the walk sees events, questions
//! and replies.

pub mod github;
mod sample;
pub mod vapi;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;

pub use self::sample::Sample;
use crate::config::facts::Facts;
use crate::config::{Context, SourceName};
use crate::message::{Answer, Metadata, Question, Refusal, Reply};

/// One provider's dialect.
pub trait Source: Send + Sync {
    /// Read what a webhook is: in one pass, without a tree.
    fn classify(&self, request: Request<'_>) -> Result<Classified, Refusal>;

    /// What the CloudEvents type begins with.
    fn event_prefix(&self) -> &str;
}

/// A request that was authenticated and read.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Method, path, query and headers.
    pub head: &'a Parts,
    /// The body, decoded.
    pub body: &'a Bytes,
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
    /// What workers get, in the order of the questions. `context` tells what the rule of a question hands on, and
    /// `take` is asked before bytes are taken: where it refuses, nothing is built.
    fn payloads<'a>(
        &self,
        context: &dyn Fn(usize) -> &'a Context,
        take: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Option<Bytes>>;

    /// What makes a question the same as one of another delivery; nothing where it is never the same.
    fn identity(&self, question: usize) -> Option<Identity<'_>>;

    /// Whether a worker's reply can be sent on; where not, why.
    fn check(&self, reply: &[u8]) -> Result<(), &'static str>;

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

/// The source of an endpoint, which trusts these headers although no signature covers them.
pub fn of(name: SourceName, trusted: &[String]) -> Box<dyn Source> {
    match name {
        SourceName::Vapi => Box::new(vapi::Vapi),
        SourceName::Github => Box::new(github::Github::new(trusted)),
    }
}

/// What a source says of itself.
pub fn facts(name: SourceName) -> Arc<Facts> {
    match name {
        SourceName::Vapi => vapi::facts(),
        SourceName::Github => github::facts(),
    }
}

/// Recorded webhooks of all providers.
pub fn samples() -> impl Iterator<Item = &'static Sample> {
    [vapi::samples::ALL, github::samples::ALL].into_iter().flatten()
}

/// The recorded webhook of this name.
pub fn sample(name: &str) -> Option<&'static Sample> {
    samples().find(|sample| sample.name == name)
}
