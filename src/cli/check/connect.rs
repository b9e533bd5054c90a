//! Asking the brokers of a configuration: both at once, and everything that is wrong in one run.

use std::fmt::Write as _;

use super::super::{FAILED, Failure, WRONG, eprint};
use super::report::BrokerFindings;
use super::{kafka, nats};
use crate::config::Config;
use crate::telemetry::terminal;

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What was reached and found, a line each.
    pub(super) learned: Vec<String>,
    /// Whether something may lose or refuse events.
    pub(super) has_warnings: bool,
    /// What is wrong, and all that was noted beside it.
    pub(super) failure: Option<Failure>,
}

/// Ask all brokers. Warnings and notes are printed at once, unless they are part of the failure.
pub(super) async fn run(config: &Config) -> Asked {
    let (nats, kafka) = tokio::join!(nats::ask(config), kafka::ask(config));
    settle([nats, kafka].into_iter().flatten().collect())
}

fn settle(reports: Vec<BrokerFindings>) -> Asked {
    let mut printed = String::new();
    let mut line = |kind: &str, broker: &str, problem: &str, hint: Option<&str>| {
        // Writing to a String can't fail.
        let _ = writeln!(printed, "{kind}: {broker}: {}", terminal::line(problem));
        if let Some(hint) = hint {
            let _ = writeln!(printed, "  hint: {hint}");
        }
    };
    let is_wrong = reports.iter().any(|report| !report.wrong.is_empty());
    let is_unreachable = reports.iter().any(|report| !report.unreachable.is_empty());
    let has_warnings = reports.iter().any(|report| !report.warnings.is_empty());
    let mut learned = Vec::new();
    for report in reports {
        let broker = report.broker;
        for note in &report.notes {
            line("note", broker, note, None);
        }
        for (problem, hint) in &report.warnings {
            line("warning", broker, problem, Some(hint));
        }
        for (problem, hint) in report.wrong.iter().chain(&report.unreachable) {
            line("error", broker, problem, Some(hint));
        }
        learned.extend(
            report.reached.iter().map(|what| format!("{broker}: reached {}", terminal::line(what))),
        );
        learned
            .extend(report.found.iter().map(|what| format!("{broker}: {}", terminal::line(what))));
    }
    let text = printed.trim_end().to_owned();
    let failure = if is_wrong || is_unreachable {
        Some(Failure { code: if is_wrong { WRONG } else { FAILED }, text })
    } else {
        if !text.is_empty() {
            eprint(text);
        }
        None
    };
    Asked { learned, has_warnings, failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_said_and_the_worst_decides() {
        let mut nats = BrokerFindings::new("nats");
        nats.unreachable("127.0.0.1:1: refused", "start it");
        let mut kafka = BrokerFindings::new("kafka");
        kafka.warn("a single copy", "more copies");
        kafka.note("a topic will be created");
        kafka.reached("cluster `a`".to_owned());
        let nothing = settle(vec![]);
        assert!(nothing.learned.is_empty() && !nothing.has_warnings && nothing.failure.is_none());
        let asked = settle(vec![nats, kafka]);
        assert_eq!(
            (asked.learned, asked.has_warnings),
            (vec!["kafka: reached cluster `a`".to_owned()], true)
        );
        let failure = asked.failure.map(|failure| (failure.code, failure.text));
        let text = "error: nats: 127.0.0.1:1: refused\n  hint: start it\n\
                    note: kafka: a topic will be created\n\
                    warning: kafka: a single copy\n  hint: more copies";
        assert_eq!(failure, Some((1, text.to_owned())));
        let mut kafka = BrokerFindings::new("kafka");
        kafka.wrong("no topic", "create it");
        kafka.unreachable("gone", "start it");
        assert!(settle(vec![kafka]).failure.is_some_and(|failure| failure.code == 2));
    }
}
