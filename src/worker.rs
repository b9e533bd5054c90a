//! Any program as a worker: NATS on one side, a process on the other; or whatever else works answers out.
//!
//! A question's arguments go to the program's standard input, and nowhere else: neither a shell nor an argument list
//! ever sees them. What it writes to standard output is the answer.
//!
//! `target` says where to listen, `service` listens, `dispatcher` decides which questions wait and which are refused, `process` runs a program
//! once a question and `json_lines` one that keeps running, and `reply_sender` sends what they answer.

mod dispatcher;
mod json_lines;
mod process;
mod process_group;
mod question;
mod reply_sender;
mod service;
mod target;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

pub use self::dispatcher::{Answerer, Answering};
use self::dispatcher::{Dispatcher, Runner};
use self::json_lines::JsonLines;
pub use self::process::Process;
pub use self::question::{Answer, AnswerError, Input, Question};
use self::reply_sender::ReplySender;
pub use self::service::ServiceRegistration;
pub use self::target::{Selection, Subscription, Target};
use crate::nats;
use crate::telemetry::{stderr, terminal};

/// What works the answers out.
#[derive(Debug)]
pub enum Work {
    /// A program that is started for each question.
    PerQuestion(Process),
    /// One that keeps running and exchanges JSON lines.
    JsonLines(Process),
    /// Something else.
    Other(Arc<dyn Answerer>),
}

/// How much is worked on.
#[derive(Debug)]
pub struct Options {
    /// Questions that are worked on at a time.
    pub concurrency: usize,
    /// Questions that may wait beside those.
    pub waiting: usize,
    /// At the end, how long to wait for the questions that it works on.
    pub drain: Duration,
}

/// Why a worker can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused to run the program.
    #[error("can't start `{program}`: {source}")]
    Start {
        /// Its name.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Answer questions until `stop` ends, then finish what is worked on, unless `hurry` ends before.
pub async fn run(
    work: Work,
    options: Options,
    registration: ServiceRegistration,
    settings: &nats::Settings,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> Result<(), Error> {
    let Options { concurrency, waiting, drain } = options;
    let replies = Arc::new(ReplySender::default());
    let runner = match work {
        Work::PerQuestion(program) => Runner::PerQuestion(program),
        Work::JsonLines(program) => Runner::JsonLines(JsonLines::start(program, replies.clone())?),
        Work::Other(answerer) => Runner::Other(answerer),
    };
    let dispatcher = Dispatcher::new(runner, replies, concurrency, waiting);
    registration.serve(settings, &dispatcher, stop).await;
    dispatcher.finish(drain, hurry).await;
    Ok(())
}

/// Write a line for the operator to standard error.
fn log(line: impl Display) {
    stderr::line(terminal::lines(&line.to_string()));
}
