//! What both queues of a drain have in common: for whom it is, until when, and what becomes of an attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::DrainCounts;
use crate::message::Event;
use crate::publish::destination::{Destination, OnDisk, TRANSIENT_TIMEOUT};
use crate::publish::read_ahead::QueuedRecord;
use crate::sink::{self, Class, Scope};
use crate::spool;

/// What is to be done.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) destination: Arc<Destination>,
    pub(super) until: Until,
    pub(super) counts: Arc<DrainCounts>,
    /// The queue can't be read, which was logged.
    is_stuck: Arc<AtomicBool>,
}

#[derive(Clone)]
pub(super) enum Until {
    Stopped,
    /// Somebody waits for the end, and may end it early.
    Empty(watch::Receiver<bool>),
}

/// Who is asked about a name that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Examine {
    /// The broker, once it has failed for longer than a moment.
    Broker,
    /// Nobody: it waits apart already.
    Never,
}

/// An attempt that ended.
pub(super) struct Attempt {
    pub(super) queued: QueuedRecord,
    began: Instant,
    result: Result<(), sink::Error>,
}

/// A run that ended: records of one key that were sent together, and how many of them, from the first one on, are stored.
pub(super) struct Run {
    pub(super) queued: Vec<QueuedRecord>,
    pub(super) stored: usize,
}

/// What became of an attempt.
pub(super) enum AttemptResult {
    /// It is published, or a dead letter.
    Done(QueuedRecord),
    /// Its subject or topic takes nothing.
    NameFails(QueuedRecord, sink::Error),
    /// The destination fails.
    Fails(QueuedRecord, sink::Error),
}

impl Job {
    pub(super) fn new(
        destination: Arc<Destination>,
        until: Until,
        counts: Arc<DrainCounts>,
    ) -> Self {
        Self { destination, until, counts, is_stuck: Arc::default() }
    }

    /// Whether somebody waits for the end.
    pub(super) fn ends(&self) -> bool {
        matches!(self.until, Until::Empty(_))
    }

    /// Whether it is to end early.
    pub(super) fn is_stopping(&self) -> bool {
        match &self.until {
            Until::Stopped => false,
            Until::Empty(stop) => *stop.borrow(),
        }
    }

    /// Wait to be told to end early.
    pub(super) async fn stop_requested(&mut self) {
        if let Until::Empty(stop) = &mut self.until
            && !*stop.borrow()
            && stop.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Whether something may be sent at all.
    pub(super) fn may_send(&self) -> bool {
        !self.is_stopping() && !self.destination.is_paused()
    }

    /// Send a record, and wait for what comes of it.
    pub(super) async fn send(
        destination: Arc<Destination>,
        queued: QueuedRecord,
        examine: Examine,
    ) -> Attempt {
        let began = Instant::now();
        let deadline = began + destination.ack_timeout;
        let (name, event) = (queued.record.name.clone(), &queued.record.event);
        let mut result = destination.sink.send(&name, event, deadline).await;
        if let Err(error) = &result
            && examine == Examine::Broker
            && error.scope == Scope::Name
            && error.class == Class::Transient
            && let Some(apart) = destination.apart()
            && apart.suspect(&name, error.reason, began).elapsed() >= TRANSIENT_TIMEOUT
        {
            result = Err(destination.examined(&name, error.clone(), deadline).await);
        }
        Attempt { queued, began, result }
    }

    /// Send records of one key and name as a run. Each leaves the queue as soon as it is stored.
    pub(super) async fn send_run(self, queued: Vec<QueuedRecord>) -> Run {
        let (began, mut stored) = (Instant::now(), 0);
        let destination = &self.destination;
        if let (Some(first), Some(pipeline), Some(disk)) =
            (queued.first(), destination.sink.pipeline(), &destination.disk)
        {
            let events: Vec<&Event> = queued.iter().map(|queued| &queued.record.event).collect();
            let deadline = began + destination.ack_timeout;
            let mut left = queued.iter();
            let mut acknowledged = || {
                self.published(began.elapsed());
                if let Some(queued) = left.next() {
                    disk.disk_queue.done(queued.position, queued.key());
                }
            };
            stored = pipeline.send(&first.record.name, &events, deadline, &mut acknowledged).await;
        }
        Run { queued, stored }
    }

    /// A record is stored, so long after its attempt began.
    pub(super) fn published(&self, took: Duration) {
        let destination = &self.destination;
        destination.counters().published(took, None);
        destination.counters().drained();
        destination.record_success();
        self.counts.published.fetch_add(1, Ordering::Relaxed);
    }

    /// The result of an attempt, and what to log of it.
    pub(super) async fn settle(&self, disk: &OnDisk, attempt: Attempt) -> AttemptResult {
        let Attempt { queued, began, result } = attempt;
        let destination = &self.destination;
        let error = match result {
            Ok(()) => {
                self.published(began.elapsed());
                return AttemptResult::Done(queued);
            }
            Err(error) => error,
        };
        destination.metrics.publish_failed(destination.text(), error.reason);
        destination.record_failure(&queued.record.name, &queued.record.event, &error);
        if error.class == Class::Permanent {
            let record = queued.record.clone();
            if disk.spool.dead_letter_queued(destination.text(), record, &error).await.is_ok() {
                destination.counters().drained_dead_lettered();
                self.counts.dead_lettered.fetch_add(1, Ordering::Relaxed);
                return AttemptResult::Done(queued);
            }
        } else if error.scope == Scope::Name && disk.apart.is_some() {
            return AttemptResult::NameFails(queued, error);
        }
        AttemptResult::Fails(queued, error)
    }

    /// The disk can't be read: logged the first time, and in `/readyz` all the time.
    pub(super) fn unreadable(&self, error: &spool::Error) {
        let destination = &self.destination;
        if let Some(disk) = &destination.disk
            && !self.is_stuck.swap(true, Ordering::Relaxed)
        {
            disk.disk_queue.set_stuck(true);
            warn!(destination = %destination.text(), %error, "events on disk can't be read; retrying");
        }
        destination.health.report(self.subject(), error.to_string());
    }

    /// It can be read again.
    pub(super) fn readable(&self) {
        if self.is_stuck.load(Ordering::Relaxed) && self.is_stuck.swap(false, Ordering::Relaxed) {
            if let Some(disk) = &self.destination.disk {
                disk.disk_queue.set_stuck(false);
            }
            self.destination.health.clear(&self.subject());
        }
    }

    /// The subject in `/readyz` of queues that can't be read.
    fn subject(&self) -> String {
        format!("queue of {}", self.destination.text())
    }
}

/// How many records of a queue are in flight, added to those of the other one.
pub(super) struct InFlight<'a> {
    all: &'a AtomicUsize,
    ours: usize,
}

impl<'a> InFlight<'a> {
    pub(super) fn new(disk: &'a OnDisk) -> Self {
        Self { all: &disk.in_flight, ours: 0 }
    }

    pub(super) fn set(&mut self, count: usize) {
        self.all.fetch_add(count, Ordering::Relaxed);
        self.all.fetch_sub(self.ours, Ordering::Relaxed);
        self.ours = count;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_added_up() {
        let all = AtomicUsize::new(5);
        let sum = || all.load(Ordering::Relaxed);
        let mut ours = InFlight { all: &all, ours: 0 };
        for (count, expected) in [(3, 8), (1, 6), (4, 9)] {
            ours.set(count);
            assert_eq!(sum(), expected);
        }
        drop(ours);
        assert_eq!(sum(), 5);
    }
}
