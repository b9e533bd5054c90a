//! Publishing again what was parked, dropping it, and emptying the queues of destinations that left the configuration.
//!
//! Parked events have lost their place in the order: they are published as they come, several at a time, and are parked
//! until a broker has acknowledged them. A queue is published in its order, as the drain does it. Either stops early
//! where a destination fails, since somebody waits for the end; what wasn't published stays where it is.
//!
//! One replay runs at a time. Looking doesn't count.

mod filter;
mod line;
mod list;
mod queue;
mod run;

use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tracing::info;

pub use self::filter::{Filter, moment};
pub use self::line::{Entry, Line, Outcome, Summary, Waiting};
use self::run::Run;
use super::{Destinations, Shelf};
use crate::template;

/// How many lines wait for whoever reads them.
const LINES: usize = 256;

/// How many attempts in a row a destination may fail before it is left alone.
pub(super) const ATTEMPTS: u32 = 3;

/// How long a connection is waited for before something is tried without.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What comes of a task, line by line; the last one is a [`Line::Summary`]. Dropping it ends the task.
pub type Lines = mpsc::Receiver<Line>;

/// What can be asked for.
#[derive(Debug, Clone)]
pub enum Task {
    /// Show parked events.
    List(Filter),
    /// Show the queues.
    Queues,
    /// Publish parked events again.
    Publish(Filter),
    /// Remove parked events.
    Drop(Filter),
    /// Publish the queue of a destination that nobody publishes.
    Drain(String),
}

/// Why a task isn't begun.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// One at a time.
    #[error("another replay is running\nhint: wait for its end, or interrupt it")]
    Busy,
    /// There is no spool.
    #[error(
        "nothing is kept on disk: the configuration says `spool.enabled = false`\nhint: without a spool, what a broker refuses is answered with a 503, and never parked"
    )]
    NoSpool,
    /// Whoever means everything has to say so.
    #[error(
        "it isn't said which parked events are meant\nhint: name them, such as by their endpoint, type or reason, or ask for all of them"
    )]
    Everything,
    /// Nothing queues under this text.
    #[error("no event queues for `{0}`\nhint: `hookbus replay --list` names the queues")]
    NoQueue(String),
    /// It is drained already.
    #[error(
        "the queue of `{0}` is being published already\nhint: a bridge publishes the queues of its configured destinations by itself, as soon as that works; see /readyz"
    )]
    Drained(String),
    /// A destination that this configuration can't reach.
    #[error("{}{}", .0.message, .0.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
    Destination(#[from] template::Error),
    /// The process is about to end.
    #[error("the bridge is stopping")]
    Stopping,
}

/// The replays of a process.
pub struct Replays {
    destinations: Arc<Destinations>,
    busy: Arc<Mutex<()>>,
    stop: watch::Sender<bool>,
}

impl Replays {
    /// None is running.
    pub fn new(destinations: Arc<Destinations>) -> Self {
        Self { destinations, busy: Arc::default(), stop: watch::Sender::new(false) }
    }

    /// Begin a task.
    pub fn begin(&self, task: Task) -> Result<Lines, Refused> {
        let shelf = self.destinations.shelf().ok_or(Refused::NoSpool)?.clone();
        let (sender, lines) = mpsc::channel(LINES);
        match task {
            Task::List(filter) => {
                tokio::spawn(list::parked(shelf, filter, sender));
            }
            Task::Queues => {
                tokio::spawn(list::queues(self.destinations.clone(), shelf, sender));
            }
            Task::Publish(filter) => self.run(shelf, filter, sender, run::publish)?,
            Task::Drop(filter) => self.run(shelf, filter, sender, run::remove)?,
            Task::Drain(text) => {
                let turn = self.turn()?;
                let draining = queue::Draining::new(&self.destinations, &shelf, &text)?;
                let stop = self.stop.subscribe();
                tokio::spawn(async move {
                    let (given_up, summary) = draining.run(&sender, stop).await;
                    info!(
                        destination = text,
                        published = summary.published,
                        parked = summary.parked,
                        left = summary.left,
                        "a queue was replayed"
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
        shelf: Arc<Shelf>,
        filter: Filter,
        sender: mpsc::Sender<Line>,
        work: impl FnOnce(Run) -> F,
    ) -> Result<(), Refused> {
        if !filter.is_explicit() {
            return Err(Refused::Everything);
        }
        let turn = self.turn()?;
        let (destinations, stop) = (self.destinations.clone(), self.stop.subscribe());
        let run = Run::new(destinations, shelf, filter, sender.clone(), stop);
        let work = work(run);
        tokio::spawn(async move {
            let summary = work.await;
            info!(
                published = summary.published,
                rejected = summary.rejected,
                dropped = summary.dropped,
                left = summary.left,
                "parked events were replayed"
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
    /// How it is asked for over HTTP: whether it is a POST, as all is that changes something; the path; and the query.
    pub fn request(&self) -> (bool, &'static str, String) {
        match self {
            Self::List(filter) => (false, "/parked", filter.query()),
            Self::Queues => (false, "/queues", String::new()),
            Self::Publish(filter) => (true, "/replay", filter.query()),
            Self::Drop(filter) => (true, "/drop", filter.query()),
            Self::Drain(text) => {
                (true, "/replay", Serializer::new(String::new()).append_pair(QUEUE, text).finish())
            }
        }
    }

    /// What is asked for so; nothing for any other path.
    pub fn read(is_post: bool, path: &str, query: &str) -> Option<Result<Self, String>> {
        Some(match (is_post, path) {
            (false, "/parked") => Filter::read(query).map(Self::List),
            (false, "/queues") => Ok(Self::Queues),
            (true, "/replay") => {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                match (pairs.next(), pairs.next()) {
                    (Some((name, text)), None) if name == QUEUE => Ok(Self::Drain(text.into())),
                    _ => Filter::read(query).map(Self::Publish),
                }
            }
            (true, "/drop") => Filter::read(query).map(Self::Drop),
            _ => return None,
        })
    }
}

/// The parameter that names a queue.
const QUEUE: &str = "queue";

/// Say the end, once the turn is over: whoever hears it may begin the next one.
async fn end(given_up: Option<Line>, summary: Summary, sender: mpsc::Sender<Line>) {
    for line in given_up.into_iter().chain([Line::Summary(summary)]) {
        // Whoever asked may be gone.
        let _ = sender.send(line).await;
    }
}
