//! Asking the brokers of a configuration: both at once, and everything that is wrong in one run.

use std::fmt::Write as _;

use super::super::{FAILED, Failure, WRONG, eprint};
use super::report::Report;
use super::{kafka, nats};
use crate::config::Config;
use crate::telemetry::terminal;

/// Ask all brokers. Warnings and notes are printed at once; what was reached is returned.
pub(super) async fn run(config: &Config) -> Result<Vec<String>, Failure> {
    let (nats, kafka) = tokio::join!(nats::ask(config), kafka::ask(config));
    settle([nats, kafka].into_iter().flatten().collect())
}

fn settle(reports: Vec<Report>) -> Result<Vec<String>, Failure> {
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
    let mut reached = Vec::new();
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
        reached.extend(
            report.reached.iter().map(|what| format!("{broker}: reached {}", terminal::line(what))),
        );
        reached
            .extend(report.found.iter().map(|what| format!("{broker}: {}", terminal::line(what))));
    }
    let text = printed.trim_end().to_owned();
    if !is_wrong && !is_unreachable {
        if !text.is_empty() {
            eprint(text);
        }
        return Ok(reached);
    }
    Err(Failure { code: if is_wrong { WRONG } else { FAILED }, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_said_and_the_worst_decides() {
        let mut nats = Report::new("nats");
        nats.unreachable("127.0.0.1:1: refused", "start it");
        let mut kafka = Report::new("kafka");
        kafka.warn("a single copy", "more copies");
        kafka.note("a topic will be created");
        assert!(settle(vec![]).is_ok_and(|reached| reached.is_empty()));
        let failure = settle(vec![nats, kafka]).map_err(|failure| (failure.code, failure.text));
        let text = "error: nats: 127.0.0.1:1: refused\n  hint: start it\n\
                    note: kafka: a topic will be created\n\
                    warning: kafka: a single copy\n  hint: more copies";
        assert_eq!(failure, Err((1, text.to_owned())));
        let mut kafka = Report::new("kafka");
        kafka.wrong("no topic", "create it");
        kafka.unreachable("gone", "start it");
        assert!(settle(vec![kafka]).is_err_and(|failure| failure.code == 2));
    }
}
