//! Clients and checkers made by others, in Python.

use super::process::{Output, output};
use super::{Sample, missing, project, tool};
use tokio::process::Command;

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
    let arguments = ["--request", path.to_str().expect("a path in UTF-8"), &sample.kind];
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
