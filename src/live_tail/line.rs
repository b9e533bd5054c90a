//! What is told of a webhook, and how it is written: one JSON object a line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// A webhook that has got its answer.
    Webhook(Arc<Webhook>),
    /// Lines that came too fast for this reader, whether they would have fitted its filter or not.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A webhook and its result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// When it came.
    pub time: String,
    /// Name of the endpoint; empty if none was reached.
    pub endpoint: Arc<str>,
    /// Its id, once it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// Whether it tells or asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Its type, cut and without control characters, as the following ones.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<Arc<str>>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// What it asks, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Method and path of a request that reached no endpoint, cut and without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Arc<str>>,
    /// Where it goes, as configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Arc<str>>,
    /// What came of it at each of them, in the order in which that was known; at more than one subject or topic of a
    /// destination, it is there more than once. Copies of a question that are stored after its answer are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<DestinationReceipt>,
    /// What became of it, as in the metrics.
    pub outcome: Cow<'static, str>,
    /// Why it was refused, or fell back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// The likely cause of a refusal for missing or wrong authentication, and what to do about it, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The status of the response; nothing if the sender hung up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the head of the request to that of the response.
    pub milliseconds: f64,
    /// From the head of the request to when its sender was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_milliseconds: Option<f64>,
    /// From the head of the request to when all of its body was there, and decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_milliseconds: Option<f64>,
    /// The trace that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Arc<str>>,
    /// Size of its body, as far as it was read.
    pub bytes: usize,
    /// Its body as text, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What workers got of it, where its body is shown; cut as well, all of it together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
}

/// One question of a webhook, and how it ended; the fields have the names that they have in the log and in audit events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The function that is called, cut and without control characters; nothing where the type is the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Arc<str>>,
    /// How it ended; nothing if its sender hung up before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'static, str>>,
    /// From the head of the request to the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<f64>,
    /// The name that the worker gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Arc<str>>,
    /// It is the answer to an earlier delivery of the same call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
}

/// What a worker got: a message of NATS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The function that is called, cut and without control characters; nothing where the type is the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Arc<str>>,
    /// The subject.
    pub subject: String,
    /// Its headers; none of a job, which is stored as an event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The payload as text.
    pub payload: String,
}

impl Asked {
    /// What it takes beside its payload, in bytes, about.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        size_of::<Self>() + self.subject.len() + headers.sum::<usize>()
    }
}

/// What came of an event at one destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationReceipt {
    /// As configured.
    pub destination: Arc<str>,
    /// Who holds it, as in the metrics; or why nobody does.
    pub outcome: Cow<'static, str>,
    /// From the head of the request to its acknowledgement, or to when it was safe on disk.
    pub milliseconds: f64,
}

/// What a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its sender tells.
    Event,
    /// Its sender waits.
    Question,
}

impl Kind {
    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Question => "question",
        }
    }
}

impl Webhook {
    /// Whether somebody should look at it: it was refused, became a dead letter, or lacks a worker's answer.
    pub fn is_error(&self) -> bool {
        let is_fine = ["stored", "spooled", "dropped", "repeated", "answered", "handshake"];
        !is_fine.contains(&&*self.outcome)
    }
}
