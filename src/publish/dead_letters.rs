//! Publishing dead letters again, dropping them, and draining the queues of destinations that left the configuration.
//!
//! Dead letters have lost their place in the order: they are published as they come, several at a time, and each stays
//! until a broker has acknowledged it. A queue is published in order, as the drain does it. Both stop early when a
//! destination fails, because somebody waits for the end; what wasn't published stays where it is.
//!
//! One replay, drop or drain runs at a time. Listing doesn't count.

mod filter;
mod line;
mod list;
mod queue;
mod run;

use std::sync::Arc;

use form_urlencoded::Serializer;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tracing::info;

pub use self::filter::{Filter, moment};
pub use self::line::{Entry, Line, QueueStatus, ReplayOutcome, Summary};
use self::run::Run;
use super::{Destinations, SpoolHandle};
use crate::template;

/// Lines that may wait to be read.
const MAX_LINES: usize = 256;

/// The output of a task, line by line; the last one is a [`Line::Summary`]. Dropping it ends the task.
pub type Lines = mpsc::Receiver<Line>;

/// What can be done.
#[derive(Debug, Clone)]
pub enum Task {
    /// Show dead letters, this many of them at most.
    List(Filter, u64),
    /// Show the queues.
    Queues,
    /// Publish dead letters again.
    Replay(Filter),
    /// Remove dead letters.
    Drop(Filter),
    /// Publish the queue of a destination that left the configuration.
    Drain(String),
}

/// Why a task doesn't begin.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// One at a time.
    #[error("another replay, drop or drain is running\nhint: wait until it ends, or interrupt it")]
    Busy,
    /// There is no spool.
    #[error(
        "nothing is kept on disk: the configuration says `spool.enabled = false`\nhint: without a spool, the bridge answers 503 to an event that a broker rejects, and keeps no dead letters"
    )]
    NoSpool,
    /// All of them have to be asked for by name.
    #[error(
        "say which dead letters you mean\nhint: select some by endpoint, type, reason, id, destination or time, or all with `all=true`"
    )]
    Everything,
    /// Nothing queues under this text.
    #[error("no events queue for `{0}`\nhint: `hookbus spool list` shows the queues")]
    NoQueue(String),
    /// The bridge drains it already.
    #[error(
        "the bridge already publishes the queue of `{0}`\nhint: it does so for all configured destinations, as soon as their brokers accept events; see /readyz"
    )]
    Drained(String),
    /// A destination that this configuration can't reach.
    #[error("{}{}", .0.message, .0.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Destination(#[from] template::Error),
    /// The process is about to end.
    #[error("the bridge is stopping")]
    Stopping,
}

/// The tasks of a process.
pub struct SpoolTasks {
    destinations: Arc<Destinations>,
    busy: Arc<Mutex<()>>,
    stop: watch::Sender<bool>,
}

impl SpoolTasks {
    /// None is running.
    pub fn new(destinations: Arc<Destinations>) -> Self {
        Self { destinations, busy: Arc::default(), stop: watch::Sender::new(false) }
    }

    /// Begin a task.
    pub fn begin(&self, task: Task) -> Result<Lines, Refused> {
        let spool = self.destinations.spool().ok_or(Refused::NoSpool)?.clone();
        let (sender, lines) = mpsc::channel(MAX_LINES);
        match task {
            Task::List(filter, limit) => {
                tokio::spawn(list::dead_letters(spool, (filter, limit), sender));
            }
            Task::Queues => {
                tokio::spawn(list::queues(self.destinations.clone(), spool, sender));
            }
            Task::Replay(filter) => self.run(spool, filter, sender, run::publish)?,
            Task::Drop(filter) => self.run(spool, filter, sender, run::remove)?,
            Task::Drain(text) => {
                let turn = self.turn()?;
                let draining = queue::QueueDrain::new(&self.destinations, &spool, &text)?;
                let stop = self.stop.subscribe();
                tokio::spawn(async move {
                    let (given_up, summary) = draining.run(&sender, stop).await;
                    info!(
                        destination = text,
                        published = summary.published,
                        dead_lettered = summary.dead_lettered,
                        left = summary.left,
                        "drained a queue"
                    );
                    drop(turn);
                    end(given_up, summary, sender).await;
                });
            }
        }
        Ok(lines)
    }

    fn run<F: Future<Output = Summary> + Send + 'static>(
        &self,
        spool: Arc<SpoolHandle>,
        filter: Filter,
        sender: mpsc::Sender<Line>,
        work: impl FnOnce(Run) -> F,
    ) -> Result<(), Refused> {
        if !filter.is_explicit() {
            return Err(Refused::Everything);
        }
        let turn = self.turn()?;
        let (destinations, stop) = (self.destinations.clone(), self.stop.subscribe());
        let run = Run::new(destinations, spool, filter, sender.clone(), stop);
        let work = work(run);
        tokio::spawn(async move {
            let summary = work.await;
            info!(
                published = summary.published,
                rejected = summary.rejected,
                dropped = summary.dropped,
                left = summary.left,
                "processed dead letters"
            );
            drop(turn);
            end(None, summary, sender).await;
        });
        Ok(())
    }

    fn turn(&self) -> Result<OwnedMutexGuard<()>, Refused> {
        if *self.stop.borrow() {
            return Err(Refused::Stopping);
        }
        self.busy.clone().try_lock_owned().map_err(|_| Refused::Busy)
    }

    /// End what is running, soon, and begin nothing more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Wait until nothing is running.
    pub async fn idle(&self) {
        drop(self.busy.lock().await);
    }
}

impl Task {
    /// The HTTP request for it: whether it is a POST, as is all that changes something; the path; and the query.
    pub fn request(&self) -> (bool, &'static str, String) {
        match self {
            Self::List(filter, limit) => {
                let limit = (*limit < u64::MAX).then(|| format!("limit={limit}"));
                let parts = [filter.query(), limit.unwrap_or_default()];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                (false, LIST, parts.collect::<Vec<_>>().join("&"))
            }
            Self::Queues => (false, QUEUES, String::new()),
            Self::Replay(filter) => (true, REPLAY, filter.query()),
            Self::Drop(filter) => (true, DROP, filter.query()),
            Self::Drain(text) => {
                let mut query = Serializer::new(String::new());
                (true, DRAIN, query.append_pair(DESTINATION, text).finish())
            }
        }
    }

    fn list(query: &str) -> Result<Self, String> {
        let mut limit = u64::MAX;
        let filter = Filter::read_with(query, |name, value| {
            let is_limit = name == "limit";
            if is_limit {
                limit = filter::number(name, value)?;
            }
            Ok(is_limit)
        })?;
        Ok(Self::List(filter, limit))
    }

    /// The task that a request asks for, or nothing for any other path.
    pub fn read(is_post: bool, path: &str, query: &str) -> Option<Result<Self, String>> {
        Some(match (is_post, path) {
            (false, LIST) => Self::list(query),
            (false, QUEUES) => Ok(Self::Queues),
            (true, REPLAY) => Filter::read(query).map(Self::Replay),
            (true, DROP) => Filter::read(query).map(Self::Drop),
            (true, DRAIN) => {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                match (pairs.next(), pairs.next()) {
                    (Some((name, text)), None) if name == DESTINATION => {
                        Ok(Self::Drain(text.into()))
                    }
                    _ => Err(format!("name one `{DESTINATION}`, and nothing else")),
                }
            }
            _ => return None,
        })
    }
}

/// The path that lists dead letters.
pub const LIST: &str = "/dead-letters";

/// The path that publishes dead letters again.
pub const REPLAY: &str = "/dead-letters/replay";

/// The path that removes dead letters.
pub const DROP: &str = "/dead-letters/drop";

/// The path that lists the queues.
pub const QUEUES: &str = "/spool";

/// The path that drains a queue.
pub const DRAIN: &str = "/spool/drain";

/// The parameter that names the queue to drain.
const DESTINATION: &str = "destination";

/// Send the last line, once the turn is over: who reads it may begin the next task.
async fn end(given_up: Option<Line>, summary: Summary, sender: mpsc::Sender<Line>) {
    for line in given_up.into_iter().chain([Line::Summary(summary)]) {
        // The client may be gone.
        let _ = sender.send(line).await;
    }
}
