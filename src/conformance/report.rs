//! What the checks found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::telemetry::terminal;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Failed,
    Warning,
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was to be seen.
    pub(super) check: String,
    pub(super) status: Status,
    /// What was seen.
    pub(super) seen: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<&'static str>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, seen: seen.into(), hint: None }
    }

    pub(super) fn skipped(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { status: Status::Skipped, ..Self::ok(check, why) }
    }

    pub(super) fn failed(
        check: impl Into<String>,
        seen: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self { status: Status::Failed, hint: Some(hint), ..Self::ok(check, seen) }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        seen: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self { status: Status::Warning, hint: Some(hint), ..Self::ok(check, seen) }
    }
}

/// All findings about one worker.
#[derive(Debug, Serialize)]
pub struct Report {
    function: String,
    subject: String,
    /// Whether no check failed.
    pub passed: bool,
    checks: Vec<Finding>,
}

impl Report {
    pub(super) fn new(function: String, subject: String, checks: Vec<Finding>) -> Self {
        let passed = checks.iter().all(|finding| finding.status != Status::Failed);
        Self { function, subject, passed, checks }
    }

    /// One line a check, a hint below it where something is to be done, and the sum.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
        let mut lines = format!("{} on {}\n", self.function.escape_debug(), self.subject);
        for Finding { check, status, seen, hint } in &self.checks {
            // Writing to a String can't fail.
            let _ =
                writeln!(lines, "{:<8} {check:<width$}  {}", word(*status), terminal::line(seen));
            if let Some(hint) = hint {
                let _ = writeln!(lines, "         hint: {hint}");
            }
        }
        let count = |status| self.checks.iter().filter(|finding| finding.status == status).count();
        let all = [Status::Ok, Status::Failed, Status::Warning, Status::Skipped];
        let sums = all.map(|status| (count(status), word(status).to_lowercase()));
        let sums: Vec<String> = sums
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        lines.push_str(&sums.join(", "));
        lines
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Warning => "warning",
        Status::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_check_and_the_sum() {
        let checks = vec![
            Finding::ok("in time", "4 ms"),
            Finding::failed("one answer", "2 answers", "use a queue group"),
            Finding::skipped("errors", "none was seen"),
        ];
        let report = Report::new("f".to_owned(), "vapi.tool.f".to_owned(), checks);
        assert!(!report.passed);
        assert_eq!(
            report.text(),
            "f on vapi.tool.f\n\
             ok       in time     4 ms\n\
             FAILED   one answer  2 answers\n\
             \x20        hint: use a queue group\n\
             skipped  errors      none was seen\n\
             1 ok, 1 failed, 1 skipped"
        );
    }
}
