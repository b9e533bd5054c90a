//! What the program says of itself: which build it is, its completions for shells, its manual pages.

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, CommandResult, Failure, write};

/// The version, the commit, and what it is built of.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = match env!("HOOKBUS_COMMIT") {
        "" => "unknown",
        commit => commit,
    };
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "{} (commit {commit}, {} build for {})\nlibrdkafka {librdkafka}, jemalloc",
        env!("CARGO_PKG_VERSION"),
        env!("HOOKBUS_PROFILE"),
        env!("HOOKBUS_TARGET"),
    )
});

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hookbus completions bash > /usr/share/bash-completion/completions/hookbus
  hookbus completions zsh > /usr/local/share/zsh/site-functions/_hookbus
  hookbus completions fish > ~/.config/fish/completions/hookbus.fish";

pub(super) const MANUAL_EXAMPLES: &str = "\
Examples:
  hookbus man | man -l -
  hookbus man dlq replay > hookbus-dlq-replay.1";

/// What `hookbus completions` takes.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

/// What `hookbus man` takes.
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The command whose page it is [default: that of hookbus itself]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
}

pub(super) fn completions(arguments: &Completions) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "hookbus", &mut script);
    write(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn manual(arguments: &Manual) -> CommandResult {
    let mut command = Cli::command();
    // So that a page of `dlq replay` is called hookbus-dlq-replay.
    command.build();
    for word in &arguments.path {
        let Some(found) = command.find_subcommand(word) else {
            return Err(Failure::wrong(format_args!("there is no command `{word}`"))
                .hint("`hookbus --help` lists them"));
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::failed(format_args!("can't make the page: {error}")))?;
    write(&page)?;
    Ok(ExitCode::SUCCESS)
}
