//! Storing events: in order, within a budget, each destination for itself.
//!
//! There are two paths to a destination's broker. The direct one sends an event and waits for its
//! acknowledgement (`destination`). What isn't acknowledged within its budget takes the disk path: it queues on
//! disk (`disk_queue`) and is published from there, in order, as soon as that works (`drain`). What a broker will
//! never take becomes a dead letter. Events whose own subject or topic takes nothing wait in a queue of their own
//! (`apart`).
//!
//! For one key and one destination at most one event is unacknowledged at a time, on whichever path, and turns
//! are taken in the order in which [`begin`] is called. Where a sink keeps the order by itself
//! ([`Pipeline`](crate::sink::Pipeline)), those that wait for the same key take their turn together, as a run.
//! Everything else is pipelined.

mod apart_queue;
pub mod balance;
mod disk_queue;
mod circuit;
mod destination;
mod drain;
mod key_table;
mod keyed_lock;
pub mod dead_letters;
mod spool_handle;
mod read_ahead;
mod running;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

pub use self::destination::Destination;
use self::destination::{Admission, Path};
pub use self::spool_handle::{DestinationQueue, SpoolHandle};
use crate::live_tail::TapProgress;
use crate::message::{Event, Receipt, Refusal};
use crate::sink::Sink;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::template;
use crate::trace::Span;

/// A sink, and how long it may take.
#[derive(Clone)]
pub struct SinkWithTimeout {
    /// Where events are stored.
    pub sink: Arc<dyn Sink>,
    /// Within what time.
    pub ack_timeout: Duration,
}

/// The sinks that are configured.
#[derive(Clone, Default)]
pub struct Sinks {
    /// `kafka:`
    pub kafka: Option<SinkWithTimeout>,
    /// `nats:`
    pub jetstream: Option<SinkWithTimeout>,
    /// `nats-core:`
    pub nats_core: Option<SinkWithTimeout>,
}

impl Sinks {
    fn of(&self, name: &template::Destination) -> Option<&SinkWithTimeout> {
        match name {
            template::Destination::Kafka(_) => self.kafka.as_ref(),
            template::Destination::Nats(_) => self.jetstream.as_ref(),
            template::Destination::NatsCore(_) => self.nats_core.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &SinkWithTimeout> {
        [&self.kafka, &self.jetstream, &self.nats_core].into_iter().flatten()
    }
}

/// All destinations of a process; equal texts share one.
pub struct Destinations {
    sinks: Sinks,
    spool: Option<Arc<SpoolHandle>>,
    /// How many events each destination may have in flight: its part of `http.max_events`.
    share: Arc<AtomicUsize>,
    by_text: RwLock<BTreeMap<String, Arc<Destination>>>,
    /// All that exist, whoever uses them: two of one text would be two drains of one queue, and two orders.
    alive: Mutex<BTreeMap<String, Weak<Destination>>>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Destinations {
    /// No destinations yet. Without a spool, what isn't acknowledged in time is refused.
    pub fn new(
        sinks: Sinks,
        spool: Option<Arc<SpoolHandle>>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        let by_text = RwLock::default();
        let alive = Mutex::default();
        Self { sinks, spool, share: Arc::default(), by_text, alive, metrics, health }
    }

    /// The destinations of a configuration that isn't in use yet.
    pub fn draft(&self) -> Draft<'_> {
        Draft { all: self, by_text: Mutex::default() }
    }

    /// From now on a configuration is in use, and `max` events are in flight at the most. Destinations that only an
    /// earlier one named stay, since something may queue for them.
    pub fn adopt(&self, draft: Draft<'_>, max: usize) {
        let drafted = draft.by_text.into_inner();
        // Equal parts, so that however many destinations are dead, there is room for those that live.
        self.share.store(max.div_ceil(drafted.len().max(1)), Ordering::Relaxed);
        let mut by_text = self.by_text.write();
        for (text, destination) in drafted {
            // From now on events may go here: what is counted of it begins at zero.
            destination.counters();
            by_text.entry(text).or_insert(destination);
        }
    }

    /// The destination of this text; where nothing is routed to it, one for the moment, that takes no share.
    fn find(&self, text: &str) -> Result<Arc<Destination>, template::Error> {
        let mut alive = self.alive.lock();
        if let Some(known) = alive.get(text).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let destination = self.make(text)?;
        alive.retain(|_, destination| destination.strong_count() > 0);
        alive.insert(text.to_owned(), Arc::downgrade(&destination));
        Ok(destination)
    }

    /// Whether something may be routed to a destination of this text.
    fn is_configured(&self, text: &str) -> bool {
        self.by_text.read().contains_key(text)
    }

    fn make(&self, text: &str) -> Result<Arc<Destination>, template::Error> {
        let name = template::Destination::parse(text)?;
        let timed = self.sinks.of(&name).cloned().ok_or_else(|| template::Error {
            offset: 0,
            message: format!("`{text}` needs a broker that is not configured"),
            hint: Some("add a [nats] or a [kafka] table".to_owned()),
        })?;
        Ok(Arc::new(Destination::new(
            (text, name),
            timed,
            self.spool.clone(),
            self.share.clone(),
            self.metrics.clone(),
            self.health.clone(),
        )))
    }

    /// How many there are, with those whose queue is all that is left of them.
    pub fn count(&self) -> usize {
        let queues = self.spool.as_ref().map_or(0, |spool| spool.queued().len());
        self.by_text.read().len().max(queues)
    }

    /// What is kept on disk, if anything is.
    pub fn spool(&self) -> Option<&Arc<SpoolHandle>> {
        self.spool.as_ref()
    }

    /// Publish what is queued on disk, from now on, and say which queues have no destination any more.
    pub fn drain(&self, background: &mut JoinSet<()>) {
        self.drain_new(background);
        let Some(spool) = &self.spool else { return };
        for queued in spool.queued() {
            let (text, records) = (queued.destination(), queued.records());
            if records > 0 && !self.is_configured(text) {
                warn!(destination = %text, records, "events are queued for a destination that left the configuration; `hookbus spool drain '{text}'` publishes them");
            }
        }
        background.spawn(spool.clone().watch());
    }

    /// Publish what is queued on disk for those destinations too that came since.
    pub fn drain_new(&self, background: &mut JoinSet<()>) {
        for destination in self.by_text.read().values() {
            if let Some(draining) = drain::forever(destination) {
                background.spawn(draining);
            }
        }
    }

    /// Send nothing any more: what comes from now on goes to the disk, and what is there stays.
    pub fn pause(&self) {
        for destination in self.by_text.read().values() {
            destination.pause();
        }
    }

    /// Wait until everything that was sent from the disk is acknowledged, or known not to be.
    pub async fn settled(&self) {
        let draining = || {
            self.by_text.read().values().map(|destination| destination.draining()).sum::<usize>()
        };
        loop {
            // One may just be on its way.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if draining() == 0 {
                return;
            }
        }
    }

    /// Give up what waits for an acknowledgement: it goes to the disk, and so does all that comes after.
    pub fn give_up(&self) {
        self.pause();
        for timed in self.sinks.all() {
            timed.sink.give_up();
        }
    }

    /// Write what is kept on disk into the metrics.
    pub fn report(&self) {
        if let Some(spool) = &self.spool {
            spool.report(|text| self.is_configured(text));
        }
    }
}

/// The destinations of a configuration that isn't in use yet: those that are known, and new ones. Nothing is sent to
/// the new ones, nothing is counted for them, and dropping this forgets them.
pub struct Draft<'a> {
    all: &'a Destinations,
    by_text: Mutex<BTreeMap<String, Arc<Destination>>>,
}

impl Draft<'_> {
    /// The destination of this text.
    pub fn get(&self, text: &str) -> Result<Arc<Destination>, template::Error> {
        let mut by_text = self.by_text.lock();
        if let Some(drafted) = by_text.get(text) {
            return Ok(drafted.clone());
        }
        let destination = self.all.find(text)?;
        by_text.insert(text.to_owned(), destination.clone());
        Ok(destination)
    }
}

/// How long an event may take on the direct path.
#[derive(Debug, Clone, Copy)]
struct Budget {
    began: Instant,
    /// Unless its destination's `ack_timeout` is shorter.
    within: Option<Duration>,
}

impl Budget {
    /// Of one that begins now.
    fn now() -> Self {
        Self { began: Instant::now(), within: None }
    }

    /// When it ends at a destination with this `ack_timeout`.
    fn deadline(self, ack_timeout: Duration) -> Instant {
        self.began + self.within.map_or(ack_timeout, |within| within.min(ack_timeout))
    }
}

/// An event with its turn taken at each of its destinations.
pub struct Publishing {
    event: Event,
    parts: Vec<Part>,
    began: Instant,
    /// Those who follow.
    tap: Option<TapProgress>,
}

struct Part {
    admission: Admission,
    path: Path,
    /// The topic or subject.
    name: String,
    /// That of storing it there.
    span: Span,
    /// The event as it is stored there, where it says so.
    traced: Option<Box<Event>>,
}

/// Begin to store an event under the name that it has at each destination: take its turns, in the order of the calls.
pub fn begin(
    to: impl IntoIterator<Item = (Arc<Destination>, String)>,
    event: Event,
) -> Result<Publishing, Refusal> {
    let mut parts = to
        .into_iter()
        .map(|(destination, name)| {
            let admission = destination.admit(event.key.as_ref())?;
            let (span, traced) = destination.trace(&name, &event);
            Ok(Part { admission, path: Path::Waiting, name, span, traced })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    // Only now that there is a place at each of them: what is refused here should leave nothing on any disk.
    for Part { admission, path, name, traced, .. } in &mut parts {
        *path = admission.choose_path(name, traced.as_deref().unwrap_or(&event));
    }
    Ok(Publishing { event, parts, began: Instant::now(), tap: None })
}

impl Publishing {
    /// Tell those who follow what comes of it at each destination.
    pub fn followed_by(self, tap: Option<TapProgress>) -> Self {
        Self { tap, ..self }
    }

    /// Wait until every destination has stored the event or has it on disk, or one can't.
    pub async fn finish(self) -> Result<Receipt, Refusal> {
        self.finish_within(None).await
    }

    /// The same for a sender that doesn't wait as long as brokers may take: what isn't acknowledged within this time
    /// goes to the disk. A broker that has it all the same, and acknowledges it later, gets it once more from there.
    pub async fn finish_within(self, within: Option<Duration>) -> Result<Receipt, Refusal> {
        let Self { event, mut parts, began, tap } = self;
        let budget = Budget { began, within };
        let store = async |part: Part| {
            let Part { admission, path, name, span, traced } = part;
            let event = traced.as_deref().unwrap_or(&event);
            let followed = tap.as_ref().map(|tap| (tap, admission.destination().clone()));
            let stored = admission.store(path, name, event, budget).await;
            if let Some((tap, destination)) = followed {
                tap.stored(&destination, &stored);
            }
            destination::stored(span, &stored);
            stored
        };
        match (parts.pop(), parts.is_empty()) {
            (None, _) => Ok(Receipt::Dropped),
            (Some(only), true) => store(only).await,
            (Some(last), false) => {
                parts.push(last);
                let receipts = join_all(parts.into_iter().map(store)).await;
                // Whoever is told of one receipt is told of the worst.
                receipts
                    .into_iter()
                    .try_fold(Receipt::Dropped, |worst, receipt| Ok(worst.max(receipt?)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
