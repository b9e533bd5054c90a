//! Keeps the program of [`super::JsonLines`] running: feeds it, reads it, starts it again.

use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::super::process::{Process, TERMINATE_GRACE, describe_exit};
use super::super::process_group::ProcessGroup;
use super::super::question::AnswerError;
use super::super::reply_sender::ReplySender;
use super::super::{Error, log};
use super::{PendingAnswers, QuestionLine};

/// First and longest pause before the program is started again.
const RESTART_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Questions on their way to the program's standard input.
const QUEUE_LENGTH: usize = 16;
/// What a line may hold beside the answer.
const MAX_LINE_OVERHEAD: usize = 64 << 10;
/// Bytes that are read of a line at a time.
const READ_CHUNK: u64 = 64 << 10;
/// Time for a program to end by itself once its standard input is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long processes that a program leaves behind may keep its output open.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);

pub(super) struct Supervisor {
    pub(super) program: Process,
    pub(super) pending: Arc<PendingAnswers>,
    pub(super) stopped: watch::Receiver<bool>,
    /// It knows how large an answer may be.
    pub(super) replies: Arc<ReplySender>,
}

/// One run of the program.
pub(super) struct Run {
    child: Child,
    group: ProcessGroup,
    lines: mpsc::Receiver<QuestionLine>,
}

/// A line that the program wrote.
#[derive(Deserialize)]
struct AnswerLine<'a> {
    id: Value,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

impl Supervisor {
    /// Start the program; from here on it can be asked.
    pub(super) fn start(&self) -> Result<Run, Error> {
        let (child, group) = self
            .program
            .start(Stdio::inherit(), [])
            .map_err(|source| Error::Start { program: self.program.name().to_string(), source })?;
        let (feed, lines) = mpsc::channel(QUEUE_LENGTH);
        *self.pending.feed.lock() = Some(feed);
        Ok(Run { child, group, lines })
    }

    /// Keep it running until it is told to stop.
    pub(super) async fn run(mut self, first: Run) {
        let mut next: Result<Run, Error> = Ok(first);
        let mut pause = RESTART_BACKOFF.0;
        loop {
            let why = match next {
                Ok(run) => {
                    let (why, has_answered) = self.serve(run).await;
                    if has_answered {
                        pause = RESTART_BACKOFF.0;
                    }
                    why
                }
                Err(error) => error.to_string(),
            };
            self.pending.fail_all();
            if *self.stopped.borrow() {
                return;
            }
            log(format_args!("{why}; it is started again in {} ms", pause.as_millis()));
            let _ = timeout(pause, stopping(&mut self.stopped)).await;
            if *self.stopped.borrow() {
                return;
            }
            pause = (pause * 2).min(RESTART_BACKOFF.1);
            next = self.start();
        }
    }

    /// Feed and read it until it ends, or has to. Returns why, and whether it gave any answer.
    async fn serve(&self, run: Run) -> (String, bool) {
        let Run { mut child, group, lines } = run;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut has_answered = false;
        let mut stopped = self.stopped.clone();
        let ended = {
            let mut reading = pin!(self.read(stdout, &mut has_answered));
            let mut feeding = pin!(self.feed(stdin, lines));
            let mut waiting = pin!(child.wait());
            tokio::select! {
                status = &mut waiting => {
                    let _ = timeout(OUTPUT_GRACE, reading).await;
                    status.map(describe_exit).ok()
                }
                why = &mut reading => why.map(str::to_owned),
                () = &mut feeding => Some("the program closed its standard input".to_owned()),
                // Dropping `feeding` closes the pipe.
                () = stopping(&mut stopped) => None,
            }
        };
        if *self.stopped.borrow() {
            let _ = timeout(STOP_TIMEOUT, child.wait()).await;
        }
        group.terminate();
        let status = timeout(TERMINATE_GRACE, child.wait()).await;
        drop(group);
        let why = ended.or_else(|| Some(describe_exit(status.ok()?.ok()?)));
        (why.unwrap_or_else(|| "the program ended".to_owned()), has_answered)
    }

    /// Write each question whose answer is still awaited.
    async fn feed(&self, stdin: Option<ChildStdin>, mut lines: mpsc::Receiver<QuestionLine>) {
        let Some(mut stdin) = stdin else { return };
        while let Some(line) = lines.recv().await {
            let is_awaited = self.pending.waiting.lock().contains_key(&line.number);
            if is_awaited && stdin.write_all(line.text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Read its answers until the end; returns why it can't go on, if that isn't the end of its output.
    async fn read(
        &self,
        stdout: Option<ChildStdout>,
        has_answered: &mut bool,
    ) -> Option<&'static str> {
        let mut stdout = BufReader::new(stdout?);
        let mut line = Vec::new();
        let mut is_warned = false;
        loop {
            // Piece by piece, so that the limit is the one of the connection that there is now.
            // What can't be read has not been written.
            let piece =
                (&mut stdout).take(READ_CHUNK).read_until(b'\n', &mut line).await.unwrap_or(0);
            if piece == 0 {
                return None;
            }
            if !line.ends_with(b"\n") {
                if line.len() > self.replies.limit().saturating_add(MAX_LINE_OVERHEAD) {
                    return Some("the program wrote a line that is larger than any answer");
                }
                continue;
            }
            match parse_answer(&line) {
                Some((number, answer)) => {
                    *has_answered = true;
                    self.pending.resolve(number, answer);
                }
                // Not its text, which may hold anything.
                None if !is_warned => {
                    log("the program wrote a line that is no answer; such lines are left out");
                    is_warned = true;
                }
                None => {}
            }
            line.clear();
            line.shrink_to(MAX_LINE_OVERHEAD);
        }
    }
}

/// Until it is told to stop, or the sender is gone.
async fn stopping(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The answer in a line, and the number of its question.
fn parse_answer(line: &[u8]) -> Option<(u64, super::Answer)> {
    let line: AnswerLine<'_> = serde_json::from_slice(line).ok()?;
    let number = match &line.id {
        Value::String(text) => text.parse().ok()?,
        id => id.as_u64()?,
    };
    let answer = match (line.error, line.result) {
        (Some(Value::String(text)), _) => Err(AnswerError::new(500, text)),
        (Some(error), _) if !error.is_null() => Err(AnswerError::new(500, error.to_string())),
        (_, Some(result)) if result.get() != "null" => {
            Ok(Bytes::copy_from_slice(result.get().as_bytes()))
        }
        _ => Err(AnswerError::new(500, "the program gave neither a result nor an error")),
    };
    Some((number, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_answers_by_its_id() {
        let result = |text: &'static str| Some((7, Ok(Bytes::from_static(text.as_bytes()))));
        let error = |text: &str| Some((7, Err(AnswerError::new(500, text))));
        assert_eq!(parse_answer(br#"{"id": "7", "result": "sun"}"#), result(r#""sun""#));
        assert_eq!(
            parse_answer(br#"{"id": 7, "result": {"a":  1}, "error": null}"#),
            result(r#"{"a":  1}"#)
        );
        assert_eq!(parse_answer(br#"{"id": 7, "error": "no"}"#), error("no"));
        assert_eq!(parse_answer(br#"{"id": 7, "error": {"a": 1}}"#), error(r#"{"a":1}"#));
        assert!(matches!(parse_answer(br#"{"id": 7, "result": null}"#), Some((7, Err(_)))));
        for line in [&b"hello"[..], b"", b"[]", b"{}", br#"{"id": -1, "result": 1}"#, b"\xff"] {
            assert_eq!(parse_answer(line), None);
        }
    }
}
