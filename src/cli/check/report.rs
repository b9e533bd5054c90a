//! The findings at one broker.

use crate::config::Config;
use crate::nats::streams::Finding;

/// What becomes of an event that a broker doesn't take for its size.
pub(super) fn larger_events(config: &Config) -> &'static str {
    if config.spool.enabled {
        "larger events are answered with 202 and kept as dead letters, which no consumer sees"
    } else {
        "larger events are refused with 503"
    }
}

/// What one broker said.
#[derive(Debug, Default)]
pub(super) struct BrokerFindings {
    /// The broker's name in what is printed.
    pub(super) broker: &'static str,
    /// What was reached.
    pub(super) reached: Vec<String>,
    /// What was found there.
    pub(super) found: Vec<String>,
    /// Why it could not be asked, or not everything.
    pub(super) unreachable: Vec<(String, String)>,
    pub(super) wrong: Vec<(String, String)>,
    pub(super) warnings: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

impl BrokerFindings {
    pub(super) fn new(broker: &'static str) -> Self {
        Self { broker, ..Self::default() }
    }

    /// It answers, and is this.
    pub(super) fn reached(&mut self, what: String) {
        self.reached.push(what);
    }

    /// Something that is there.
    pub(super) fn found(&mut self, what: String) {
        self.found.push(what);
    }

    /// It doesn't answer.
    pub(super) fn unreachable(&mut self, why: impl Into<String>, hint: impl Into<String>) {
        self.unreachable.push((why.into(), hint.into()));
    }

    /// Something would not work.
    pub(super) fn wrong(&mut self, problem: impl Into<String>, hint: impl Into<String>) {
        self.wrong.push((problem.into(), hint.into()));
    }

    /// Something may lose or refuse events.
    pub(super) fn warn(&mut self, problem: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push((problem.into(), hint.into()));
    }

    /// Something that will happen.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn all_wrong(&mut self, findings: Vec<Finding>) {
        for Finding { problem, hint } in findings {
            self.wrong(problem, hint);
        }
    }

    pub(super) fn warn_of_all(&mut self, findings: Vec<Finding>) {
        for Finding { problem, hint } in findings {
            self.warn(problem, hint);
        }
    }
}
