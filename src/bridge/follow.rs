//! What those who follow are told of a webhook on its way.

use std::collections::BTreeMap;

use async_nats::{HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::Instant;

use super::Done;
use super::questions::Walk;
use crate::ask::Ask;
use crate::live_tail::{Asked, RecentQuestion, TapRecord};
use crate::message::{Question, attribute};

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

    /// Record what the worker for a question gets, where somebody may see it.
    pub(super) fn show(&self, place: usize, ask: &Ask<'_>) {
        self.show_message(place, &ask.subject, &ask.payload, || {
            let headers = ask.headers(ask.deadline.saturating_duration_since(Instant::now()));
            let text = |name: &dyn AsRef<str>| name.as_ref().to_owned();
            let first = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
                Some((text(name), values.first()?.as_str().to_owned()))
            };
            headers.iter().filter_map(first).collect()
        });
    }

    /// The same of any message.
    pub(super) fn show_message(
        &self,
        place: usize,
        subject: &str,
        payload: &Bytes,
        headers: impl FnOnce() -> BTreeMap<String, String>,
    ) {
        let Some(tap) = self.tap.as_ref().filter(|tap| tap.wants_bodies()) else { return };
        let function = self.questions[place].function.as_ref().filter(|name| !name.is_empty());
        let function = function.map(attribute);
        let (subject, headers) = (subject.to_owned(), headers());
        let asked = Asked { function, subject, headers, payload: String::new() };
        tap.asked(asked, payload.clone());
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
