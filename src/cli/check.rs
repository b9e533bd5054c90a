//! `hookbus check`: every problem of a configuration file in one run.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome, load, print};
use crate::config::{Config, Endpoint};

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus check                                what is wrong with hookbus.toml
  hookbus check --config prod.toml --connect   what is wrong with its brokers, too";

/// What `hookbus check` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "hookbus.toml")]
    config: PathBuf,
    /// Also ask the brokers: streams, topics, limits, copies
    #[arg(long)]
    connect: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let config = load(&arguments.config)?;
    if arguments.connect {
        return Err(Failure::failed("--connect isn't there yet"));
    }
    print(&format!(
        "ok: {}: {}",
        arguments.config.display(),
        summary(&config)
    ))
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

/// The destinations as they are written, each once, with the one that holds where no rule matches.
fn destinations(config: &Config) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for endpoint in &config.endpoints {
        let rules = endpoint.events.iter().flat_map(|rule| &rule.to);
        let questions = endpoint.questions.iter().flat_map(|rule| &rule.copy_to);
        let tools = endpoint.tools.iter().flat_map(|rule| &rule.copy_to);
        let written = rules.chain(questions).chain(tools).cloned();
        for destination in written.chain(default_destination(config, endpoint)) {
            if !found.contains(&destination) {
                found.push(destination);
            }
        }
    }
    found
}

fn default_destination(config: &Config, endpoint: &Endpoint) -> Option<String> {
    let mut types = endpoint.events.iter().flat_map(|rule| &rule.types);
    if types.any(|pattern| pattern == "*") {
        return None;
    }
    let name = &endpoint.name;
    match (&config.nats, &config.kafka) {
        (Some(_), _) => Some(format!("nats:{name}.events.{{type}}")),
        (None, Some(_)) => Some(format!("kafka:{name}.events")),
        (None, None) => None,
    }
}

fn number(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
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
        assert_eq!(
            summary(&Config::default()),
            "0 endpoints (none); 0 destinations (none)"
        );
    }
}
