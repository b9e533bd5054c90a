//! How fast a queue is drained: as fast as the broker takes it, and one record at a time while that fails.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};
use tracing::warn;

use super::MAX_IN_FLIGHT;
use super::job::Job;
use crate::publish::destination::Destination;
use crate::sink::{self, Class};
use crate::spool;

/// Attempts in a row that a destination may fail before a drain that ends gives it up.
pub(in crate::publish) const MAX_ATTEMPTS: u32 = 3;
/// How long such a drain waits for a connection before it tries without one.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The pauses between attempts while something fails.
pub(super) const MIN_BACKOFF: Duration = Duration::from_millis(100);
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// Time between two warnings that it still fails.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(60);

pub(super) type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Backoff {
    /// How many records may be in flight.
    pub(super) max_in_flight: usize,
    pub(super) pause: Option<Pause>,
    /// The length of the next pause.
    next: Duration,
    /// Since the queue was empty.
    pub(super) has_failed: bool,
    /// How many records were published since then, and when the first of them was.
    run: Option<(u64, Instant)>,
    /// When the log said last that it fails.
    last_logged: Instant,
    /// Attempts in a row that failed.
    failures: u32,
    /// The topic or subject of the last of them.
    pub(super) failing: Option<Arc<str>>,
}

impl Backoff {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            max_in_flight: 1,
            // What was left by an earlier process waits for the first connection.
            pause: Some(Box::pin(recovered(job.destination.clone(), job.ends()))),
            next: MIN_BACKOFF,
            has_failed: false,
            run: None,
            last_logged: Instant::now(),
            failures: 0,
            failing: None,
        }
    }

    /// A record was published.
    pub(super) fn record_published(&mut self) {
        self.reset();
        self.run.get_or_insert_with(|| (0, Instant::now())).0 += 1;
    }

    /// Whether one record is tried, since nothing was published since something failed.
    pub(super) fn is_cautious(&self) -> bool {
        self.max_in_flight == 1
    }

    /// The queue is empty: how many records were published since it wasn't, and in how many seconds.
    pub(super) fn end_run(&mut self) -> (u64, f64) {
        let run = self.run.take();
        run.map_or((0, 0.0), |(count, began)| (count, began.elapsed().as_secs_f64()))
    }

    /// Something was acknowledged.
    pub(super) fn reset(&mut self) {
        self.max_in_flight = MAX_IN_FLIGHT;
        self.next = MIN_BACKOFF;
        self.failures = 0;
        self.failing = None;
    }

    /// An attempt failed. A drain that ends is given up when that happens again and again.
    pub(super) fn record_attempt(
        &mut self,
        job: &Job,
        error: sink::Error,
    ) -> Result<sink::Error, sink::Error> {
        self.failures += 1;
        if job.ends() && self.failures >= MAX_ATTEMPTS { Err(error) } else { Ok(error) }
    }

    /// The disk was read, or couldn't be, which is an attempt that failed. Returns what was read.
    pub(super) fn record_read<T>(
        &mut self,
        job: &Job,
        read: Result<T, spool::Error>,
    ) -> Result<Option<T>, sink::Error> {
        match read {
            Ok(read) => {
                job.readable();
                Ok(Some(read))
            }
            Err(error) => {
                job.unreadable(&error);
                let error = sink::Error::unavailable(error.reason(), error.to_string());
                self.record_attempt(job, error).map(|_| None)
            }
        }
    }

    /// The destination failed with this name: try it again after a while.
    pub(super) fn back_off(
        &mut self,
        job: &Job,
        name: &Arc<str>,
        error: sink::Error,
        (records, oldest): (u64, Option<SystemTime>),
    ) {
        if self.max_in_flight > 1 {
            self.last_logged = Instant::now();
        } else if self.last_logged.elapsed() >= LOG_INTERVAL {
            self.last_logged = Instant::now();
            warn!(destination = %job.destination.text(), %error, records, seconds = age(oldest), "events still queue on disk");
        }
        (self.max_in_flight, self.has_failed) = (1, true);
        self.failing = Some(name.clone());
        if self.pause.is_some() {
            return;
        }
        let (destination, ends, time) = (job.destination.clone(), job.ends(), self.next);
        self.next = (self.next * 2).min(MAX_BACKOFF);
        self.pause = Some(Box::pin(async move {
            tokio::time::sleep(time).await;
            if error.class == Class::Transient {
                recovered(destination, ends).await;
            }
        }));
    }
}

/// How many seconds ago that was.
pub(super) fn age(oldest: Option<SystemTime>) -> u64 {
    let age = oldest.and_then(|time| SystemTime::now().duration_since(time).ok());
    age.unwrap_or_default().as_secs()
}

/// Wait until it is worth trying again; for long only in a drain that doesn't end.
async fn recovered(destination: Arc<Destination>, ends: bool) {
    // Then, so long that the log repeats it from time to time; else the next attempt says what is wrong.
    let limit = if ends { RECOVERY_TIMEOUT } else { LOG_INTERVAL };
    drop(timeout(limit, destination.sink.recovered()).await);
}

#[cfg(test)]
mod tests;
