//! One configured destination: the short road to its broker, the long one over the disk, and which of them is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::apart::{Apart, Road, UNSURE};
use super::backlog::{Backlog, Keeping};
use super::circuit::Circuit;
use super::lanes::Lanes;
use super::{Shelf, Timed};
use crate::message::{Event, Receipt, Refusal};
use crate::sink::{self, Class, Scope, Sink};
use crate::spool::Record;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::template::{self, Vars};

/// How long an event waits for the end of a [`Class::Blip`] when there is a disk that it can go to: two attempts
/// more, as ADR-22 has it.
pub(super) const PATIENCE: Duration = Duration::from_millis(600);

/// How long the broker may take to say whether a subject or topic exists.
pub(super) const EXAMINE: Duration = Duration::from_secs(1);

/// One configured destination: one queue, one circuit, one share, one metric label.
pub struct Destination {
    text: Arc<str>,
    name: template::Destination,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) ack_timeout: Duration,
    pub(super) lanes: Lanes,
    pub(super) share: Arc<AtomicUsize>,
    in_flight: AtomicUsize,
    circuit: Circuit,
    /// For live views: whatever happens there holds up nobody, and nothing is kept for it.
    is_live: bool,
    pub(super) disk: Option<OnDisk>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
}

/// Where a destination's events wait for its broker.
pub(super) struct OnDisk {
    pub(super) backlog: Arc<Backlog>,
    /// Nothing where all events have the same subject or topic: there would be no others.
    pub(super) apart: Option<Arc<Apart>>,
    pub(super) shelf: Arc<Shelf>,
    /// How many of its records are in flight.
    pub(super) in_flight: AtomicUsize,
    /// The log says that events queue here, and not yet that they don't any more.
    pub(super) is_said: AtomicBool,
}

impl Destination {
    pub(super) fn new(
        (text, name): (&str, template::Destination),
        timed: Timed,
        shelf: Option<Arc<Shelf>>,
        share: Arc<AtomicUsize>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        let is_live = matches!(name, template::Destination::NatsCore(_));
        let has_names = name.template().has_variables();
        let text: Arc<str> = text.into();
        let disk = shelf.filter(|_| !is_live).map(|shelf| {
            let backlog = Arc::new(Backlog::new(shelf.queue(&text)));
            let apart = has_names
                .then(|| Apart::new(text.clone(), shelf.apart(&text), health.clone()))
                .map(Arc::new);
            let (in_flight, is_said) = (AtomicUsize::new(0), AtomicBool::new(false));
            OnDisk { backlog, apart, shelf, in_flight, is_said }
        });
        Self {
            text,
            name,
            sink: timed.sink,
            ack_timeout: timed.ack_timeout,
            lanes: Lanes::default(),
            share,
            in_flight: AtomicUsize::new(0),
            circuit: Circuit::new(),
            is_live,
            disk,
            metrics,
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

    /// Take a place, and a turn. What is called first is stored first.
    pub(super) fn enter(self: &Arc<Self>, key: Option<&Arc<str>>) -> Result<Place, Refusal> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut place = Place { destination: self.clone(), key: None, wait: None };
        if before >= self.share.load(Ordering::Relaxed) {
            self.metrics.publish_failed(&self.text, "overloaded");
            return Err(Refusal::Overloaded("events for one destination"));
        }
        if let Some(key) = key {
            place.wait = self.lanes.enter(key);
            place.key = Some(key.clone());
        }
        Ok(place)
    }

    /// Publish an event that has no place in the order any more.
    pub async fn replay(&self, name: &str, event: &Event) -> Result<(), sink::Error> {
        self.send(name, event, Instant::now()).await
    }

    /// Whether this event has to take a road over the disk. Whoever asks has the turn of its key.
    fn long_road(&self, name: &str, key: Option<&Arc<str>>) -> Option<Long> {
        let OnDisk { backlog, apart, .. } = self.disk.as_ref()?;
        if backlog.holds(key) {
            return Some(Long::Queue);
        }
        match apart.as_ref().map_or(Road::Free, |apart| apart.road(name, key)) {
            Road::Free => {}
            Road::Uncertain => return Some(Long::Queue),
            Road::Apart => return Some(Long::Apart(None)),
        }
        let is_known_dead = self.circuit.is_open() && (backlog.is_tried() || !self.circuit.probe());
        is_known_dead.then_some(Long::Queue)
    }

    /// The road of an event that wasn't stored.
    fn road_after(&self, name: &str, error: &sink::Error) -> Long {
        let Some(apart) = self.apart().filter(|_| error.scope == Scope::Name) else {
            return Long::Queue;
        };
        let is_certain = error.class == Class::Retry
            || apart.suspect(name, error.reason, Instant::now()).elapsed() >= UNSURE;
        if is_certain { Long::Apart(Some(error.reason)) } else { Long::Queue }
    }

    /// The short road, within the budget that began then.
    async fn send(&self, name: &str, event: &Event, began: Instant) -> Result<(), sink::Error> {
        let (deadline, start) = (began + self.ack_timeout, Instant::now());
        if start >= deadline {
            self.metrics.publish_failed(&self.text, "queued");
            return Err(sink::Error::retry(
                "queued",
                "earlier events of its key took all its time",
            ));
        }
        let patience = match (self.is_live, &self.disk) {
            (true, _) => start,
            (false, Some(_)) => deadline.min(start + PATIENCE),
            (false, None) => deadline,
        };
        loop {
            let error = match self.sink.send(name, event, deadline).await {
                Ok(()) => {
                    self.metrics.published(&self.text, start.elapsed());
                    self.works();
                    if let Some(apart) = self.apart() {
                        apart.works(name);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            self.metrics.publish_failed(&self.text, error.reason);
            // What is known to be gone isn't waited for if there is another road; nor is what others found to be.
            let is_gone = error.reason == sink::DISCONNECTED && self.disk.is_some();
            let is_blocked = || {
                error.scope == Scope::Name
                    && self.apart().is_some_and(|apart| apart.is_blocked(name))
            };
            if error.class == Class::Blip
                && !is_gone
                && !is_blocked()
                && timeout_at(patience, self.sink.recovered()).await.is_ok()
            {
                continue;
            }
            let error = self.examined(name, error, deadline).await;
            self.fails(name, event, &error);
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
        if error.scope == Scope::Name && error.class == Class::Blip && self.apart().is_some() {
            let deadline = deadline.min(Instant::now() + EXAMINE);
            return self.sink.examine(name, error, deadline).await;
        }
        error
    }

    pub(super) fn apart(&self) -> Option<&Arc<Apart>> {
        self.disk.as_ref()?.apart.as_ref()
    }

    /// A road over the disk: take a place there. `error` says why.
    fn queue(
        &self,
        road: Long,
        name: &str,
        event: &Event,
        error: &'static str,
    ) -> Result<Keeping, Refusal> {
        let Some(OnDisk { backlog, apart, shelf, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error));
        };
        let record = Record { name: name.into(), event: event.clone() };
        let keeping = match (road, apart) {
            (Long::Apart(blocked), Some(apart)) => apart.begin(&record, blocked),
            _ => backlog.begin(&record),
        };
        keeping.map_err(|error| {
            shelf.troubled(&error);
            self.not_kept(error.reason())
        })
    }

    async fn kept(&self, keeping: Keeping) -> Result<Receipt, Refusal> {
        let Some(OnDisk { shelf, .. }) = &self.disk else {
            return Err(Refusal::NotStored("no-spool"));
        };
        match shelf.keep(keeping).await {
            Ok(()) => Ok(Receipt::Spooled),
            Err(error) => Err(self.not_kept(error.reason())),
        }
    }

    /// Keep what the broker will never take as a dead letter.
    async fn dead_letter(
        &self,
        name: &str,
        event: &Event,
        error: sink::Error,
    ) -> Result<Receipt, Refusal> {
        let Some(OnDisk { shelf, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error.reason));
        };
        let record = Record { name: name.into(), event: event.clone() };
        match shelf.dead_letter(&self.text, record, &error).await {
            Ok(()) => Ok(Receipt::DeadLettered),
            Err(error) => Err(self.not_kept(error.reason())),
        }
    }

    fn not_kept(&self, reason: &'static str) -> Refusal {
        self.metrics.publish_failed(&self.text, reason);
        Refusal::NotStored(reason)
    }

    /// Nothing is tried any more.
    pub(super) fn hold(&self) {
        self.circuit.hold();
    }

    /// How many records from the disk are in flight.
    pub(super) fn draining(&self) -> usize {
        self.disk.as_ref().map_or(0, |disk| disk.in_flight.load(Ordering::Relaxed))
    }

    /// Whether it is known not to work.
    pub(super) fn is_dead(&self) -> bool {
        self.circuit.is_open()
    }

    pub(super) fn is_held(&self) -> bool {
        self.circuit.is_held()
    }

    pub(super) fn works(&self) {
        if self.circuit.close() {
            self.health.clear(&self.text);
            if self.circuit.unsay() {
                info!(destination = %self.text, "stores events again");
            }
        }
    }

    /// The first failure is a warning, the following ones are for those who look closely.
    pub(super) fn fails(&self, name: &str, event: &Event, error: &sink::Error) {
        let Event { id, endpoint, .. } = event;
        if let Some(apart) = self.apart().filter(|_| error.scope == Scope::Name) {
            // The destination may work for all others.
            if apart.is_news() {
                warn!(destination = %self.text, name, %id, %endpoint, %error, "events are not stored; they queue on disk");
            } else {
                debug!(destination = %self.text, name, %id, %endpoint, %error, "an event was not stored");
            }
            return;
        }
        if error.class == Class::Reject {
            // A dead letter is logged when it is kept.
            if self.disk.is_none() {
                warn!(destination = %self.text, %id, %endpoint, %error, "an event can't be stored");
            }
            return;
        }
        let is_news = self.circuit.open();
        if error.reason != sink::DISCONNECTED {
            // That is what health says by itself, until the connection is back.
            self.health.report(&*self.text, error.to_string());
        }
        if is_news {
            if let Some(disk) = &self.disk {
                disk.is_said.store(true, Ordering::Relaxed);
            }
            let then = if self.disk.is_some() { "they queue on disk" } else { "they are refused" };
            warn!(destination = %self.text, %id, %endpoint, %error, "events are not stored; {then}");
        } else {
            debug!(destination = %self.text, %id, %endpoint, %error, "an event was not stored");
        }
    }
}

/// A road over the disk.
#[derive(Debug, Clone, Copy)]
enum Long {
    /// With all others.
    Queue,
    /// Apart from them, with the reason why its name is known to take nothing from now on.
    Apart(Option<&'static str>),
}

/// The road that an event was put on when it came.
pub(super) enum Way {
    /// Earlier events of its key are under way.
    Waits,
    /// It may be sent.
    Sends,
    /// It has its place in the queue, or there is none for it.
    Queues(Result<Keeping, Refusal>),
}

/// A place at a destination, and in the line of its key; given up when it is dropped.
pub(super) struct Place {
    destination: Arc<Destination>,
    key: Option<Arc<str>>,
    wait: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// What has to queue does so at once, in the order of the calls.
    pub(super) fn choose(&mut self, name: &str, event: &Event) -> Way {
        if self.wait.is_some() {
            return Way::Waits;
        }
        match self.destination.long_road(name, self.key.as_ref()) {
            None => Way::Sends,
            Some(road) => Way::Queues(self.queue(road, name, event, "queued")),
        }
    }

    /// Store an event by whichever road is open, beginning with the one that was chosen.
    pub(super) async fn store(
        mut self,
        mut way: Way,
        name: String,
        event: &Event,
        began: Instant,
    ) -> Result<Receipt, Refusal> {
        let destination = self.destination.clone();
        if let Way::Waits = way {
            // Those before have budgets that end before ours.
            self.turn().await;
            way = self.choose(&name, event);
        }
        let keeping = match way {
            Way::Queues(keeping) => keeping,
            Way::Waits | Way::Sends => match destination.send(&name, event, began).await {
                Ok(()) => return Ok(Receipt::Stored),
                Err(error) if destination.is_live => {
                    debug!(destination = %destination.text, id = %event.id, %error, "a live view misses an event");
                    return Ok(Receipt::Stored);
                }
                Err(error) if error.class == Class::Reject => {
                    self.leave();
                    return destination.dead_letter(&name, event, error).await;
                }
                Err(error) => {
                    let road = destination.road_after(&name, &error);
                    self.queue(road, &name, event, error.reason)
                }
            },
        };
        destination.kept(keeping?).await
    }

    /// Take a place on disk; then the next one of this key may have its turn.
    fn queue(
        &mut self,
        road: Long,
        name: &str,
        event: &Event,
        why: &'static str,
    ) -> Result<Keeping, Refusal> {
        let keeping = self.destination.queue(road, name, event, why);
        self.leave();
        keeping
    }

    async fn turn(&mut self) {
        if let Some(wait) = &mut self.wait {
            // Whoever leaves calls the next one, even if it failed.
            let _ = wait.await;
            self.wait = None;
        }
    }

    /// Let the next one of this key have its turn.
    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let is_our_turn = self.wait.take().is_none_or(|mut wait| {
            // The call may come at this very moment; then it must be passed on.
            wait.close();
            wait.try_recv().is_ok()
        });
        if is_our_turn {
            self.destination.lanes.leave(&key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.destination.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.leave();
    }
}
