//! `hookbus dlq`: show dead letters, publish them again, or remove them.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::disk::{self, Action, Options};
use super::{CommandResult, Failure};
use crate::publish::dead_letters::{Filter, Task, moment};
use crate::serve::Signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus dlq list                               what no broker took, and why
  hookbus dlq replay --reason too-large          publish it again
  hookbus dlq drop --until 2026-11-01            remove it instead

A dead letter is an event that its broker will never take as it is, such as one over its size limit.

These commands ask the bridge that runs on this machine. If none does, they open the spool themselves.";

const LIST_EXAMPLES: &str = "\
Examples:
  hookbus dlq list
  hookbus dlq list --endpoint shop --type 'order.*' --since 2h
  hookbus dlq list --json | jq -r 'select(.line == \"dead-letter\").id'

What a broker hasn't acknowledged yet queues, and is no dead letter: `hookbus spool list` shows it.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  hookbus dlq replay --reason too-large --dry-run    what would be published
  hookbus dlq replay --reason too-large              publish it
  hookbus dlq replay --all --config hookbus.toml";

const DROP_EXAMPLES: &str = "\
Examples:
  hookbus dlq drop --until 2026-11-01 --dry-run      what would be removed
  hookbus dlq drop --until 2026-11-01                remove it
  hookbus dlq drop --endpoint shop --reason invalid-record";

/// What `hookbus dlq` does.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show dead letters, one a line: time, id, endpoint, type, key, destination, reason, size, detail
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        filter: FilterArguments,
        #[command(flatten)]
        options: Options,
    },
    /// Publish dead letters again; each stays until a broker has acknowledged it
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Change),
    /// Remove dead letters without publishing them
    #[command(after_help = DROP_EXAMPLES)]
    Drop(Change),
}

// A documentation comment of what is flattened would become the one of the whole command.
#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    filter: FilterArguments,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    options: Options,
}

// Which dead letters.
#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// Only those of this endpoint; this and the next four may be repeated, and `*` matches anything
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// Only those of this type, such as push or com.github.push
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Only those with this reason, such as too-large
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only those with this id
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only those for this destination, as it is configured
    #[arg(long, value_name = "DESTINATION")]
    destination: Vec<String>,
    /// Only those rejected since then: 2026-11-23T13:00:00Z, 2026-11-23, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only those rejected until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
}

impl From<FilterArguments> for Filter {
    fn from(arguments: FilterArguments) -> Self {
        Self {
            endpoints: arguments.endpoint,
            types: arguments.kind,
            reasons: arguments.reason,
            ids: arguments.id,
            destinations: arguments.destination,
            since: arguments.since,
            until: arguments.until,
            all: arguments.all,
            ..Self::default()
        }
    }
}

pub(super) fn run(command: Command, signals: &Signals) -> CommandResult {
    match command {
        Command::List { filter, options } => {
            let filter = Filter::from(filter);
            let action = Action::ListDeadLetters { is_filtered: !filter.is_empty() };
            disk::run(options, action, Task::List(filter, u64::MAX), signals)
        }
        Command::Replay(change) => change.run(Action::Replay, Task::Replay, "published", signals),
        Command::Drop(change) => change.run(Action::Drop, Task::Drop, "dropped", signals),
    }
}

impl Change {
    fn run(
        self,
        action: Action,
        task: fn(Filter) -> Task,
        participle: &'static str,
        signals: &Signals,
    ) -> Result<ExitCode, Failure> {
        let filter = Filter::from(self.filter);
        if !filter.is_explicit() {
            return Err(Failure::wrong("say which dead letters you mean")
                .hint("`hookbus dlq list` shows them; select some with --endpoint, --type, --reason, --id, --destination, --since or --until, or all with --all"));
        }
        if self.dry_run {
            let action = Action::WouldChange(participle);
            return disk::run(self.options, action, Task::List(filter, u64::MAX), signals);
        }
        disk::run(self.options, action, task(filter), signals)
    }
}
