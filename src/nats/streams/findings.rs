//! What was found of the server's streams, and how to take back what was changed there.

use std::fmt;

use async_nats::Client;
use serde_json::Value as Json;

use super::api::{context, request};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What must not be: a stream that takes questions or answers, a declared stream that differs.
    pub refused: Vec<Finding>,
    /// Events that would be stored nowhere.
    pub uncovered: Vec<Finding>,
    /// Events that would be acknowledged, and not kept.
    pub unkept: Vec<Finding>,
    /// What may be meant, but loses messages.
    pub warnings: Vec<Finding>,
    /// What was created or changed.
    pub done: Vec<String>,
    /// How to take that back.
    pub(super) changes: Vec<Change>,
    /// Where it was done.
    pub(super) domain: Option<String>,
}

/// What was done to the server's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// There was none of this name.
    Created(String),
    /// It was like this.
    Updated(Box<Json>),
}

impl Findings {
    /// What was done stays, and is not found again.
    pub fn settle(&mut self) {
        self.done.clear();
        self.changes.clear();
    }

    /// Take back what was created or changed, since it is not to be used. Returns what couldn't be taken back, which is
    /// also a new stream that has messages already.
    pub async fn undo(&mut self, client: &Client) -> Vec<String> {
        let context = context(client, self.domain.as_deref());
        let mut left = Vec::new();
        self.done.clear();
        for change in self.changes.drain(..).rev() {
            match change {
                Change::Created(name) => match context.get_stream(&name).await {
                    Ok(stream) if stream.cached_info().state.messages > 0 => {
                        left.push(format!("stream `{name}` was created, and has messages already"));
                    }
                    Ok(_) => {
                        if let Err(error) = context.delete_stream(&name).await {
                            left.push(format!(
                                "stream `{name}` was created, and can't be deleted: {error}"
                            ));
                        }
                    }
                    Err(error) => left.push(format!("stream `{name}` was created: {error}")),
                },
                Change::Updated(before) => {
                    let name = before["name"].as_str().unwrap_or_default().to_owned();
                    let back = request(&context, format!("STREAM.UPDATE.{name}"), &before).await;
                    if let Err(error) = back {
                        left.push(format!(
                            "stream `{name}` was changed, and can't be changed back: {error}"
                        ));
                    }
                }
            }
        }
        left
    }
}

/// Something that is not as it should be, and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Finding {
    pub(super) fn new(problem: String, hint: &'static str) -> Self {
        Self { problem, hint }
    }
}

/// In one line, for logs.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.hint)
    }
}
