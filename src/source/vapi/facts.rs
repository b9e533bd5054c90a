//! What is known of each type: whether it asks, how long the platform waits, and what it reads.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::TOOL_CALLS;
use crate::config::facts::{Asked, Facts};
use crate::config::units::Time;
use crate::json::Text;
use crate::message::KnownType;

/// How long a worker has for an answer unless something else is said.
const TIMEOUT: Time = Time::seconds(18);

/// What the configuration has to know.
pub(super) static FACTS: LazyLock<Arc<Facts>> = LazyLock::new(|| {
    Arc::new(Facts {
        provider: "Vapi".to_owned(),
        events: EVENTS.map(str::to_owned).to_vec(),
        questions: asked().into(),
        calls: [TOOL_CALLS, "function-call"].map(str::to_owned).to_vec(),
        call_timeout: Some(TIMEOUT),
        secret_header: Some("x-vapi-secret"),
        ..Facts::default()
    })
});

/// The types that are one question each.
fn asked() -> [Asked; 7] {
    let asked = |name: &str, timeout, patience| Asked { name: name.to_owned(), timeout, patience };
    [
        asked("assistant-request", Time::seconds(6), Some(Time::milliseconds(7_500))),
        asked("transfer-destination-request", TIMEOUT, None),
        asked("handoff-destination-request", TIMEOUT, None),
        asked("knowledge-base-request", Time::seconds(8), Some(Time::seconds(10))),
        asked("voice-request", TIMEOUT, None),
        asked("call.endpointing.request", Time::seconds(3), None),
        asked("campaign.predial", TIMEOUT, None),
    ]
}

/// The types that tell.
const EVENTS: [&str; 29] = [
    "assistant.speechStarted",
    "assistant.started",
    "call.artifact.upload",
    "call.delete.failed",
    "call.deleted",
    "chat.created",
    "chat.deleted",
    "conversation-update",
    "end-of-call-report",
    "hang",
    "language-change-detected",
    "language-changed",
    "model-output",
    "phone-call-control",
    "session.created",
    "session.deleted",
    "session.updated",
    "simulation.run.ended",
    "simulation.run.started",
    "speech-update",
    "status-update",
    "tool.completed",
    "transcript",
    "transcript[transcriptType=\"final\"]",
    "transfer-update",
    "user-interrupted",
    "voice-input",
    "workflow.node.started",
    "metadata",
];

/// How answers become the reply that the sender reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One entry per call.
    ToolCalls,
    /// `{"result": "…"}`.
    FunctionCall,
    /// The worker's JSON, if it is of this schema.
    Json(Schema),
    /// The worker's bytes, as they come.
    Stream,
}

/// What the platform reads as the JSON reply to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// An assistant, squad, workflow, destination or error.
    Assistant,
    /// A transfer destination or an error.
    Transfer,
    /// A handoff destination, an empty one, or an error.
    Handoff,
    /// Documents, a message, or both.
    KnowledgeBase,
    /// `timeoutSeconds` between 0 and 15.
    Endpointing,
    /// `eligible`, true or false.
    Predial,
}

/// The types that ask.
pub(super) const QUESTIONS: [(&str, Form); 9] = [
    (TOOL_CALLS, Form::ToolCalls),
    ("function-call", Form::FunctionCall),
    ("assistant-request", Form::Json(Schema::Assistant)),
    ("transfer-destination-request", Form::Json(Schema::Transfer)),
    ("handoff-destination-request", Form::Json(Schema::Handoff)),
    ("knowledge-base-request", Form::Json(Schema::KnowledgeBase)),
    ("call.endpointing.request", Form::Json(Schema::Endpointing)),
    ("campaign.predial", Form::Json(Schema::Predial)),
    ("voice-request", Form::Stream),
];

/// Whether a type is one that asks.
pub(super) fn asks(kind: Text<'_>) -> bool {
    QUESTIONS.iter().any(|(name, _)| kind == **name)
}

/// The label of each type, and its form if it asks; sorted by [`order`].
static KNOWN: LazyLock<Vec<(Arc<str>, Option<Form>)>> = LazyLock::new(|| {
    let questions = QUESTIONS.iter().map(|(name, form)| ((*name).into(), Some(*form)));
    let events = EVENTS.iter().map(|name| ((*name).into(), None));
    let mut known: Vec<(Arc<str>, _)> = questions.chain(events).collect();
    known.sort_unstable_by(|(one, _), (other, _)| order(one, other));
    known
});

/// All types with a label.
pub(super) fn types() -> Vec<KnownType> {
    let known = |(name, form): &(Arc<str>, Option<Form>)| KnownType {
        name: name.clone(),
        asks: form.is_some(),
    };
    KNOWN.iter().map(known).collect()
}

/// The number of a type, and how it is answered if it asks.
pub(super) fn of(kind: &str) -> (usize, Option<Form>) {
    match KNOWN.binary_search_by(|(name, _)| order(name, kind)) {
        Ok(at) => (at, KNOWN[at].1),
        Err(_) => (KNOWN.len(), None),
    }
}

/// By length first, which tells most of them apart.
fn order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// How long a worker has for an answer to a question of this type.
pub(super) fn timeout(kind: &str) -> Duration {
    FACTS.timeout(kind).unwrap_or(TIMEOUT).get()
}
