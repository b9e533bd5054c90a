//! What those who follow are told of a webhook on its way.

use std::sync::Arc;

use super::Done;
use super::questions::Walk;
use crate::activity::{Asked, Note};
use crate::message::{Outcome, Question, Refusal};

impl Walk {
    /// Note where its questions are going.
    pub(super) fn follow(&self, note: &mut Note) {
        for (question, rule) in self.questions.iter().zip(self.rules()) {
            if let Some(function) = question.function.as_ref().filter(|name| !name.is_empty()) {
                note.calls(function);
            }
            let job = self.endpoint.routes.job().filter(|_| question.is_async);
            for destination in job.into_iter().chain(&rule.copy_to) {
                note.goes_to(destination.text());
            }
        }
    }

    /// What a question is about.
    pub(super) fn asked(&self, question: &Question) -> Asked {
        let function = question.function.as_ref();
        let name = function.unwrap_or(&self.metadata.kind).clone();
        Asked { endpoint: self.endpoint.name.clone(), is_function: function.is_some(), name }
    }
}

impl Done {
    /// Note how it ended; the status is told by whoever makes one of it.
    pub(super) fn keep(&mut self, note: Option<Note>) {
        let Some(mut note) = note else { return };
        let refused = self.reply.as_ref().err().map(Refusal::reason);
        note.ended(self.result, refused.or(self.outcome.map(Outcome::as_str)), self.kind);
        self.note = Some(note);
    }

    /// The label of a type that nobody knows.
    pub(super) fn other() -> Arc<str> {
        static OTHER: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "other".into());
        OTHER.clone()
    }
}
