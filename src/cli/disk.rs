//! What `hookbus dlq` and `hookbus spool` share: reaching what is on disk, through the running bridge or directly, and
//! reporting on it.

mod access;
mod printer;

use std::io;
use std::process::ExitCode;

use clap::Args;

use self::access::Access;
pub(super) use self::printer::Action;
use self::printer::Printer;
use super::{CommandResult, Failure, admin, block_on};
use crate::publish::dead_letters::{Line, Task};
use crate::serve::Signals;

// A documentation comment would become the one of the whole command.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bridge: admin::Flags,
}

/// Do a task, and report on it as this action.
pub(super) fn run(
    options: Options,
    action: Action,
    task: Task,
    signals: &Signals,
) -> CommandResult {
    let Options { json, bridge } = options;
    block_on(async move {
        let access = Access::find(bridge).await?;
        if matches!(task, Task::Replay(_) | Task::Drain(_)) {
            access.connected().await;
        }
        signals.begun();
        let outcome = work(&access, Printer::new(action, json), task, signals).await;
        access.close().await;
        outcome
    })
}

async fn work(
    access: &Access,
    mut printer: Printer,
    task: Task,
    signals: &Signals,
) -> CommandResult {
    let begun = tokio::select! {
        begun = access.begin(task) => Some(begun?),
        () = signals.end() => None,
    };
    let Some(mut lines) = begun else { return Ok(printer.interrupt()) };
    loop {
        let line = tokio::select! {
            line = lines.next() => line?,
            () = signals.end() => return Ok(printer.interrupt()),
        };
        let Some(line) = line else { return Err(printer.cut_off()) };
        let is_end = matches!(line, Line::Summary(_));
        match printer.take(line) {
            // `| head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => {
                return Err(Failure::failed(format_args!(
                    "can't write to standard output: {error}"
                )));
            }
            Ok(()) if is_end => return Ok(printer.end(access.is_bridge())),
            Ok(()) => {}
        }
    }
}
