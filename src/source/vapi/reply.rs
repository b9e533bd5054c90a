//! Replies to single questions, and whether the platform can read them.
//!
//! The platform ends a call, or says nothing, when it gets something else than it expects
//! (docs: server-url/events, squads/handoff, knowledge-base/custom-knowledge-base; OpenAPI:
//! ServerMessageResponse…). A reply of another shape is therefore the worker's mistake.

use serde_json::Value;

use super::facts::Schema;
use crate::message::{Answer, Content, Refusal, Replied, Reply};

/// The reply to one question: the worker's, or the fallback.
pub(super) fn single(answers: Vec<Answer>) -> Result<Reply, Refusal> {
    match answers.into_iter().next() {
        Some(Answer {
            content: Content::Reply(Replied { body, .. }) | Content::Fallback(body),
            ..
        }) => Ok(Reply::json(body)),
        Some(Answer { outcome, .. }) => Err(Refusal::Unanswered(outcome)),
        None => Err(Refusal::Malformed("nothing is asked".into())),
    }
}

/// Whether a reply is text that isn't empty; where not, why.
pub(super) fn text(reply: &[u8]) -> Result<(), &'static str> {
    match std::str::from_utf8(reply) {
        Ok("") => Err("the reply is empty"),
        Ok(_) => Ok(()),
        Err(_) => Err("the reply is not text"),
    }
}

/// Whether the sender can read this reply; where not, why.
pub(super) fn check(schema: Schema, reply: &[u8]) -> Result<(), &'static str> {
    let reply: Value = serde_json::from_slice(reply).map_err(|_| "the reply is not JSON")?;
    if !reply.is_object() {
        return Err("the reply is not an object");
    }
    let has = |names: &[&str]| names.iter().any(|name| !reply[*name].is_null());
    match schema {
        Schema::Assistant => {
            for id in ["assistantId", "squadId", "workflowId"] {
                if reply.get(id).is_some_and(|id| !is_text(id)) {
                    return Err("an id in the reply is not a text");
                }
            }
            for part in ["assistant", "squad", "workflow"] {
                if !(reply[part].is_null() || reply[part].is_object()) {
                    return Err("assistant, squad or workflow is not an object");
                }
            }
            destination(&reply["destination"], &["number", "sip"])?;
            error(&reply["error"])?;
            let one_of = [
                "assistantId",
                "assistant",
                "squadId",
                "squad",
                "workflowId",
                "workflow",
                "destination",
                "error",
            ];
            has(&one_of)
                .then_some(())
                .ok_or("the reply names no assistant, squad, workflow, destination or error")
        }
        Schema::Transfer => {
            destination(&reply["destination"], &["assistant", "number", "sip"])?;
            error(&reply["error"])?;
            has(&["destination", "error"])
                .then_some(())
                .ok_or("the reply has no destination and no error")
        }
        Schema::Handoff => {
            error(&reply["error"])?;
            match &reply["destination"] {
                // An empty destination declines.
                Value::Object(empty) if empty.is_empty() => Ok(()),
                Value::Null if has(&["error"]) => Ok(()),
                Value::Null => Err("the reply has no destination and no error"),
                other => destination(other, &["assistant", "squad"]),
            }
        }
        Schema::KnowledgeBase => {
            match &reply["documents"] {
                Value::Null => {}
                Value::Array(documents) => {
                    let is_document = |document: &Value| {
                        document["content"].is_string() && document["similarity"].is_number()
                    };
                    if !documents.iter().all(is_document) {
                        return Err("a document lacks its content or its similarity");
                    }
                }
                _ => return Err("documents is not a list"),
            }
            let message = &reply["message"];
            if !(message.is_null() || message.is_object()) {
                return Err("message is not an object");
            }
            has(&["documents", "message"])
                .then_some(())
                .ok_or("the reply has no documents and no message")
        }
        Schema::Endpointing => match reply["timeoutSeconds"].as_f64() {
            Some(seconds) if (0.0..=15.0).contains(&seconds) => Ok(()),
            _ => Err("timeoutSeconds is not a number between 0 and 15"),
        },
        Schema::Predial => {
            reply["eligible"].is_boolean().then_some(()).ok_or("eligible is not true or false")
        }
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn error(value: &Value) -> Result<(), &'static str> {
    match value {
        Value::Null => Ok(()),
        value if is_text(value) => Ok(()),
        _ => Err("error is not a text that can be spoken"),
    }
}

/// A destination of one of the given types, with what that type needs.
fn destination(value: &Value, types: &[&str]) -> Result<(), &'static str> {
    if value.is_null() {
        return Ok(());
    }
    let Some(kind) = value["type"].as_str().filter(|kind| types.contains(kind)) else {
        return Err("destination.type is missing, or none that fits here");
    };
    let any_of = |names: &[&str]| names.iter().any(|name| !value[*name].is_null());
    let complete = match kind {
        "number" => is_text(&value["number"]),
        "sip" => is_text(&value["sipUri"]),
        "assistant" => any_of(&["assistantName", "assistantId", "assistant"]),
        _ => any_of(&["squadId", "squad"]),
    };
    complete.then_some(()).ok_or("destination does not say where to")
}
