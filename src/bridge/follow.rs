//! What those who follow are told of a webhook on its way.

use std::sync::Arc;

use super::questions::Walk;
use super::{Done, Endpoint};
use crate::activity::{Asked, Kind, Note};
use crate::message::{About, Demand, Outcome, Payload, Question, Refusal};

/// What it is, and where it is going.
pub(super) fn classified(note: &mut Note, endpoint: &Endpoint, about: &About, demand: &Demand) {
    note.classified(about);
    let routes = &endpoint.routes;
    let Demand::Questions(questions) = demand else {
        let to = routes.event(&about.kind);
        return to.iter().for_each(|destination| note.goes_to(destination.text()));
    };
    for question in &questions.all {
        let rule = match (&question.payload, &question.function) {
            (Payload::Body, _) => routes.question(&about.kind),
            (Payload::Call(_), function) => routes.tool(function.as_deref().unwrap_or_default()).0,
        };
        if let Some(function) = &question.function {
            note.calls(function);
        }
        let job = routes.job().filter(|_| question.is_async);
        for destination in job.into_iter().chain(&rule.copy_to) {
            note.goes_to(destination.text());
        }
    }
}

impl Done {
    /// Note how it ended; the status is told by whoever makes one of it.
    pub(super) fn keep(&mut self, note: Option<Note>) {
        let Some(mut note) = note else { return };
        let refused = self.result.as_ref().err().map(Refusal::reason);
        let kind = match self.kind {
            Some("event") => Some(Kind::Event),
            Some(_) => Some(Kind::Question),
            None => None,
        };
        note.ended(self.fate, refused.or(self.outcome.map(Outcome::as_str)), kind);
        self.note = Some(note);
    }
}

impl Walk {
    /// What a question is about.
    pub(super) fn asked(&self, question: &Question) -> Asked {
        let is_function = matches!(question.payload, Payload::Call(_));
        let none = || Arc::from("");
        let function = || question.function.clone().unwrap_or_else(none);
        let name = if is_function { function() } else { self.about.kind.clone() };
        Asked { endpoint: self.endpoint.name.clone(), is_function, name }
    }
}
