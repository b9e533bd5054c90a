//! One configured destination: the direct path to its broker, the one over the disk, and which of them an event takes.

mod admission;
mod run;
mod traced;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

pub(super) use self::admission::{Admission, Path};
pub(super) use self::traced::stored;
use super::apart_queue::{ApartQueue, NameStatus, UNCERTAIN_TIMEOUT};
use super::circuit::Circuit;
use super::disk_queue::{Ahead, DiskQueue, FEW_TIMEOUT, PendingAppend};
use super::keyed_lock::KeyedLock;
use super::{Budget, SinkWithTimeout, SpoolHandle};
use crate::message::{Event, Receipt, Refusal};
use crate::sink::{self, Class, Scope, Sink};
use crate::spool::Record;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{DestinationMetrics, Metrics};
use crate::template::{self, Vars};

/// How long an event waits for the end of a [`Class::Transient`] when there is a disk that it can go to: two attempts
/// more, as ADR-22 has it.
pub(super) const TRANSIENT_TIMEOUT: Duration = Duration::from_millis(600);

/// Why an event may not be stored, whatever the sink is.
const REASONS: [&str; 8] = [
    "overloaded",
    "queued",
    "timeout",
    sink::DISCONNECTED,
    "too-large",
    "spool-full",
    "spool-slow",
    "spool-error",
];

/// Time for the broker to say whether a subject or topic exists.
pub(super) const EXAMINE_TIMEOUT: Duration = Duration::from_secs(1);

/// One configured destination: one queue, one circuit, one share, one metric label.
pub struct Destination {
    text: Arc<str>,
    name: template::Destination,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) ack_timeout: Duration,
    pub(super) keys: KeyedLock,
    pub(super) share: Arc<AtomicUsize>,
    in_flight: AtomicUsize,
    circuit: Circuit,
    /// For live views: what fails there delays no event, and nothing is kept for it.
    is_live: bool,
    pub(super) disk: Option<OnDisk>,
    pub(super) metrics: Arc<Metrics>,
    /// What is counted of it, from its first event on.
    counters: OnceLock<DestinationMetrics>,
    pub(super) health: Arc<Health>,
}

/// Where a destination's events wait for its broker.
pub(super) struct OnDisk {
    pub(super) disk_queue: Arc<DiskQueue>,
    /// Nothing where all events have the same subject or topic: there would be no others.
    pub(super) apart: Option<Arc<ApartQueue>>,
    pub(super) spool: Arc<SpoolHandle>,
    /// How many of its records are in flight.
    pub(super) in_flight: AtomicUsize,
    /// The log says that events queue here, and not yet that they don't any more.
    pub(super) was_logged: AtomicBool,
}

impl Destination {
    pub(super) fn new(
        (text, name): (&str, template::Destination),
        timed: SinkWithTimeout,
        spool: Option<Arc<SpoolHandle>>,
        share: Arc<AtomicUsize>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        let is_live = matches!(name, template::Destination::NatsCore(_));
        let has_names = name.template().has_variables();
        let text: Arc<str> = text.into();
        let disk = spool.filter(|_| !is_live).map(|spool| {
            let disk_queue = Arc::new(DiskQueue::new(spool.queue(&text)));
            let apart = has_names
                .then(|| ApartQueue::new(text.clone(), spool.apart(&text), health.clone()))
                .map(Arc::new);
            let (in_flight, was_logged) = (AtomicUsize::new(0), AtomicBool::new(false));
            OnDisk { disk_queue, apart, spool, in_flight, was_logged }
        });
        Self {
            text,
            name,
            sink: timed.sink,
            ack_timeout: timed.ack_timeout,
            keys: KeyedLock::default(),
            share,
            in_flight: AtomicUsize::new(0),
            circuit: Circuit::new(),
            is_live,
            disk,
            metrics,
            counters: OnceLock::new(),
            health,
        }
    }

    /// The configured text, which is also the metric label.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The topic or subject for these values.
    pub fn name(&self, vars: &Vars<'_>) -> String {
        match &self.name {
            template::Destination::Kafka(topic) => topic.render_topic(vars),
            template::Destination::Nats(subject) | template::Destination::NatsCore(subject) => {
                subject.render_subject(vars)
            }
        }
    }

    /// Publish a dead letter: an event that has no place in the order any more.
    pub async fn replay(&self, name: &str, event: &Event) -> Result<(), sink::Error> {
        self.send(name, event, Budget::now()).await?;
        self.metrics.dead_letter_replayed();
        Ok(())
    }

    /// Whether this event has to take the disk path. The caller has the turn of its key.
    fn disk_path(&self, name: &str, key: Option<&Arc<str>>) -> Option<DiskPath> {
        let OnDisk { disk_queue, apart, .. } = self.disk.as_ref()?;
        match disk_queue.ahead(key) {
            Ahead::Nothing => {}
            Ahead::Few if !self.circuit.is_open() => return Some(DiskPath::Behind),
            Ahead::Few | Ahead::Many => return Some(DiskPath::Queue),
        }
        match apart.as_ref().map_or(NameStatus::Open, |apart| apart.status(name, key)) {
            NameStatus::Open => {}
            NameStatus::Suspect => return Some(DiskPath::Queue),
            NameStatus::Apart => return Some(DiskPath::Apart(None)),
        }
        let is_known_dead =
            self.circuit.is_open() && (disk_queue.is_tried() || !self.circuit.probe());
        is_known_dead.then_some(DiskPath::Queue)
    }

    /// The disk path of an event that wasn't stored.
    fn disk_path_after(&self, name: &str, error: &sink::Error) -> DiskPath {
        let Some(apart) = self.apart().filter(|_| error.scope == Scope::Name) else {
            return DiskPath::Queue;
        };
        let is_certain = error.class == Class::Unavailable
            || apart.suspect(name, error.reason, Instant::now()).elapsed() >= UNCERTAIN_TIMEOUT;
        if is_certain { DiskPath::Apart(Some(error.reason)) } else { DiskPath::Queue }
    }

    /// Wait for the few events of its key that are queued, but not for long, and for no more than a part of its budget.
    /// The caller has the turn of its key.
    async fn released(&self, key: &Arc<str>, budget: Budget) {
        let Some(disk) = &self.disk else { return };
        let left = budget.deadline(self.ack_timeout).saturating_duration_since(Instant::now());
        disk.disk_queue.released(key, FEW_TIMEOUT.min(left / 4)).await;
    }

    /// The direct path, within its budget.
    async fn send(&self, name: &str, event: &Event, budget: Budget) -> Result<(), sink::Error> {
        let (deadline, start) = (budget.deadline(self.ack_timeout), Instant::now());
        if start >= deadline {
            self.metrics.publish_failed(&self.text, "queued");
            return Err(sink::Error::unavailable(
                "queued",
                "earlier events of its key took all its time",
            ));
        }
        let patience = match (self.is_live, &self.disk) {
            (true, _) => start,
            (false, Some(_)) => deadline.min(start + TRANSIENT_TIMEOUT),
            (false, None) => deadline,
        };
        loop {
            let error = match self.sink.send(name, event, deadline).await {
                Ok(()) => {
                    self.counters().published(start.elapsed(), event.trace.ids());
                    self.record_success();
                    if let Some(apart) = self.apart() {
                        apart.record_success(name);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            self.metrics.publish_failed(&self.text, error.reason);
            // A broker that is known to be gone isn't waited for where there is a disk; nor is a name that is blocked.
            let is_gone = error.reason == sink::DISCONNECTED && self.disk.is_some();
            let is_blocked = || {
                error.scope == Scope::Name
                    && self.apart().is_some_and(|apart| apart.is_blocked(name))
            };
            if error.class == Class::Transient
                && !is_gone
                && !is_blocked()
                && timeout_at(patience, self.sink.recovered()).await.is_ok()
            {
                continue;
            }
            let error = self.examined(name, error, deadline).await;
            self.record_failure(name, event, &error);
            return Err(error);
        }
    }

    /// What the broker says of a name that fails.
    pub(super) async fn examined(
        &self,
        name: &str,
        error: sink::Error,
        deadline: Instant,
    ) -> sink::Error {
        if error.scope == Scope::Name && error.class == Class::Transient && self.apart().is_some() {
            let deadline = deadline.min(Instant::now() + EXAMINE_TIMEOUT);
            return self.sink.examine(name, error, deadline).await;
        }
        error
    }

    pub(super) fn apart(&self) -> Option<&Arc<ApartQueue>> {
        self.disk.as_ref()?.apart.as_ref()
    }

    /// The disk path: take a place in its queue. `error` says why.
    fn queue(
        &self,
        path: DiskPath,
        name: &str,
        event: &Event,
        error: &'static str,
    ) -> Result<PendingAppend, Refusal> {
        let Some(OnDisk { disk_queue, apart, spool, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error));
        };
        let record = Record { name: name.into(), event: event.clone() };
        let append = match (path, apart) {
            (DiskPath::Apart(blocked), Some(apart)) => apart.begin(&record, blocked),
            _ => disk_queue.begin(&record),
        };
        append.map_err(|error| {
            spool.report_trouble(&error);
            self.not_stored(error.reason())
        })
    }

    async fn finish_append(&self, append: PendingAppend) -> Result<Receipt, Refusal> {
        let Some(OnDisk { spool, .. }) = &self.disk else {
            return Err(Refusal::NotStored("no-spool"));
        };
        match spool.wait_synced(append).await {
            Ok(()) => Ok(Receipt::Spooled),
            Err(error) => Err(self.not_stored(error.reason())),
        }
    }

    /// Keep what the broker will never take as a dead letter.
    async fn dead_letter(
        &self,
        name: &str,
        event: &Event,
        error: sink::Error,
    ) -> Result<Receipt, Refusal> {
        let Some(OnDisk { spool, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error.reason));
        };
        let record = Record { name: name.into(), event: event.clone() };
        match spool.dead_letter(&self.text, record, &error).await {
            Ok(()) => Ok(Receipt::DeadLettered),
            Err(error) => Err(self.not_stored(error.reason())),
        }
    }

    /// What is counted of it; exists from the first call on.
    pub(super) fn counters(&self) -> &DestinationMetrics {
        self.counters.get_or_init(|| {
            let reasons = REASONS.into_iter().chain(self.sink.reasons().iter().copied());
            self.metrics.destination(&self.text, reasons)
        })
    }

    /// Count an event that is accepted, unless it is for live views only.
    fn accepted(&self, receipt: Receipt) -> Receipt {
        if !self.is_live {
            self.counters().accepted(receipt);
        }
        receipt
    }

    /// Whether it is for live views, and keeps nothing.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    fn not_stored(&self, reason: &'static str) -> Refusal {
        self.metrics.publish_failed(&self.text, reason);
        Refusal::NotStored(reason)
    }

    /// Send nothing any more: events go to the disk, and what is there stays.
    pub(super) fn pause(&self) {
        self.circuit.pause();
    }

    /// How many records from the disk are in flight.
    pub(super) fn draining(&self) -> usize {
        self.disk.as_ref().map_or(0, |disk| disk.in_flight.load(Ordering::Relaxed))
    }

    /// Whether its circuit is open: it is known to fail.
    pub(super) fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.circuit.is_paused()
    }

    /// It stored an event.
    pub(super) fn record_success(&self) {
        if self.circuit.close() {
            self.health.clear(&self.text);
            if self.circuit.take_logged() {
                info!(destination = %self.text, "stores events again");
            }
        }
    }

    /// It didn't store an event. The first failure is logged as a warning, those that follow for debugging.
    pub(super) fn record_failure(&self, name: &str, event: &Event, error: &sink::Error) {
        let Event { id, endpoint, .. } = event;
        if let Some(apart) = self.apart().filter(|_| error.scope == Scope::Name) {
            // The destination may work for all others.
            if apart.should_log() {
                warn!(destination = %self.text, name, %id, %endpoint, %error, "events are not stored; they queue on disk");
            } else {
                debug!(destination = %self.text, name, %id, %endpoint, %error, "an event was not stored");
            }
            return;
        }
        if error.class == Class::Permanent {
            // A dead letter is logged when it is kept.
            if self.disk.is_none() {
                warn!(destination = %self.text, %id, %endpoint, %error, "an event can't be stored");
            }
            return;
        }
        let should_log = self.circuit.open();
        if error.reason != sink::DISCONNECTED {
            // That is what health says by itself, until the connection is back.
            self.health.report(&*self.text, error.to_string());
        }
        if should_log {
            if let Some(disk) = &self.disk {
                disk.was_logged.store(true, Ordering::Relaxed);
            }
            let then = if self.disk.is_some() { "they queue on disk" } else { "they are refused" };
            warn!(destination = %self.text, %id, %endpoint, %error, "events are not stored; {then}");
        } else {
            debug!(destination = %self.text, %id, %endpoint, %error, "an event was not stored");
        }
    }
}

/// A path over the disk.
#[derive(Debug, Clone, Copy)]
enum DiskPath {
    /// With all others, unless the few before it are published in a moment.
    Behind,
    /// With all others.
    Queue,
    /// Apart from them, with the reason why its name is known to take nothing from now on.
    Apart(Option<&'static str>),
}
