//! The user's program: where it is, and one run of it for one question.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{timeout, timeout_at};

use super::process_group::ProcessGroup;
use super::question::{AnswerError, Question, one_line};

/// Time between asking a program to end and ending it.
pub(super) const TERMINATE_GRACE: Duration = Duration::from_millis(500);
/// How long processes that a program leaves behind may keep its output open.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);
/// Bytes of its errors that are kept: the last line is among them.
const MAX_STDERR_TAIL: usize = 4 << 10;

/// What is started.
#[derive(Debug, Clone)]
pub struct Process {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Process {
    /// The first word is the program, the others are its arguments.
    pub fn new(mut command: Vec<OsString>) -> Self {
        let arguments = command.split_off(1.min(command.len()));
        Self { name: command.pop().unwrap_or_default(), arguments }
    }

    /// Whether there is such a program, by its path or on PATH.
    pub fn exists(&self) -> bool {
        if Path::new(&self.name).components().count() > 1 {
            return Path::new(&self.name).is_file();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(&self.name).is_file())
    }

    /// Its name for people.
    pub fn name(&self) -> impl std::fmt::Display {
        self.name.to_string_lossy().escape_debug().to_string()
    }

    /// Start it in a process group of its own, with these variables set or taken away.
    pub(super) fn start(
        &self,
        stderr: Stdio,
        variables: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> io::Result<(Child, ProcessGroup)> {
        let mut command = Command::new(&self.name);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, OsStr::new(&value)),
                None => command.env_remove(name),
            };
        }
        let child = command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = ProcessGroup::of(&child);
        Ok((child, group))
    }

    /// Run it for one question: what it writes is the answer, of at most `limit` bytes.
    pub(super) async fn answer(
        &self,
        question: &Question,
        input: Bytes,
        limit: usize,
    ) -> Result<Bytes, AnswerError> {
        let (mut child, group) = self
            .start(Stdio::piped(), question.variables())
            .map_err(|error| AnswerError::new(500, format!("can't start the program: {error}")))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let piping = async {
            let feed = async {
                if let Some(mut pipe) = stdin {
                    // It may end without reading all of it, or any.
                    let _ = pipe.write_all(&input).await;
                }
            };
            let read = async {
                // A line break more is taken off below.
                if exceeds(stdout, limit.saturating_add(2), &mut output).await {
                    group.kill();
                }
            };
            tokio::join!(feed, read, tail(stderr, &mut errors));
        };
        let ended = timeout_at(question.deadline, wait(&mut child, piping)).await;
        let Ok(ended) = ended else {
            group.terminate();
            // A moment to tidy up; then all of the group goes.
            let _ = timeout(TERMINATE_GRACE, child.wait()).await;
            group.kill();
            let _ = child.wait().await;
            return Err(AnswerError::late());
        };
        let status =
            ended.map_err(|error| AnswerError::new(500, format!("can't wait: {error}")))?;
        strip_line_break(&mut output);
        if output.len() > limit {
            return Err(AnswerError::too_large(limit));
        }
        if !status.success() {
            return Err(AnswerError::new(500, reason(status, &errors)));
        }
        if output.is_empty() {
            return Err(AnswerError::new(500, "the program wrote no answer"));
        }
        if std::str::from_utf8(&output).is_err() {
            return Err(AnswerError::new(500, "the program's answer is not UTF-8"));
        }
        Ok(output.into())
    }
}

/// Wait for the end of a program and of its output. What it leaves behind may hold the pipes open: that isn't waited for.
async fn wait(child: &mut Child, piping: impl Future<Output = ()>) -> io::Result<ExitStatus> {
    let mut piping = pin!(piping);
    let mut waiting = pin!(child.wait());
    tokio::select! {
        status = &mut waiting => {
            let _ = timeout(OUTPUT_GRACE, piping).await;
            status
        }
        () = &mut piping => waiting.await,
    }
}

/// Read to the end, or until there is more than the limit.
async fn exceeds(pipe: Option<impl AsyncRead + Unpin>, limit: usize, into: &mut Vec<u8>) -> bool {
    let Some(pipe) = pipe else { return false };
    let max = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // What can't be read has not been written.
    let _ = pipe.take(max).read_to_end(into).await;
    into.len() > limit
}

/// Read to the end, and keep the last part.
async fn tail(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; MAX_STDERR_TAIL];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        into.extend_from_slice(&chunk[..length]);
        into.drain(..into.len().saturating_sub(MAX_STDERR_TAIL));
    }
}

fn strip_line_break(output: &mut Vec<u8>) {
    if output.ends_with(b"\n") {
        output.pop();
        if output.ends_with(b"\r") {
            output.pop();
        }
    }
}

/// The last line of its errors; without one, how it ended.
fn reason(status: ExitStatus, errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let last = text.lines().map(one_line).rfind(|line| !line.is_empty());
    last.unwrap_or_else(|| describe_exit(status))
}

/// How a program ended, in words.
pub(super) fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the program ended with exit code {code}"),
        (None, Some(signal)) => format!("the program was ended by signal {signal}"),
        (None, None) => "the program ended".to_owned(),
    }
}

#[cfg(test)]
mod tests;
