//! `hookbus conform`: the flags of [`conformance`](crate::conformance), and its report.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::nats_target::{self, ANY};
use super::{CommandResult, Failure, block_on, print};
use crate::config::units::Time;
use crate::conformance::{self, Client, Plan, Worker};
use crate::telemetry::terminal;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus conform get_weather --arguments '{\"city\": \"Oslo\"}'
  hookbus conform book_table --arguments '{\"guests\": 2}' --wrong '{\"guests\": -1}' --json

The worker is asked for real, some 110 times: give it arguments that may be executed.";

/// What `hookbus conform` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The function
    #[arg(value_name = "FUNCTION")]
    function: String,
    /// Arguments that the worker answers
    #[arg(long, value_name = "JSON", value_parser = json)]
    arguments: Value,
    /// Arguments that it doesn't understand; may be repeated [default: {} and a list]
    #[arg(long, value_name = "JSON", value_parser = json)]
    wrong: Vec<Value>,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "18s")]
    timeout: Time,
    /// How many calls to make at the same time
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    parallel: u16,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: nats_target::Flags,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { function, arguments: right, mut wrong, timeout, parallel, json, target } =
        arguments;
    if function.is_empty() || function.contains(ANY) {
        return Err(Failure::wrong(format_args!("`{function}` is not the name of a function"))
            .hint("name one function, such as get_weather"));
    }
    if timeout.get().is_zero() {
        return Err(Failure::wrong("--timeout leaves no time").hint("give it some, such as 5s"));
    }
    let target = target.load()?;
    if wrong.is_empty() {
        wrong = vec![json!({}), json!(["a", "list"])];
    }
    let plan = Plan { right, wrong, parallel: parallel.into() };
    let report = block_on(async {
        let nats = target.settings.connect(Arc::default()).await.map_err(|error| {
            Failure::failed(format_args!("can't connect to NATS: {error}"))
                .hint("--server names another address, --config the configuration that holds the credentials")
        })?;
        let subject = target.subject(&function);
        let worker = Worker {
            context: target.context(&function),
            endpoint: target.endpoint,
            inbox_prefix: target.inbox_prefix,
            timeout: timeout.get(),
            subject: subject.clone(),
            function,
        };
        conformance::check(&Client::new(nats, worker), &plan).await.map_err(|error| {
            Failure::failed(format_args!("can't ask on {subject}: {error}"))
                .hint("is the NATS server still there, and may this user publish there?")
        })
    })?;
    let text = if json {
        terminal::json(&serde_json::to_string_pretty(&report).map_err(Failure::failed)?)
    } else {
        report.text()
    };
    print(&text)?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
