//! What is found out while a question is asked: who answered, and the span of it.

use std::sync::{Arc, OnceLock};

use super::questions::Walk;
use crate::message::{Outcome, attribute};
use crate::telemetry::metrics::QuestionMetrics;
use crate::trace::{Kind, Span, Trace};

/// One question on its way.
#[derive(Default)]
pub(super) struct Asking {
    /// Who replied, if the reply says so.
    pub(super) worker: OnceLock<Arc<str>>,
    /// From the question to its end.
    pub(super) span: Span,
    /// The context that the worker is asked in, where there is a span.
    trace: Option<Trace>,
}

impl Walk {
    /// A question that begins now.
    pub(super) fn asking(&self, place: usize, metrics: &QuestionMetrics) -> Asking {
        let question = &self.questions[place];
        let name = || format!("ask {}", metrics.name());
        let mut span = self.webhook.trace.child(Kind::Client, name);
        span.describe(|it| {
            it.add("messaging.system", "nats")
                .add("messaging.operation.type", "send")
                .add("messaging.operation.name", "request")
                .add("messaging.destination.name", self.subject(place))
                .add("hookbus.endpoint", &self.endpoint.name)
                .add("hookbus.type", &attribute(&self.metadata.kind));
            if let Some(function) = &question.function {
                it.add("hookbus.function", &attribute(function));
            }
            if question.is_async {
                it.add("hookbus.job", true);
            }
        });
        Asking { worker: OnceLock::new(), trace: span.context(), span }
    }

    /// The context that a question is asked in.
    pub(super) fn trace<'a>(&'a self, asking: &'a Asking) -> &'a Trace {
        asking.trace.as_ref().unwrap_or(&self.webhook.trace)
    }
}

impl Asking {
    /// The question has ended.
    pub(super) fn end(mut self, outcome: Outcome, reused: bool) {
        self.span.describe(|it| {
            it.add("hookbus.outcome", outcome.as_str());
            if let Some(worker) = self.worker.get() {
                it.add("hookbus.worker", worker);
            }
            if reused {
                it.add("hookbus.reused", true);
            }
        });
        self.span.end(Some(outcome.as_str()).filter(|_| outcome != Outcome::Answered));
    }
}
