//! Clients and checkers made by others, in Python.

use super::{Sample, missing, project, tool};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; `None` for the end by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a script below `tests/end_to_end` for at most a minute.
pub(crate) async fn run(script: &str, arguments: &[&str], stdin: &[u8]) -> Option<Output> {
    let path = project().join("tests/end_to_end").join(script);
    let mut command = command()?;
    command.arg(path).args(arguments);
    Some(output(command, stdin).await)
}

/// Runs Python code that is given as text.
pub(crate) async fn code(code: &str, arguments: &[&str], stdin: &[u8]) -> Option<Output> {
    let mut command = command()?;
    command.arg("-c").arg(code).args(arguments);
    Some(output(command, stdin).await)
}

/// Asks Vapi's own models whether this answers that request; the reasons when it doesn't.
pub(crate) async fn check_reply(sample: &Sample, reply: &[u8]) -> Option<Result<(), String>> {
    let path = sample.path();
    let arguments = [
        "--request",
        path.to_str().expect("a path in UTF-8"),
        &sample.kind,
    ];
    let output = run("vapi/check_reply.py", &arguments, reply).await?;
    Some(match output.code {
        Some(0) => Ok(()),
        Some(1) => Err(output.stderr),
        _ => panic!("check_reply.py: {output:?}"),
    })
}

/// The interpreter with the packages of `deploy/tools/requirements.txt`, for a process of one's own.
pub(crate) fn command() -> Option<Command> {
    let python = tool("python/bin/python");
    if !python.exists() {
        missing("the Python environment (run: make tools)");
        return None;
    }
    let mut command = Command::new(python);
    command.kill_on_drop(true);
    Some(command)
}

async fn output(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let feed = async move {
        // It may end without reading.
        let _ = pipe.write_all(stdin).await;
    };
    let work = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("python ends within a minute")
        .unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
