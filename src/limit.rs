//! Permits: how much is in flight, by count and by bytes, and how fast events come. Nobody ever waits for one.
//!
//! There are the limits of the process ([`Limits`]) and those of each endpoint ([`EndpointLimits`]); what passes the limits of an endpoint counts
//! in both. Questions have a pool of their own, and events may not hold all of the bytes: however many events come,
//! there is room for a question. Bodies whose sender isn't known before they are complete draw on none of these. All
//! limits can be set anew while they are in use.

mod pacer;
mod rate;
mod unverified;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

pub use self::pacer::Pacer;
use self::rate::Rate;
use self::unverified::{Room, Stranger};
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
    /// How many bodies of unknown senders there may be at an endpoint, and how large they may be together.
    unverified_most: AtomicUsize,
    unverified_most_bytes: AtomicUsize,
    /// How many there are at all endpoints.
    unverified: AtomicUsize,
    unverified_bytes: AtomicUsize,
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
            unverified_most: AtomicUsize::new(0),
            unverified_most_bytes: AtomicUsize::new(0),
            unverified: AtomicUsize::new(0),
            unverified_bytes: AtomicUsize::new(0),
        };
        limits.set(config);
        limits
    }

    /// Limits as configured now. What is in flight stays.
    pub fn set(&self, config: &Http) {
        self.reading.set(config.max_reading);
        self.unverified_most.store(config.max_reading, Ordering::Relaxed);
        self.unverified_most_bytes.store(config.unverified_bytes().get(), Ordering::Relaxed);
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
        let pools =
            [("reading", &self.reading), ("event", &self.events), ("question", &self.questions)];
        for (kind, pool) in pools {
            metrics.set_in_flight(kind, pool.held());
            metrics.set_in_flight_max(kind, pool.most());
        }
        metrics.set_in_flight("unverified", self.unverified.load(Ordering::Relaxed));
        metrics.set_unverified_bytes(self.unverified_bytes.load(Ordering::Relaxed));
        metrics.set_in_flight_bytes(self.bytes.held(), self.bytes.most());
    }
}

/// What admits the webhooks of one endpoint.
#[derive(Debug)]
pub struct EndpointLimits {
    all: Arc<Limits>,
    unverified: Arc<Room>,
    events: Arc<Pool>,
    questions: Arc<Pool>,
    rate: Rate,
}

impl EndpointLimits {
    /// The limits of an endpoint within those of the process.
    pub fn new(all: Arc<Limits>, config: &config::Endpoint) -> Self {
        let pool = |name| Arc::new(Pool::new(name));
        let limits = Self {
            unverified: Arc::new(Room::new(all.clone())),
            all,
            events: pool("events of this endpoint"),
            questions: pool("questions of this endpoint"),
            rate: Rate::default(),
        };
        limits.set(config);
        limits
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

    /// A place for a request whose body is to be read. Only a sender that is known draws on what others need.
    pub fn reading(&self, is_known: bool) -> Result<Reading, Refusal> {
        Ok(match is_known {
            true => Reading::Known(self.read()?, self.reservation()),
            false => Reading::Unknown(self.unverified.enter()),
        })
    }

    /// A body was read whose sender is known, by now at the latest.
    pub fn verified(
        &self,
        reading: Reading,
        bytes: usize,
    ) -> Result<(Permit, ByteReservation), Refusal> {
        match reading {
            Reading::Known(permit, reservation) => Ok((permit, reservation)),
            Reading::Unknown(_stranger) => {
                let (permit, mut reservation) = (self.read()?, self.reservation());
                reservation.grow(bytes)?;
                Ok((permit, reservation))
            }
        }
    }

    fn read(&self) -> Result<Permit, Refusal> {
        Ok(Permit { _all: PoolShare::take(&self.all.reading, 1)?, _own: None })
    }

    /// A place for an event that holds these bytes.
    pub fn event(&self, reservation: &mut ByteReservation) -> Result<Permit, Refusal> {
        let permit = Permit::both(&self.events, &self.all.events)?;
        reservation.as_event(&self.all.event_bytes)?;
        Ok(permit)
    }

    /// A place for a webhook that asks.
    pub fn question(&self) -> Result<Permit, Refusal> {
        Permit::both(&self.questions, &self.all.questions)
    }

    /// An empty reservation, to be grown as bytes arrive.
    pub fn reservation(&self) -> ByteReservation {
        ByteReservation { bytes: PoolShare::nothing(&self.all.bytes), event: None }
    }
}

/// A body that is being read.
#[derive(Debug)]
pub enum Reading {
    /// Its sender is known by its head.
    Known(Permit, ByteReservation),
    /// Its sender is known when it is complete, or never.
    #[expect(private_interfaces, reason = "whoever reads need not know")]
    Unknown(Stranger),
}

impl Reading {
    /// Whether the sender is known.
    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Known(..))
    }

    /// Hold this many bytes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self {
            Self::Known(_, reservation) => reservation.grow(bytes),
            Self::Unknown(stranger) => {
                stranger.grow(bytes);
                Ok(())
            }
        }
    }

    /// Wait for what comes next, as long as there is room to wait. The end is never held back: a body that is complete
    /// has its turn at once.
    pub async fn wait<T>(
        &mut self,
        next: impl Future<Output = Option<T>>,
    ) -> Result<Option<T>, Refusal> {
        let stranger = match self {
            Self::Known(..) => return Ok(next.await),
            Self::Unknown(stranger) => stranger,
        };
        let mut next = pin!(next);
        let mut came = None;
        poll_fn(|context| {
            if came.is_none() {
                match next.as_mut().poll(context) {
                    Poll::Ready(None) => return Poll::Ready(Ok(None)),
                    Poll::Ready(some) => came = some,
                    Poll::Pending => return stranger.poll_stay(context).map(Err),
                }
            }
            ready!(stranger.poll_turn(context))?;
            Poll::Ready(Ok(came.take()))
        })
        .await
    }
}

/// A place in the pools of an endpoint and of the process, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _all: PoolShare,
    _own: Option<PoolShare>,
}

impl Permit {
    fn both(own: &Arc<Pool>, all: &Arc<Pool>) -> Result<Self, Refusal> {
        let own = PoolShare::take(own, 1)?;
        Ok(Self { _all: PoolShare::take(all, 1)?, _own: Some(own) })
    }
}

/// Bytes that are held, given back when this is dropped.
#[derive(Debug)]
pub struct ByteReservation {
    bytes: PoolShare,
    /// The same bytes once more, if they are an event's.
    event: Option<PoolShare>,
}

impl ByteReservation {
    /// An empty one on the same pool.
    pub fn beside(&self) -> Self {
        Self { bytes: PoolShare::nothing(&self.bytes.pool), event: None }
    }

    /// Hold this many bytes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes.grow(bytes)
    }

    fn as_event(&mut self, pool: &Arc<Pool>) -> Result<(), Refusal> {
        self.event = Some(PoolShare::take(pool, self.bytes.count)?);
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

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A part of a pool, given back when it is dropped.
#[derive(Debug)]
struct PoolShare {
    pool: Arc<Pool>,
    count: usize,
}

impl PoolShare {
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

impl Drop for PoolShare {
    fn drop(&mut self) {
        self.pool.held.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
