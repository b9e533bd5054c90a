//! Asking workers: fan out, wait, fall back. Exactly one answer per question.
//!
//! A question is a NATS core request. It carries its deadline, and is handed to the
//! connection only while there is one and the deadline lies ahead.

mod head;
mod media_type;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use tokio::time::Instant;

pub use self::stream::Streamed;
use crate::inbox::{Failure, Inbox, Request};
use crate::message::{Answer, Content, Outcome, Replied, Webhook, attribute};
use crate::nats::header::{encoded, insert};
use crate::sink::jetstream;
use crate::trace::Trace;

/// How often a question is asked again while it has no worker.
const AGAIN: Duration = Duration::from_millis(250);

/// The name that a worker gives itself in a reply. NATS tells nobody who replied.
pub const WORKER: &str = "Hookbus-Worker";

/// Longest name of a worker that is shown, in bytes; a longer one is cut.
const MAX_WORKER_BYTES: usize = 128;

/// Longest error text of a worker that is passed on, in characters.
const LONGEST_ERROR: usize = 500;

/// One question, ready to be asked.
pub struct Ask<'a> {
    /// The webhook that it came in.
    pub webhook: &'a Webhook,
    /// The trace that it is asked in.
    pub trace: &'a Trace,
    /// Its type as received.
    pub kind: &'a Arc<str>,
    /// Its key.
    pub key: Option<&'a Arc<str>>,
    /// The subject that workers listen on.
    pub subject: String,
    /// What the worker gets.
    pub payload: Bytes,
    /// When the answer must be there.
    pub deadline: Instant,
    /// How long "no responders" is not taken for an answer.
    pub grace: Duration,
    /// Whether an empty reply is an answer.
    pub may_be_empty: bool,
    /// Who replied, if the reply says so.
    pub worker: &'a OnceLock<Arc<str>>,
    /// What late replies are counted by.
    pub number: Option<u32>,
}

/// How a question failed, and what the worker said about it.
pub type Failed = (Outcome, Option<String>);

impl Ask<'_> {
    /// Ask for one reply.
    pub async fn once(self, inbox: Option<&Arc<Inbox>>) -> Result<Replied, Failed> {
        let inbox = inbox.ok_or((Outcome::NoResponders, None))?;
        let message = self.persist(|| inbox.request(self.request(), self.deadline)).await?;
        self.keep_worker(&message);
        reply(message, self.may_be_empty)
    }

    /// Ask for a reply that may come in parts, with at most `pause` between two of them.
    pub async fn stream(
        self,
        inbox: Option<&Arc<Inbox>>,
        pause: Duration,
    ) -> Result<Streamed, Failed> {
        let inbox = inbox.ok_or((Outcome::NoResponders, None))?;
        let replies = self.persist(|| inbox.stream(self.request(), self.deadline));
        let (first, replies) = replies.await?;
        self.keep_worker(&first);
        stream::body(first, replies, inbox, pause).await
    }

    /// Ask, and ask again while there is no worker, for as long as the rule allows.
    async fn persist<T, F>(&self, send: impl Fn() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let patience = (Instant::now() + self.grace).min(self.deadline);
        loop {
            if Instant::now() >= self.deadline {
                return Err((Outcome::Timeout, None));
            }
            let outcome = match send().await {
                Ok(reply) => return Ok(reply),
                Err(Failure::NoResponders) if Instant::now() + AGAIN <= patience => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(Failure::NoResponders) => Outcome::NoResponders,
                Err(Failure::NotPermitted) => Outcome::NotPermitted,
                Err(Failure::Disconnected | Failure::Lost) => Outcome::Disconnected,
                Err(Failure::TooLarge(_)) => Outcome::TooLarge,
                Err(Failure::Timeout | Failure::Strange) => Outcome::Timeout,
            };
            return Err((outcome, None));
        }
    }

    fn keep_worker(&self, message: &Message) {
        let said = message.headers.as_ref().and_then(|headers| headers.get(WORKER));
        let name = said.map(|name| name.as_str().trim()).filter(|name| !name.is_empty());
        if let Some(name) = name {
            let name = &name[..name.floor_char_boundary(MAX_WORKER_BYTES)];
            // One question has one first reply.
            let _ = self.worker.set(attribute(&name.into()));
        }
    }

    /// What is sent. Its headers say how much time is left when it leaves.
    fn request(&self) -> Request<impl Fn() -> HeaderMap> {
        Request {
            subject: self.subject.clone(),
            headers: || self.headers(self.deadline.saturating_duration_since(Instant::now())),
            payload: self.payload.clone(),
            number: self.number,
        }
    }

    /// The headers of the question when so much time is left.
    pub fn headers(&self, left: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // What comes from outside was cleaned by `attribute`, so that it is a header value.
        let mut insert =
            |name, value: &str| insert(&mut headers, name, value.parse().unwrap_or_default());
        let left_ms = left.as_millis();
        let deadline =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() + left_ms;
        insert("Hookbus-Id", &self.webhook.id);
        insert("Hookbus-Endpoint", &self.webhook.endpoint);
        insert("Hookbus-Type", &attribute(self.kind));
        insert("Hookbus-Deadline", &deadline.to_string());
        insert("Hookbus-Timeout-Ms", &left_ms.to_string());
        if let Some(key) = self.key {
            insert("Hookbus-Key", encoded(&attribute(key)).as_str());
        }
        if let Some(parent) = &self.trace.parent {
            insert("traceparent", parent);
        }
        if let Some(state) = &self.trace.state {
            insert("tracestate", state);
        }
        headers
    }
}

/// Reads the replies to questions. The acknowledgement of a stream that stores questions by mistake is none: the
/// worker's answer may still come.
#[expect(clippy::result_large_err, reason = "the message itself is handed back")]
pub fn read(message: Message) -> Result<Message, Message> {
    if jetstream::is_ack(&message) { Err(message) } else { Ok(message) }
}

/// A reply that is an answer.
pub fn reply(message: Message, may_be_empty: bool) -> Result<Replied, Failed> {
    let Message { payload, headers, .. } = served(message)?;
    let is_empty = payload.is_empty() && !may_be_empty;
    if is_empty || std::str::from_utf8(&payload).is_err() {
        return Err((Outcome::BadReply, None));
    }
    Ok(Replied { body: payload, head: headers.and_then(|headers| head::read(&headers)) })
}

/// A reply that isn't an error of NATS micro (ADR-32).
fn served(message: Message) -> Result<Message, Failed> {
    let Some(headers) = &message.headers else {
        return Ok(message);
    };
    let error = headers.get(NATS_SERVICE_ERROR).map(|text| text.as_str());
    let code = headers.get(NATS_SERVICE_ERROR_CODE).map(|code| code.as_str());
    match error.or(code) {
        None => Ok(message),
        Some(_) => {
            let text = error.unwrap_or_default().trim();
            let text = (!text.is_empty()).then(|| text.chars().take(LONGEST_ERROR).collect());
            Err((Outcome::WorkerError, text))
        }
    }
}

/// The answer that stands for a failure: the fallback, or what there is to say.
pub fn fall_back((outcome, text): Failed, fallback: Option<Bytes>) -> Answer {
    let content = match (fallback, text) {
        (Some(fallback), _) => Content::Fallback(fallback),
        (None, Some(text)) => Content::Error(text),
        (None, None) => Content::Nothing,
    };
    Answer { outcome, content }
}
