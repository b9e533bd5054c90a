//! The nouns of the walk: what comes in, what it turns out to be, what goes out.
//!
//! Plain values without behaviour of their own; every step takes some and returns some.

mod client;
mod refusal;

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

pub use self::client::{Client, HangUp};
pub use self::refusal::Refusal;
use crate::trace::Trace;

/// One HTTP delivery, authenticated and read.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Id of the delivery; the same through retries and copies.
    pub id: Arc<str>,
    /// Name of the endpoint it arrived at.
    pub endpoint: Arc<str>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Content type as sent; `application/json` when there was none.
    pub content_type: Arc<str>,
    /// When the request head was complete: deadlines run from here.
    pub started: Instant,
    /// When it was received, on the clock of this machine.
    pub received: SystemTime,
    /// The trace that the sender is in.
    pub trace: Trace,
}

/// What a webhook is.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The type as received, unescaped.
    pub kind: Arc<str>,
    /// The number of the type among those that its source knows by name; one more than the last is any other.
    pub label: usize,
    /// What ties webhooks together: such as the id of a call.
    pub key: Option<Arc<str>>,
}

/// A type that a source knows by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownType {
    /// The name, which is a metric label.
    pub name: Arc<str>,
    /// Whether its sender waits for an answer.
    pub asks: bool,
}

/// Something that a worker is asked, or a job that is stored for one.
#[derive(Debug, Clone)]
pub struct Question {
    /// The function that is called, perhaps without a name; nothing where the webhook is one question as a whole.
    pub function: Option<Arc<str>>,
    /// The time for an answer unless a rule says otherwise, from the request head on.
    pub timeout: Duration,
    /// The sender's own limit, where the webhook says one.
    pub limit: Option<Duration>,
    /// The sender doesn't wait for the result: a job.
    pub is_async: bool,
    /// Whether an empty reply is an answer.
    pub may_be_empty: bool,
}

/// An event on its way to one destination.
#[derive(Debug, Clone)]
pub struct Event {
    /// `id` of the CloudEvent.
    pub id: Arc<str>,
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// `type` of the CloudEvent, without control characters, at most 1,024 bytes.
    pub kind: Arc<str>,
    /// The key as received.
    pub key: Option<Arc<str>>,
    /// `subject` of the CloudEvent: the key as an [`attribute`].
    pub subject: Option<Arc<str>>,
    /// `time` of the CloudEvent.
    pub time: SystemTime,
    /// Content type of the payload.
    pub content_type: Arc<str>,
    /// The payload, byte for byte.
    pub payload: Bytes,
    /// The trace that it belongs to.
    pub trace: Trace,
    /// Whether brokers may drop it as a repetition of the same id.
    pub dedupe: bool,
}

/// Longest attribute, in bytes.
const ATTRIBUTE: usize = 1_024;

/// A text from outside as an attribute or header value: control characters become U+FFFD, and what
/// is over 1,024 bytes is cut and gets a hash, so that distinct values stay distinct.
pub fn attribute(text: &Arc<str>) -> Arc<str> {
    // Mostly it is plain ASCII. All bytes are looked at, sixteen at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if text.len() <= ATTRIBUTE && (is_plain || !text.chars().any(char::is_control)) {
        return text.clone();
    }
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if clean.len() > ATTRIBUTE {
        let hash = format!("~{:x}", Sha256::digest(text.as_bytes()));
        let hash = &hash[..17];
        clean.truncate(clean.floor_char_boundary(ATTRIBUTE - hash.len()));
        clean.push_str(hash);
    }
    clean.into()
}

/// Who holds an event. With several destinations the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receipt {
    /// Nobody, on purpose: by a rule without destinations.
    Dropped,
    /// Acknowledged by every destination's broker.
    Stored,
    /// Synced to the disk, on its way to some destination.
    Spooled,
    /// Synced to the disk as a dead letter, because some destination will never take it.
    DeadLettered,
}

/// What became of a webhook: what its sender got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It is an event, and this is who holds it.
    Event(Receipt),
    /// It is a delivery that had its 2xx before.
    Repeated,
    /// It only tried out the endpoint.
    Handshake,
    /// It got no 2xx, and not for the want of an answer.
    Refused,
    /// A fallback stands for some answer.
    Fallback,
    /// The worst outcome of its questions.
    Question(Outcome),
}

impl WebhookOutcome {
    /// How many there are.
    pub const COUNT: usize = 8 + Outcome::ALL.len();

    /// Its number.
    pub const fn index(self) -> usize {
        match self {
            Self::Event(receipt) => receipt as usize,
            Self::Repeated => 4,
            Self::Handshake => 5,
            Self::Refused => 6,
            Self::Fallback => 7,
            Self::Question(outcome) => 8 + outcome as usize,
        }
    }

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event(receipt) => receipt.as_str(),
            Self::Repeated => "repeated",
            Self::Handshake => "handshake",
            Self::Refused => "refused",
            Self::Fallback => "fallback",
            Self::Question(outcome) => outcome.as_str(),
        }
    }
}

impl Receipt {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Stored => "stored",
            Self::Spooled => "spooled",
            Self::DeadLettered => "dead-lettered",
        }
    }

    /// Whether something is still to be done: it is on its way to a broker.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Spooled | Self::DeadLettered)
    }
}

/// How a question ended. A later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A worker answered.
    Answered,
    /// No worker answered in time.
    Timeout,
    /// No worker listens.
    NoResponders,
    /// The NATS server lets the bridge not ask on this subject, or not listen for replies.
    NotPermitted,
    /// A worker answered with an error.
    WorkerError,
    /// A worker answered with something that the sender can't read.
    BadReply,
    /// The question is larger than NATS takes.
    TooLarge,
    /// There is no connection to NATS.
    Disconnected,
    /// Too many questions at the same time.
    Overloaded,
}

impl Outcome {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Answered,
        Self::Timeout,
        Self::NoResponders,
        Self::NotPermitted,
        Self::WorkerError,
        Self::BadReply,
        Self::TooLarge,
        Self::Disconnected,
        Self::Overloaded,
    ];

    /// Whether it says that a worker is there: nothing where it says nothing about workers.
    pub const fn is_worker_there(self) -> Option<bool> {
        match self {
            Self::Answered | Self::WorkerError => Some(true),
            Self::Timeout | Self::NoResponders | Self::NotPermitted | Self::BadReply => Some(false),
            Self::TooLarge | Self::Disconnected | Self::Overloaded => None,
        }
    }

    /// The word in headers, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Timeout => "timeout",
            Self::NoResponders => "no-responders",
            Self::NotPermitted => "not-permitted",
            Self::WorkerError => "worker-error",
            Self::BadReply => "bad-reply",
            Self::TooLarge => "too-large",
            Self::Disconnected => "disconnected",
            Self::Overloaded => "overloaded",
        }
    }

    /// What a caller may be told when a tool has no result.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Answered => "done",
            Self::Timeout => "there was no answer in time",
            Self::NoResponders => "nobody can answer this right now",
            Self::NotPermitted => "nobody may be asked this right now",
            Self::WorkerError => "the answer could not be worked out",
            Self::BadReply => "the answer could not be used",
            Self::TooLarge => "the question is too large",
            Self::Disconnected => "whoever answers this can't be reached right now",
            Self::Overloaded => "too much is being asked right now",
        }
    }
}

/// What came of one question.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// A worker's reply or error text, or the fallback's bytes.
    pub content: Content,
}

/// What an answer holds.
#[derive(Debug)]
pub enum Content {
    /// The worker's reply.
    Reply(Replied),
    /// The worker's error text, one line.
    Error(String),
    /// The configured fallback, as JSON.
    Fallback(Bytes),
    /// Nothing.
    Nothing,
}

/// What a worker replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replied {
    /// Its bytes.
    pub body: Bytes,
    /// What it says of them, where it says anything.
    pub head: Option<Arc<ReplyHead>>,
}

impl From<Bytes> for Replied {
    fn from(body: Bytes) -> Self {
        Self { body, head: None }
    }
}

/// What a worker wants its reply to be sent with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyHead {
    /// The status (`Hookbus-Status`).
    pub status: Option<u16>,
    /// The content type (`Hookbus-Content-Type`): visible ASCII and blanks.
    pub content_type: Option<String>,
    /// Headers (`Hookbus-Header-NAME`), by their names in lower case.
    pub headers: Vec<(String, String)>,
}

impl ReplyHead {
    /// What it takes in memory, in bytes, roughly.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        headers + self.content_type.as_ref().map_or(0, String::len) + size_of::<Self>()
    }
}

/// What the sender gets.
pub struct Reply {
    /// The status: one that says that all is well.
    pub status: StatusCode,
    /// Content type of the body: visible ASCII and blanks; empty: none.
    pub content_type: Cow<'static, str>,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The body of a reply.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Its parts as they come; an error breaks the response.
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl Reply {
    /// A reply of this content type.
    pub fn new(body: Body, content_type: impl Into<Cow<'static, str>>) -> Self {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self { status, content_type: content_type.into(), headers, body }
    }

    /// A reply that is bytes for the sender alone, of this content type or of none in particular.
    pub fn bytes(body: Body, content_type: Option<String>) -> Self {
        let octets = Cow::Borrowed("application/octet-stream");
        Self::new(body, content_type.map_or(octets, Cow::Owned))
    }

    /// A reply that is JSON.
    pub fn json(body: Bytes) -> Self {
        Self::json_in_parts(Body::Whole(body))
    }

    /// A reply that is JSON, perhaps written while it is sent.
    pub fn json_in_parts(body: Body) -> Self {
        Self::new(body, "application/json")
    }
}
