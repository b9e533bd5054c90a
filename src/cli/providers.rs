//! `hookbus providers`: which providers are built in, and how one is described.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{CommandResult, Failure, print};
use crate::source;
use crate::template::nearest;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus providers list                       name, title, group, what the facts rest on, what it sends
  hookbus providers list --json | jq -r 'select(.group == \"voice\").name'
  hookbus providers show stripe                its description, and the endpoint that it needs
  hookbus providers show stripe >> hookbus.toml   a start for one of your own";

const LIST_EXAMPLE: &str = "\
Example:
  hookbus providers list --json | jq -r 'select(.asks).name'   those that wait for answers";

const SHOW_EXAMPLE: &str = "\
Example:
  hookbus providers show github > hookbus.toml && hookbus check";

/// What `hookbus providers` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the providers that are built in
    #[command(after_help = LIST_EXAMPLE)]
    List {
        /// Write JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Print the description of a provider, ready to be copied into a configuration file and changed
    #[command(after_help = SHOW_EXAMPLE)]
    Show {
        /// Its name, as `list` has it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    match arguments.command {
        None => list(false),
        Some(Command::List { json }) => list(json),
        Some(Command::Show { name }) => show(known(&name)?),
    }
}

/// The name of a provider that there is.
pub(super) fn known(name: &str) -> Result<&'static str, Failure> {
    let names = source::names();
    if let Some(known) = names.iter().find(|known| **known == name) {
        return Ok(known);
    }
    let failure = Failure::wrong(format_args!("there is no built-in provider `{name}`"));
    Err(match nearest(name, names) {
        Some(near) => failure.hint(format_args!("did you mean `{near}`?")),
        None => failure.hint("`hookbus providers list` shows all of them"),
    })
}

/// A provider in the list.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    title: String,
    group: &'static str,
    evidence: &'static str,
    /// Whether some of its webhooks wait for an answer.
    asks: bool,
    summary: &'static str,
}

impl Row {
    fn of(name: &'static str) -> Option<Self> {
        let (page, facts) = (source::page(name)?, source::facts(name)?);
        Some(Self {
            name,
            title: facts.provider.clone(),
            group: &page.group,
            evidence: page.evidence.as_str(),
            asks: facts.asked().next().is_some(),
            summary: page.summary.trim(),
        })
    }
}

fn list(as_json: bool) -> CommandResult {
    let rows: Vec<_> = source::names().into_iter().filter_map(Row::of).collect();
    let mut text = String::new();
    if as_json {
        for row in &rows {
            let line = serde_json::to_string(row)
                .map_err(|error| Failure::failed(format_args!("can't write JSON: {error}")))?;
            // Writing to a String can't fail.
            let _ = writeln!(text, "{line}");
        }
        return print(text.trim_end());
    }
    let width = |column: fn(&Row) -> &str| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or_default() + 2
    };
    let (names, titles) = (width(|row| row.name), width(|row| &row.title));
    let _ =
        writeln!(text, "{:names$}{:titles$}{:9}{:12}SENDS", "NAME", "TITLE", "GROUP", "EVIDENCE");
    for Row { name, title, group, evidence, summary, .. } in &rows {
        let _ = writeln!(text, "{name:names$}{title:titles$}{group:9}{evidence:12}{summary}");
    }
    print(text.trim_end())
}

fn show(name: &str) -> CommandResult {
    let Some(example) = source::example(name) else { return Ok(ExitCode::SUCCESS) };
    let mut text = match source::built_in(name) {
        Some(known) => format!("{}\n\n", known.text.trim_end()),
        None => {
            format!("# `{name}` is a source in code: there is no description to be changed.\n\n")
        }
    };
    text.push_str("# The endpoint that it needs; without `[provider]` above it takes the description that is built in.\n#\n");
    for line in example.trim_end().lines() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    print(text.trim_end())
}
