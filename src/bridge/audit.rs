//! What became of each question, as an event of its own (`[endpoint.audit]`).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::event;
use super::questions::Walk;
use crate::message::{Answer, Content};
use crate::source::Dialogue;

/// The type of these events.
const KIND: &str = "hookbus.audit";

/// One question and its end.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    /// The webhook's, which the worker got as `Hookbus-Id`.
    id: &'a str,
    endpoint: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    /// As received.
    #[serde(rename = "callId", skip_serializing_if = "Option::is_none")]
    call: Option<&'a RawValue>,
    outcome: &'static str,
    /// From the request head to the answer.
    milliseconds: u64,
    /// The name that the worker gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    /// It is the answer to an earlier delivery of the same call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reused: bool,
    #[serde(flatten)]
    content: Said<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Said<'a> {
    Reply(Value<'a>),
    Fallback(Value<'a>),
    Error(&'a str),
    #[serde(untagged)]
    Nothing {},
}

/// JSON as it is, anything else as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Json(&'a RawValue),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    fn of(bytes: &'a Bytes) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Text(String::from_utf8_lossy(bytes)),
        }
    }
}

impl Walk {
    /// What is to be told of a question, if anybody wants to know.
    pub(super) fn record(
        &self,
        dialogue: &dyn Dialogue,
        place: usize,
        answer: &Answer,
        (took, worker, reused): (Duration, Option<&str>, bool),
    ) -> Option<Bytes> {
        if self.endpoint.routes.audit().is_empty() {
            return None;
        }
        let content = match &answer.content {
            Content::Reply(reply) => Said::Reply(Value::of(&reply.body)),
            Content::Fallback(bytes) => Said::Fallback(Value::of(bytes)),
            Content::Error(text) => Said::Error(text),
            Content::Nothing => Said::Nothing {},
        };
        let record = Record {
            id: &self.webhook.id,
            endpoint: &self.endpoint.name,
            r#type: &self.metadata.kind,
            key: self.metadata.key.as_deref(),
            function: self.questions[place].function.as_deref().filter(|name| !name.is_empty()),
            call: dialogue.identity(place).and_then(|call| serde_json::from_slice(call.id).ok()),
            outcome: answer.outcome.as_str(),
            milliseconds: took.as_millis() as u64,
            worker,
            reused,
            content,
        };
        // Text and numbers, and JSON that was read before.
        serde_json::to_vec(&record).ok().map(Bytes::from)
    }

    /// Store the records, beside the answer and never in its way, with their own share of the limits.
    pub(super) fn audit(&self, records: Vec<Option<Bytes>>) {
        let to = self.endpoint.routes.audit();
        for (place, (question, record)) in self.questions.iter().zip(records).enumerate() {
            let Some(record) = record else { continue };
            // Jobs have the numbers from 1 on.
            let id = format!("{}.{}", self.webhook.id, self.questions.len() + place + 1);
            let json = "application/json".into();
            let Self { endpoint, webhook, metadata, .. } = self;
            let mut event = event::event(endpoint, webhook, metadata, id.into(), json, record);
            event.kind = KIND.into();
            let vars = event::vars(endpoint, metadata, question.function.as_deref());
            let to = to.iter().map(|to| (to.clone(), to.name(&vars))).collect();
            self.beside(to, event, None, None);
        }
    }
}
