//! What those who follow are told of a webhook on its way.

use super::Done;
use super::questions::Walk;
use crate::live_tail::{RecentQuestion, TapRecord};
use crate::message::Question;

impl Walk {
    /// Record where its questions are going.
    pub(super) fn follow(&mut self, tap: &mut TapRecord) {
        for (question, rule) in self.questions.iter().zip(self.rules()) {
            tap.asks(question.function.as_ref().filter(|name| !name.is_empty()));
            let job = self.endpoint.routes.job().filter(|_| question.is_async);
            for destination in job.into_iter().chain(&rule.copy_to) {
                tap.goes_to(destination.text());
            }
        }
        self.tap = Some(tap.progress());
    }

    /// What a question is about.
    pub(super) fn asked(&self, question: &Question) -> RecentQuestion {
        let function = question.function.as_ref();
        let name = function.unwrap_or(&self.metadata.kind).clone();
        RecentQuestion {
            endpoint: self.endpoint.name.clone(),
            is_function: function.is_some(),
            name,
        }
    }
}

impl Done {
    /// Record how it ended; the status is added where the response is made.
    pub(super) fn keep(&mut self, tap: Option<TapRecord>) {
        let Some(mut tap) = tap else { return };
        tap.ended(self.result.as_str(), self.reason(), self.kind);
        if let Some(why) = &self.why {
            tap.explained(why.to_string());
        }
        self.tap = Some(tap);
    }
}
