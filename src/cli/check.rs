//! `hookbus check`: every problem of a configuration file in one run; with `--connect` of its brokers too.

mod connect;
mod kafka;
mod nats;
mod permissions;
mod report;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CONFIG_FILE, CommandResult, Failure, block_on, print, read, settle};
use crate::config::{Config, Endpoint, Problem, Severity};

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus check                                what is wrong with hookbus.toml
  hookbus check --config prod.toml --connect   what is wrong with its brokers, too
  hookbus check --strict                       for CI: warnings fail, too";

/// What `hookbus check` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// Also ask the brokers: streams, topics, limits, copies
    #[arg(long)]
    connect: bool,
    /// Let warnings fail as errors do
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(arguments: &Arguments) -> CommandResult {
    let loaded = read(&arguments.config)?;
    let is_warning = |problem: &Problem| problem.severity == Severity::Warning;
    let mut has_warnings = loaded.problems.iter().any(is_warning);
    let config = settle(loaded)?;
    let asked = if arguments.connect {
        block_on(async { Ok(connect::run(&config).await) })?
    } else {
        connect::Asked::default()
    };
    has_warnings |= asked.has_warnings;
    let is_refused = arguments.strict && has_warnings;
    let mut lines = asked.learned;
    if asked.failure.is_none() && !is_refused {
        let ok = format!("ok: {}: {}", arguments.config.display(), summary(&config));
        lines.insert(0, ok);
    }
    // What was learned is worth as much beside an error.
    if !lines.is_empty() {
        print(&lines.join("\n"))?;
    }
    match asked.failure {
        Some(failure) => Err(failure),
        None if is_refused => {
            Err(Failure::wrong("there are warnings, which --strict doesn't let pass")
                .hint("fix what they name, or check without --strict"))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What the configuration amounts to, in one line.
fn summary(config: &Config) -> String {
    let endpoints: Vec<String> = config
        .endpoints
        .iter()
        .map(|endpoint| format!("{} at {}", endpoint.name, endpoint.path))
        .collect();
    format!(
        "{} ({}); {} ({})",
        number(endpoints.len(), "endpoint"),
        list(&endpoints),
        number(destinations(config).len(), "destination"),
        list(&destinations(config)),
    )
}

/// The destinations, each once, with the one that holds where no rule matches.
fn destinations(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for endpoint in &config.endpoints {
        for text in event_destinations(config, endpoint) {
            let destination = text.replace("{endpoint}", &endpoint.name);
            if !found.contains(&destination) {
                found.push(destination);
            }
        }
    }
    found
}

/// Where the events of an endpoint go.
fn event_destinations<'a>(
    config: &'a Config,
    endpoint: &'a Endpoint,
) -> impl Iterator<Item = &'a str> {
    let rules = endpoint.events.iter().flat_map(|rule| &rule.to);
    let questions = endpoint.questions.iter().flat_map(|rule| &rule.copy_to);
    let tools = endpoint.tools.iter().flat_map(|rule| &rule.copy_to);
    let written = rules.chain(questions).chain(tools).map(String::as_str);
    written.chain(default_destination(config, endpoint))
}

fn default_destination(config: &Config, endpoint: &Endpoint) -> Option<&'static str> {
    let mut types = endpoint.events.iter().flat_map(|rule| &rule.types);
    let is_needed = types.all(|pattern| pattern != "*");
    let is_there = config.nats.is_some() || config.kafka.is_some();
    (is_needed && is_there).then(|| config.event_destination())
}

fn number(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_endpoints_and_destinations_once() {
        let config: Config = toml::from_str(
            r#"
            [nats]
            [[endpoint]]
            name = "vapi"
            path = "/vapi"
            source = "vapi"
            [[endpoint.event]]
            types = ["end-of-call-report"]
            to = ["kafka:reports", "nats:vapi.events.{type}"]
            "#,
        )
        .unwrap();
        assert_eq!(
            summary(&config),
            "1 endpoint (vapi at /vapi); 2 destinations (kafka:reports, nats:vapi.events.{type})"
        );
        assert_eq!(summary(&Config::default()), "0 endpoints (none); 0 destinations (none)");
    }
}
