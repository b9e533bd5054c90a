//! Permits: how much is in flight, by count and by bytes. Nobody ever waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Http;
use crate::message::Refusal;
use crate::telemetry::metrics::Metrics;

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    reading: Pool,
    events: Pool,
    questions: Pool,
    bytes: Arc<Bytes>,
}

/// A place in one of the pools, given back when it is dropped.
pub type Permit = OwnedSemaphorePermit;

#[derive(Debug)]
struct Pool {
    name: &'static str,
    size: usize,
    free: Arc<Semaphore>,
}

impl Pool {
    fn new(name: &'static str, size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { name, size, free: Arc::new(Semaphore::new(size)) }
    }

    fn take(&self) -> Result<Permit, Refusal> {
        self.free.clone().try_acquire_owned().map_err(|_| Refusal::Overloaded(self.name))
    }

    fn taken(&self) -> usize {
        self.size - self.free.available_permits()
    }
}

#[derive(Debug)]
struct Bytes {
    most: usize,
    held: AtomicUsize,
}

impl Limits {
    /// Limits as configured.
    pub fn new(config: &Http) -> Self {
        Self {
            reading: Pool::new("requests being read", config.max_reading),
            events: Pool::new("events", config.max_events),
            questions: Pool::new("questions", config.max_questions),
            bytes: Arc::new(Bytes {
                most: config.max_in_flight_bytes.get(),
                held: AtomicUsize::new(0),
            }),
        }
    }

    /// A place for a request whose body is being read.
    pub fn reading(&self) -> Result<Permit, Refusal> {
        self.reading.take()
    }

    /// A place for an event.
    pub fn event(&self) -> Result<Permit, Refusal> {
        self.events.take()
    }

    /// A place for a webhook that asks.
    pub fn question(&self) -> Result<Permit, Refusal> {
        self.questions.take()
    }

    /// An empty charge, to be grown as bytes arrive.
    pub fn charge(&self) -> Charge {
        Charge { pool: self.bytes.clone(), bytes: 0 }
    }

    /// Webhooks that are being handled now.
    pub fn in_flight(&self) -> usize {
        self.events.taken() + self.questions.taken()
    }

    /// Write what is in flight into the metrics.
    pub fn report(&self, metrics: &Metrics) {
        metrics.set_in_flight("reading", self.reading.taken());
        metrics.set_in_flight("event", self.events.taken());
        metrics.set_in_flight("question", self.questions.taken());
        metrics.set_in_flight_bytes(self.bytes.held.load(Ordering::Relaxed));
    }
}

/// Bytes that are held, given back when this is dropped.
#[derive(Debug)]
pub struct Charge {
    pool: Arc<Bytes>,
    bytes: usize,
}

impl Charge {
    /// Hold so many bytes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.pool.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.pool.most {
            self.pool.held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Refusal::Overloaded("bytes in flight"));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::config::units::Size;

    #[test]
    fn each_pool_has_its_own_places() {
        let limits = Limits::new(&Http { max_events: 1, max_questions: 1, ..Http::default() });
        let first = limits.event().unwrap();
        assert_eq!(limits.event().unwrap_err(), Refusal::Overloaded("events"));
        let _question = limits.question().unwrap();
        assert_eq!(limits.in_flight(), 2);
        drop(first);
        assert!(limits.event().is_ok());
    }

    #[test]
    fn bytes_are_given_back() {
        let limits = Limits::new(&Http { max_in_flight_bytes: Size::mib(1), ..Http::default() });
        let mut charge = limits.charge();
        charge.grow(1 << 20).unwrap();
        let mut other = limits.charge();
        assert!(other.grow(1).is_err());
        drop(charge);
        other.grow(1 << 20).unwrap();
    }
}
