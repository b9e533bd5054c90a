//! `hookbus replay`: publish again what was parked, show it, or drop it; empty a queue whose destination is gone.

mod report;
mod way;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use reqwest::Url;

use self::report::{Action, Report};
use self::way::Way;
use super::{Failure, Outcome, admin, block_on, say};
use crate::publish::replay::{Filter, Line, Task, moment};
use crate::serve::Signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus replay --list                              what is parked, and why
  hookbus replay --reason too-large --dry-run        what would be published again
  hookbus replay --reason too-large                  publish it again
  hookbus replay --endpoint vapi --type 'transcript*' --since 2h
  hookbus replay --until 2026-11-01 --drop           remove it instead
  hookbus replay --queue 'nats:old.events.{type}'    publish what queues for a former destination
  hookbus replay --list --json | jq -r 'select(.line == \"event\").id'

It asks the bridge that runs on this machine. Where none does, it opens the spool by itself.";

/// What `hookbus replay` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// Publish what queues for this destination, in order, until nothing does
    #[arg(long, value_name = "DESTINATION", conflicts_with_all = ["FilterArguments", "list", "drop"])]
    queue: Option<String>,
    /// Show what is parked, one line an event: when, id, endpoint, type, key, destination, reason, size, detail
    #[arg(long, conflicts_with_all = ["dry_run", "drop"])]
    list: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove it without publishing it
    #[arg(long)]
    drop: bool,
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
    /// The admin listener of the bridge [default: as configured, or http://127.0.0.1:9180]; its token, where it asks
    /// for one, in the variable HOOKBUS_ADMIN_TOKEN
    #[arg(long, value_name = "URL", value_parser = admin::address, conflicts_with = "config")]
    admin: Option<Url>,
    /// The configuration file [default: hookbus.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

// Which parked events; a documentation comment would become the one of the whole command.
#[derive(Debug, Args)]
struct FilterArguments {
    /// All parked events
    #[arg(long)]
    all: bool,
    /// Only those of this endpoint; may be repeated, and hold * for anything, as the following ones
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// Only those of this type, such as transcript or ai.vapi.transcript
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Only those parked for this reason, such as too-large
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only those with this id
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only those on their way to this destination, as it is configured
    #[arg(long, value_name = "DESTINATION")]
    destination: Vec<String>,
    /// Only those parked since then: 2026-11-23T13:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only those parked until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
}

impl FilterArguments {
    fn filter(self) -> Filter {
        Filter {
            endpoints: self.endpoint,
            types: self.kind,
            reasons: self.reason,
            ids: self.id,
            destinations: self.destination,
            since: self.since,
            until: self.until,
            all: self.all,
        }
    }
}

pub(super) fn run(arguments: Arguments, signals: &Signals) -> Outcome {
    let Arguments { filter, queue, list, dry_run, drop, json, admin, config } = arguments;
    let filter = filter.filter();
    if queue.is_none() && !list && !filter.is_explicit() {
        return Err(Failure::wrong("it isn't said which parked events are meant")
            .hint("`--list` shows them; name them by --endpoint, --type, --reason, --id, --destination, --since, --until, or say --all"));
    }
    let (action, task) = match queue {
        Some(text) if dry_run => (Action::WouldDrain(text), Task::Queues),
        Some(text) => (Action::Drain, Task::Drain(text)),
        None if list => (Action::List, Task::List(filter.clone())),
        None if dry_run => (
            Action::WouldDo(if drop { "dropped" } else { "published" }),
            Task::List(filter.clone()),
        ),
        None if drop => (Action::Drop, Task::Drop(filter.clone())),
        None => (Action::Publish, Task::Publish(filter.clone())),
    };
    // Whoever asks for some of the parked events doesn't ask for queues.
    let shows_queues = list && filter.is_empty();
    block_on(async move {
        let way = Way::find(admin, config.as_deref()).await?;
        if matches!(task, Task::Publish(_) | Task::Drain(_)) {
            way.connected().await;
        }
        signals.begun();
        let outcome = work(&way, Report::new(action, json), task, shows_queues, signals).await;
        way.close().await;
        outcome
    })
}

async fn work(
    way: &Way,
    mut report: Report,
    task: Task,
    shows_queues: bool,
    signals: &Signals,
) -> Outcome {
    let mut tasks = vec![task];
    tasks.extend(shows_queues.then_some(Task::Queues));
    for task in tasks {
        let is_extra = report.is_over();
        let begun = tokio::select! {
            begun = way.begin(task) => Some(begun?),
            () = signals.end() => None,
        };
        let Some(mut lines) = begun else { return Ok(report.interrupt()) };
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                () = signals.end() => return Ok(report.interrupt()),
            };
            let Some(line) = line else { return Err(report.cut_off()) };
            let is_end = matches!(line, Line::Summary(_));
            match report.take(line, is_extra) {
                // `| head` has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) => {
                    return Err(Failure::failed(format_args!(
                        "can't write to standard output: {error}"
                    )));
                }
                Ok(()) if is_end => break,
                Ok(()) => {}
            }
        }
    }
    let code = report.end(way.runs());
    Ok(code)
}
