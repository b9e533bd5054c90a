//! What is wrong with a configuration file, where, and what to do about it.

use std::fmt;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// It can, but probably doesn't do what was meant.
    Warning,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file, as it was given.
    pub file: String,
    /// Line, from 1 on; 0 when the whole file is meant.
    pub line: usize,
    /// Column in characters, from 1 on; 0 when the whole file is meant.
    pub column: usize,
    /// What is wrong; never with a secret or the value of an environment variable.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects the problems of one file.
pub(super) struct Problems<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: Vec::new() }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Something that makes the file useless, at this byte of it.
    pub(super) fn error(
        &mut self,
        offset: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Severity::Error, offset, message.into(), hint.into());
    }

    /// Something that is probably not meant so, at this byte of the file.
    pub(super) fn warning(
        &mut self,
        offset: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Severity::Warning, offset, message.into(), hint.into());
    }

    /// The line of this byte, from 1 on.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.position(offset).0
    }

    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Whether there is an error beyond the first `count` problems.
    pub(super) fn has_errors_since(&self, count: usize) -> bool {
        self.problems.iter().skip(count).any(|problem| problem.severity == Severity::Error)
    }

    /// All of them, from the top of the file to its end.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        self.problems.dedup();
        self.problems
    }

    fn push(&mut self, severity: Severity, offset: usize, message: String, hint: String) {
        let (line, column) = self.position(offset);
        self.problems.push(Problem {
            severity,
            file: self.file.to_owned(),
            line,
            column,
            message,
            hint: (!hint.is_empty()).then_some(hint),
        });
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        // Characters, not bytes: the first byte of each is the one that isn't a continuation.
        let column = before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        (line, column)
    }
}

#[cfg(test)]
mod tests;
