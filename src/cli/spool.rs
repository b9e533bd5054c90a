//! `hookbus spool`: show which events queue on disk, and drain the queue of a destination that left the configuration.

use clap::{Args, Subcommand};

use super::CommandResult;
use super::disk::{self, Action, Options};
use crate::publish::dead_letters::Task;
use crate::serve::Signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus spool list                             what queues on disk, and for which destinations
  hookbus spool drain 'nats:old.events.{type}'   publish what queues for a destination that left the configuration

These commands ask the bridge that runs on this machine. If none does, they open the spool themselves.";

const LIST_EXAMPLES: &str = "\
Examples:
  hookbus spool list
  hookbus spool list --json | jq -r 'select(.line == \"queue\" and .is_configured == false).destination'

What no broker will ever take doesn't queue: `hookbus dlq list` shows it.";

const DRAIN_EXAMPLES: &str = "\
Examples:
  hookbus spool drain 'nats:old.events.{type}' --dry-run   how many events would be published
  hookbus spool drain 'nats:old.events.{type}'             publish them, in order";

/// What `hookbus spool` does.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the queues on disk, one a line: time of the oldest event, destination, events, size
    #[command(after_help = LIST_EXAMPLES)]
    List(Options),
    /// Publish the queue of a destination that left the configuration, in order, until it is empty
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(Drain),
}

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The destination as it was configured; `hookbus spool list` shows it
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    options: Options,
}

pub(super) fn run(command: Command, signals: &Signals) -> CommandResult {
    match command {
        Command::List(options) => disk::run(options, Action::ListQueues, Task::Queues, signals),
        Command::Drain(Drain { destination, dry_run: true, options }) => {
            disk::run(options, Action::WouldDrain(destination), Task::Queues, signals)
        }
        Command::Drain(Drain { destination, options, .. }) => {
            disk::run(options, Action::Drain, Task::Drain(destination), signals)
        }
    }
}
