//! One configured destination: the short road to its broker, the long one over the disk, and which of them is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::backlog::{Backlog, Keeping};
use super::circuit::Circuit;
use super::lanes::Lanes;
use super::{Shelf, Timed};
use crate::message::{Event, Receipt, Refusal};
use crate::sink::{self, Class, Sink};
use crate::spool::Record;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::template::{self, Vars};

/// How long an event waits for the end of a [`Class::Blip`] when there is a disk that it can go to: two attempts
/// more, as ADR-22 has it.
const PATIENCE: Duration = Duration::from_millis(600);

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
    pub(super) shelf: Arc<Shelf>,
    /// How many of its records are in flight.
    pub(super) in_flight: AtomicUsize,
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
        let disk = shelf.filter(|_| !is_live).map(|shelf| {
            let backlog = Arc::new(Backlog::new(shelf.queue(text)));
            OnDisk { backlog, shelf, in_flight: AtomicUsize::new(0) }
        });
        Self {
            text: text.into(),
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

    /// Whether this event has to take the long road, if there is one. Whoever asks has the turn of its key.
    fn must_queue(&self, key: Option<&Arc<str>>) -> bool {
        let Some(OnDisk { backlog, .. }) = &self.disk else { return false };
        let is_known_dead =
            || self.circuit.is_open() && (backlog.is_tried() || !self.circuit.probe());
        backlog.holds(key) || is_known_dead()
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
                    return Ok(());
                }
                Err(error) => error,
            };
            self.metrics.publish_failed(&self.text, error.reason);
            // What is known to be gone isn't waited for if there is another road.
            let is_gone = error.reason == sink::DISCONNECTED && self.disk.is_some();
            if error.class != Class::Blip
                || is_gone
                || timeout_at(patience, self.sink.recovered()).await.is_err()
            {
                self.fails(event, &error);
                return Err(error);
            }
        }
    }

    /// The long road: take a place in the queue on disk. `error` says why.
    fn queue(&self, name: &str, event: &Event, error: &'static str) -> Result<Keeping, Refusal> {
        let Some(OnDisk { backlog, shelf, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error));
        };
        let record = Record { name: name.into(), event: event.clone() };
        backlog.begin(&record).map_err(|error| {
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

    /// Keep what the broker will never take.
    async fn park(
        &self,
        name: &str,
        event: &Event,
        error: sink::Error,
    ) -> Result<Receipt, Refusal> {
        let Some(OnDisk { shelf, .. }) = &self.disk else {
            return Err(Refusal::NotStored(error.reason));
        };
        let record = Record { name: name.into(), event: event.clone() };
        match shelf.park(&self.text, record, &error).await {
            Ok(()) => Ok(Receipt::Parked),
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
    pub(super) fn fails(&self, event: &Event, error: &sink::Error) {
        let Event { id, endpoint, .. } = event;
        if error.class == Class::Reject {
            // Whoever parks it says so.
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
            let then = if self.disk.is_some() { "they queue on disk" } else { "they are refused" };
            warn!(destination = %self.text, %id, %endpoint, %error, "events are not stored; {then}");
        } else {
            debug!(destination = %self.text, %id, %endpoint, %error, "an event was not stored");
        }
    }
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
        if !self.destination.must_queue(self.key.as_ref()) {
            return Way::Sends;
        }
        Way::Queues(self.queue(name, event, "queued"))
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
                    return destination.park(&name, event, error).await;
                }
                Err(error) => self.queue(&name, event, error.reason),
            },
        };
        destination.kept(keeping?).await
    }

    /// Take a place on disk; then the next one of this key may have its turn.
    fn queue(&mut self, name: &str, event: &Event, why: &'static str) -> Result<Keeping, Refusal> {
        let keeping = self.destination.queue(name, event, why);
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
