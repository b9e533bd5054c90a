//! Permits: how much is in flight, by count and by bytes, and how fast events come. Nobody ever waits for one.
//!
//! There are the limits of the process ([`Limits`]) and those of each endpoint ([`Gate`]); what passes a gate counts
//! in both. Questions have a pool of their own, and events may not hold all of the bytes: however many events come,
//! there is room for a question. All limits can be set anew while they are in use.

mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::rate::Rate;
use crate::config::{self, Http};
use crate::message::Refusal;
use crate::telemetry::metrics::Metrics;

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    reading: Arc<Pool>,
    events: Arc<Pool>,
    questions: Arc<Pool>,
    bytes: Arc<Pool>,
    /// The part of the bytes that events may hold.
    event_bytes: Arc<Pool>,
}

impl Limits {
    /// Limits as configured.
    pub fn new(config: &Http) -> Self {
        let pool = |name| Arc::new(Pool::new(name));
        let limits = Self {
            reading: pool("requests being read"),
            events: pool("events"),
            questions: pool("questions"),
            bytes: pool("bytes in flight"),
            event_bytes: pool("bytes of events in flight"),
        };
        limits.set(config);
        limits
    }

    /// Limits as configured now. What is in flight stays.
    pub fn set(&self, config: &Http) {
        self.reading.set(config.max_reading);
        self.events.set(config.max_events);
        self.questions.set(config.max_questions);
        let bytes = config.max_in_flight_bytes.get();
        self.bytes.set(bytes);
        // But never so little that the largest body could not be an event.
        self.event_bytes.set((bytes - bytes / 4).max(config.max_body.get().min(bytes)));
    }

    /// Webhooks that are being handled now.
    pub fn in_flight(&self) -> usize {
        self.events.held() + self.questions.held()
    }

    /// Events that are being handled now.
    pub fn events_in_flight(&self) -> usize {
        self.events.held()
    }

    /// Write what is in flight into the metrics.
    pub fn report(&self, metrics: &Metrics) {
        metrics.set_in_flight("reading", self.reading.held());
        metrics.set_in_flight("event", self.events.held());
        metrics.set_in_flight("question", self.questions.held());
        metrics.set_in_flight_bytes(self.bytes.held());
    }
}

/// What admits the webhooks of one endpoint.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Limits>,
    events: Arc<Pool>,
    questions: Arc<Pool>,
    rate: Rate,
}

impl Gate {
    /// The limits of an endpoint within those of the process.
    pub fn new(all: Arc<Limits>, config: &config::Endpoint) -> Self {
        let pool = |name| Arc::new(Pool::new(name));
        let gate = Self {
            all,
            events: pool("events of this endpoint"),
            questions: pool("questions of this endpoint"),
            rate: Rate::default(),
        };
        gate.set(config);
        gate
    }

    /// Limits as configured now. What is in flight stays, and so does what the rate remembers unless it changes.
    pub fn set(&self, config: &config::Endpoint) {
        self.events.set(config.max_events.unwrap_or(usize::MAX));
        self.questions.set(config.max_questions.unwrap_or(usize::MAX));
        self.rate.set(config.rate_limit, config.rate_burst);
    }

    /// Whether an event doesn't come too soon after those before it.
    pub fn rate(&self) -> Result<(), Refusal> {
        self.rate.check()
    }

    /// A place for a request whose body is being read.
    pub fn reading(&self) -> Result<Permit, Refusal> {
        Ok(Permit { _all: Held::take(&self.all.reading, 1)?, _own: None })
    }

    /// A place for an event that holds these bytes.
    pub fn event(&self, charge: &mut Charge) -> Result<Permit, Refusal> {
        let permit = Permit::both(&self.events, &self.all.events)?;
        charge.as_event(&self.all.event_bytes)?;
        Ok(permit)
    }

    /// A place for a webhook that asks.
    pub fn question(&self) -> Result<Permit, Refusal> {
        Permit::both(&self.questions, &self.all.questions)
    }

    /// An empty charge, to be grown as bytes arrive.
    pub fn charge(&self) -> Charge {
        Charge { bytes: Held::nothing(&self.all.bytes), event: None }
    }
}

/// A place in the pools of an endpoint and of the process, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _all: Held,
    _own: Option<Held>,
}

impl Permit {
    fn both(own: &Arc<Pool>, all: &Arc<Pool>) -> Result<Self, Refusal> {
        let own = Held::take(own, 1)?;
        Ok(Self { _all: Held::take(all, 1)?, _own: Some(own) })
    }
}

/// Bytes that are held, given back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    bytes: Held,
    /// The same bytes once more, if they are an event's.
    event: Option<Held>,
}

impl Charge {
    /// An empty one on the same pool.
    pub fn beside(&self) -> Self {
        Self { bytes: Held::nothing(&self.bytes.pool), event: None }
    }

    /// Hold so many bytes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes.grow(bytes)
    }

    fn as_event(&mut self, pool: &Arc<Pool>) -> Result<(), Refusal> {
        self.event = Some(Held::take(pool, self.bytes.count)?);
        Ok(())
    }
}

/// How much there may be of something, and how much there is.
#[derive(Debug)]
struct Pool {
    name: &'static str,
    most: AtomicUsize,
    held: AtomicUsize,
}

impl Pool {
    fn new(name: &'static str) -> Self {
        Self { name, most: AtomicUsize::new(0), held: AtomicUsize::new(0) }
    }

    fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A part of a pool, given back when it is dropped.
#[derive(Debug)]
struct Held {
    pool: Arc<Pool>,
    count: usize,
}

impl Held {
    fn nothing(pool: &Arc<Pool>) -> Self {
        Self { pool: pool.clone(), count: 0 }
    }

    fn take(pool: &Arc<Pool>, count: usize) -> Result<Self, Refusal> {
        let mut held = Self::nothing(pool);
        held.grow(count)?;
        Ok(held)
    }

    fn grow(&mut self, count: usize) -> Result<(), Refusal> {
        let pool = &self.pool;
        let before = pool.held.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > pool.most.load(Ordering::Relaxed) {
            pool.held.fetch_sub(count, Ordering::Relaxed);
            return Err(Refusal::Overloaded(pool.name));
        }
        self.count += count;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.held.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
