//! The output of a task: one JSON object a line.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::spool::{DeadLetter, Position};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// A dead letter, and what became of it.
    DeadLetter(Entry),
    /// A queue.
    Queue(QueueStatus),
    /// How far it is.
    Progress(Summary),
    /// A destination that is left alone.
    GivenUp {
        /// Its configured text.
        destination: Arc<str>,
        /// Why.
        error: String,
    },
    /// The end. Without it, the task was cut off.
    Summary(Summary),
}

/// A dead letter, without its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its number among all dead letters there ever were.
    pub position: u64,
    /// When it became one.
    pub dead_lettered: String,
    /// `id` of the CloudEvent.
    pub id: Arc<str>,
    /// Name of the endpoint.
    pub endpoint: Arc<str>,
    /// `type` of the CloudEvent.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// The key, as it stands in the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The configured text.
    pub destination: Arc<str>,
    /// The topic or subject.
    pub name: Arc<str>,
    /// Why the broker rejected it: one word.
    pub reason: Arc<str>,
    /// What the broker said.
    pub detail: Arc<str>,
    /// Size of the body.
    pub bytes: usize,
    /// What became of it, if something was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ReplayOutcome>,
    /// Why it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    pub(super) fn new(position: Position, letter: &DeadLetter) -> Self {
        let DeadLetter { destination, reason, detail, record } = letter;
        let event = &record.event;
        Self {
            position: position.sequence(),
            dead_lettered: time(position.stored()),
            id: event.id.clone(),
            endpoint: event.endpoint.clone(),
            kind: event.kind.clone(),
            key: event.subject.clone(),
            destination: destination.clone(),
            name: record.name.clone(),
            reason: reason.clone(),
            detail: detail.clone(),
            bytes: event.payload.len(),
            outcome: None,
            error: None,
        }
    }

    pub(super) fn became(self, outcome: ReplayOutcome, error: Option<String>) -> Line {
        Line::DeadLetter(Self { outcome: Some(outcome), error, ..self })
    }
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayOutcome {
    /// A broker acknowledged it.
    Published,
    /// The broker rejected it again.
    Rejected,
    /// The destination failed.
    Failed,
    /// It was removed without being published.
    Dropped,
}

/// Events that queue for a destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueStatus {
    /// The configured text.
    pub destination: Arc<str>,
    /// How many there are.
    pub records: u64,
    /// How many of them wait apart from the others, since their own subject or topic takes nothing.
    #[serde(default)]
    pub apart: u64,
    /// What they take on disk.
    pub bytes: u64,
    /// Since when the oldest has been waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Whether the configuration still has the destination.
    pub is_configured: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Events that were asked for.
    pub matched: u64,
    /// Acknowledged by a broker.
    pub published: u64,
    /// Rejected again, and still dead letters.
    pub rejected: u64,
    /// Removed without being published.
    pub dropped: u64,
    /// Of a queue: rejected, and dead letters now.
    pub dead_lettered: u64,
    /// Of what was asked for, what is still there.
    pub left: u64,
    /// Beside a list of dead letters: how many events queue on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// Beside a list: how many dead letters there are, whether they were meant or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// Of a list of dead letters: the position that the next one will have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Of such a list, where it is full: the position of the first one that isn't in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Why it ended before it had seen everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// RFC 3339. What no such text can say is cut off at the ends.
pub(super) fn time(time: SystemTime) -> String {
    let last = Duration::from_secs(LAST);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since.min(last)).to_string()
}

/// The end of the year 9999.
const LAST: u64 = 253_402_300_799;
