//! `hookbus answer`: the flags of [`worker`](crate::worker).

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::nats_target::{self, ANY, NatsTarget};
use super::{CommandResult, Failure, block_on};
use crate::config::Log;
use crate::config::units::Time;
use crate::serve::Signals;
use crate::telemetry;
use crate::template::Template;
use crate::worker::{
    self, Input, Options, Process, ServiceRegistration, Subscription, Target, Work,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus answer get_weather -- ./weather.sh
  hookbus answer book_table cancel_table --concurrency 4 -- python3 tables.py
  hookbus answer lookup --lines -- node lookup.js
  hookbus answer --subject shop.ask.price-request -- ./price

The program reads the arguments as JSON from standard input and writes the answer, text or JSON, to standard output. \
An exit code other than 0 is an error, whose text is the last line on standard error. HOOKBUS_FUNCTION, HOOKBUS_ID, \
HOOKBUS_KEY, HOOKBUS_DEADLINE, HOOKBUS_TIMEOUT_MS and TRACEPARENT are in its environment.

With --lines it is started once. It reads {\"id\", \"name\", \"arguments\"} and writes {\"id\", \"result\"} or \
{\"id\", \"error\"}, each as one line, answers in any order.";

/// Questions at a time for a program that keeps running.
const JSON_LINES_CONCURRENCY: usize = 64;

/// What `hookbus answer` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The functions to answer; '*' for all that no rule of the configuration gives another subject
    #[arg(value_name = "FUNCTION", required_unless_present = "subjects")]
    functions: Vec<String>,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<OsString>,
    /// Answer the questions on this subject too, with the whole payload on standard input; may be repeated
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Give the program the whole payload instead of the arguments
    #[arg(long)]
    payload: bool,
    /// Start the program once, and exchange JSON lines with it
    #[arg(long)]
    lines: bool,
    /// How many questions to answer at the same time [default: one a processor; 64 with --lines]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: Option<u16>,
    /// How many more may wait; beyond that the answer is the error "busy"
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    waiting: u16,
    #[command(flatten)]
    target: nats_target::Flags,
    /// The queue group: of all workers in one, one gets a question
    #[arg(long, value_name = "NAME", default_value = "q", value_parser = token)]
    queue: String,
    /// The name of the service, as `nats micro list` shows it
    #[arg(long, value_name = "NAME", default_value = "hookbus-answer", value_parser = token)]
    name: String,
    /// At the end, how long to wait for the questions that are being answered
    #[arg(long, value_name = "TIME", default_value = "20s")]
    drain: Time,
}

/// What NATS micro takes as a name.
pub(super) fn token(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_name = !text.is_empty() && text.chars().all(is_plain);
    is_name.then(|| text.to_owned()).ok_or("write letters, digits, `-` and `_`")
}

pub(super) fn run(arguments: Arguments, signals: &Signals) -> CommandResult {
    // For what the connection has to say; the lines about questions are said directly.
    telemetry::init(&Log::default(), None);
    let target = arguments.target.load()?;
    let registration = ServiceRegistration {
        command: "hookbus answer",
        health: Arc::default(),
        description: "a program that hookbus answer runs",
        subscriptions: subscriptions(&target, &arguments.functions, &arguments.subjects)?,
        input: if arguments.payload { Input::Payload } else { Input::Arguments },
        name: arguments.name,
        group: arguments.queue,
    };
    let program = Process::new(arguments.command);
    if !program.exists() {
        return Err(Failure::wrong(format_args!("there is no program `{}`", program.name()))
            .hint("name one on PATH, or one by its path, such as ./weather.sh"));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let by_default = if arguments.lines { JSON_LINES_CONCURRENCY } else { processors };
    let options = Options {
        concurrency: arguments.concurrency.map_or(by_default, usize::from),
        waiting: arguments.waiting.into(),
        drain: arguments.drain.get(),
    };
    block_on(async {
        // From here on there are programs to be ended.
        signals.begun();
        // A second signal ends what is worked on.
        let (stop, hurry) = (signals.end(), signals.hurry());
        let settings = &target.settings;
        let work =
            if arguments.lines { Work::JsonLines(program) } else { Work::PerQuestion(program) };
        Ok(worker::run(work, options, registration, settings, stop, hurry).await?)
    })?;
    Ok(ExitCode::SUCCESS)
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::failed(error)
            .hint("is it executable, and does its first line name an interpreter that is there?")
    }
}

/// Where to listen, and for what; each subject once.
fn subscriptions(
    target: &NatsTarget,
    functions: &[String],
    others: &[String],
) -> Result<Vec<Subscription>, Failure> {
    let mut found: Vec<Subscription> = Vec::new();
    let mut add = |subject: String, target| {
        if !found.iter().any(|known| known.subject == subject) {
            found.push(Subscription { subject, target, group: None });
        }
    };
    for function in functions {
        if function == ANY {
            add(target.subject(ANY), Target::AnyFunction);
        } else if function.is_empty() || function.contains(ANY) {
            return Err(Failure::wrong(format_args!("`{function}` is not the name of a function"))
                .hint("write whole names, or '*' alone for all functions: NATS has no patterns within a name"));
        } else {
            add(target.subject(function), Target::Function(function.as_str().into()));
        }
    }
    for subject in others {
        check(subject)?;
        add(subject.clone(), Target::Other);
    }
    Ok(found)
}

/// A subject to listen on: one that the bridge could ask on, or `*` for whole parts of it.
fn check(subject: &str) -> Result<(), Failure> {
    let parts: Vec<&str> =
        subject.split('.').map(|part| if part == ANY { "any" } else { part }).collect();
    let problem = match Template::subject(&parts.join(".")) {
        Ok(_) if !subject.contains('{') => return Ok(()),
        Ok(_) => "it holds a variable".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::wrong(format_args!("can't listen on `{subject}`: {problem}"))
        .hint("write a whole subject, such as shop.ask.price-request"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_that_nobody_asks_on_are_refused() {
        for fine in ["vapi.ask.assistant-request", "crm.*.find"] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "a..b", "a b", "{endpoint}.x", "a.>", "a.b*", "$SRV.PING", "_INBOX.x"] {
            assert!(check(wrong).is_err_and(|failure| failure.code == 2), "{wrong}");
        }
    }
}
