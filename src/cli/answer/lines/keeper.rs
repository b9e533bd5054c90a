//! Keeps the program of [`super::Lines`] running: feeds it, reads it, starts it again.

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

use super::super::super::{Failure, say};
use super::super::group::Group;
use super::super::outlet::Outlet;
use super::super::program::{GRACE, Program, how};
use super::super::question::Failed;
use super::{Line, Shared};

/// First and longest pause before the program is started again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Questions between whoever asks and the program's standard input.
const QUEUE: usize = 16;
/// What a line may hold beside the answer.
const AROUND: usize = 64 << 10;
/// What is read of a line at a time, in bytes.
const PIECE: u64 = 64 << 10;
/// Time for a program to end by itself once its standard input is closed.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long what a program leaves behind may keep its output open.
const REST: Duration = Duration::from_millis(250);

pub(super) struct Keeper {
    pub(super) program: Program,
    pub(super) shared: Arc<Shared>,
    pub(super) stopped: watch::Receiver<bool>,
    /// It knows how large an answer may be.
    pub(super) outlet: Arc<Outlet>,
}

/// One run of the program.
pub(super) struct Run {
    child: Child,
    group: Group,
    lines: mpsc::Receiver<Line>,
}

/// A line of the program.
#[derive(Deserialize)]
struct Said<'a> {
    id: Value,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

impl Keeper {
    /// Start the program; from here on it can be asked.
    pub(super) fn begin(&self) -> Result<Run, Failure> {
        let (child, group) = self.program.start(Stdio::inherit(), []).map_err(|error| {
            Failure::failed(format_args!("can't start `{}`: {error}", self.program.name())).hint(
                "is it executable, and does its first line name an interpreter that is there?",
            )
        })?;
        let (feed, lines) = mpsc::channel(QUEUE);
        *self.shared.feed.lock() = Some(feed);
        Ok(Run { child, group, lines })
    }

    /// Keep it running until it is told to stop.
    pub(super) async fn keep(mut self, first: Run) {
        let mut next: Result<Run, Failure> = Ok(first);
        let mut pause = PAUSE.0;
        loop {
            let why = match next {
                Ok(run) => {
                    let (why, has_answered) = self.serve(run).await;
                    if has_answered {
                        pause = PAUSE.0;
                    }
                    why
                }
                Err(failure) => failure.text,
            };
            self.shared.give_up();
            if *self.stopped.borrow() {
                return;
            }
            say(format_args!("{why}; it is started again in {} ms", pause.as_millis()));
            let _ = timeout(pause, stopping(&mut self.stopped)).await;
            if *self.stopped.borrow() {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
            next = self.begin();
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
                    let _ = timeout(REST, reading).await;
                    status.map(how).ok()
                }
                why = &mut reading => why.map(str::to_owned),
                () = &mut feeding => Some("the program closed its standard input".to_owned()),
                // Dropping `feeding` closes the pipe.
                () = stopping(&mut stopped) => None,
            }
        };
        if *self.stopped.borrow() {
            let _ = timeout(FAREWELL, child.wait()).await;
        }
        group.terminate();
        let status = timeout(GRACE, child.wait()).await;
        drop(group);
        let why = ended.or_else(|| Some(how(status.ok()?.ok()?)));
        (why.unwrap_or_else(|| "the program ended".to_owned()), has_answered)
    }

    /// Write each question that somebody still waits for.
    async fn feed(&self, stdin: Option<ChildStdin>, mut lines: mpsc::Receiver<Line>) {
        let Some(mut stdin) = stdin else { return };
        while let Some(line) = lines.recv().await {
            let is_awaited = self.shared.waiting.lock().contains_key(&line.number);
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
            let piece = (&mut stdout).take(PIECE).read_until(b'\n', &mut line).await.unwrap_or(0);
            if piece == 0 {
                return None;
            }
            if !line.ends_with(b"\n") {
                if line.len() > self.outlet.limit().saturating_add(AROUND) {
                    return Some("the program wrote a line that is larger than any answer");
                }
                continue;
            }
            match said(&line) {
                Some((number, told)) => {
                    *has_answered = true;
                    self.shared.tell(number, told);
                }
                // Not its text, which may hold anything.
                None if !is_warned => {
                    say("the program wrote a line that is no answer; such lines are left out");
                    is_warned = true;
                }
                None => {}
            }
            line.clear();
            line.shrink_to(AROUND);
        }
    }
}

/// Until it is told to stop; also when nobody is there any more who could tell.
async fn stopping(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The answer in a line, and to what.
fn said(line: &[u8]) -> Option<(u64, super::Told)> {
    let said: Said<'_> = serde_json::from_slice(line).ok()?;
    let number = match &said.id {
        Value::String(text) => text.parse().ok()?,
        id => id.as_u64()?,
    };
    let told = match (said.error, said.result) {
        (Some(Value::String(text)), _) => Err(Failed::new(500, text)),
        (Some(error), _) if !error.is_null() => Err(Failed::new(500, error.to_string())),
        (_, Some(result)) if result.get() != "null" => {
            Ok(Bytes::copy_from_slice(result.get().as_bytes()))
        }
        _ => Err(Failed::new(500, "the program gave neither a result nor an error")),
    };
    Some((number, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_answers_by_its_id() {
        let result = |text: &'static str| Some((7, Ok(Bytes::from_static(text.as_bytes()))));
        let error = |text: &str| Some((7, Err(Failed::new(500, text))));
        assert_eq!(said(br#"{"id": "7", "result": "sun"}"#), result(r#""sun""#));
        assert_eq!(
            said(br#"{"id": 7, "result": {"a":  1}, "error": null}"#),
            result(r#"{"a":  1}"#)
        );
        assert_eq!(said(br#"{"id": 7, "error": "no"}"#), error("no"));
        assert_eq!(said(br#"{"id": 7, "error": {"a": 1}}"#), error(r#"{"a":1}"#));
        assert!(matches!(said(br#"{"id": 7, "result": null}"#), Some((7, Err(_)))));
        for line in [&b"hello"[..], b"", b"[]", b"{}", br#"{"id": -1, "result": 1}"#, b"\xff"] {
            assert_eq!(said(line), None);
        }
    }
}
