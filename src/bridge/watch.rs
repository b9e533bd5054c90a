//! Says when what is asked isn't answered any more, and when it is again.

use tracing::{info, warn};

use super::questions::Walk;
use crate::message::Outcome;
use crate::telemetry::metrics::QuestionMetrics;

impl Walk {
    /// Take note of how a question ended: the first one without an answer is logged, and the first one with one after
    /// that, once a minute at most for each function or type.
    pub(super) fn watch(&self, place: usize, metrics: &QuestionMetrics, outcome: Outcome) {
        // That a job is stored says nothing of workers.
        if self.questions[place].is_async {
            return;
        }
        let (endpoint, name) = (&*self.endpoint.name, metrics.name());
        let is_function = self.questions[place].function.is_some();
        let (kind, function) = if is_function { (None, Some(name)) } else { (Some(name), None) };
        let is_there = outcome.is_worker_there();
        if is_there == Some(true) && metrics.record_answer() {
            info!(endpoint, "type" = kind, function, "questions are answered again");
        }
        if is_there == Some(false) && metrics.record_silence(outcome, || self.subject(place)) {
            let (subject, outcome) = (self.subject(place), outcome.as_str());
            warn!(
                endpoint,
                "type" = kind,
                function,
                subject,
                outcome,
                "questions are not answered"
            );
        }
    }
}
