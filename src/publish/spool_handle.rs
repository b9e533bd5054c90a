//! The spool as this process sees it: its queues, the dead letters, and whether the disk works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::disk_queue::PendingAppend;
use crate::message::Event;
use crate::sink;
use crate::spool::{self, DeadLetter, DeadLetters, Position, Queue, Record, Spool};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Time between two probes of a disk in trouble.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The subject of the disk's problems in `/readyz`.
const SPOOL_SUBJECT: &str = "spool";

/// The subject of what is lost of that which was kept. It stays until the end of the process: nobody can mend it.
const LOST_SUBJECT: &str = "spool files";

/// Prefix of the texts of queues of what waits apart; no destination has it.
const APART_PREFIX: &str = "apart ";

/// The spool, and what health and metrics show of it.
pub struct SpoolHandle {
    spool: Arc<Spool>,
    dead_letters: DeadLetters,
    has_trouble: AtomicBool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl SpoolHandle {
    /// A spool that is open.
    pub fn new(spool: Spool, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        health.set_can_keep(true);
        let dead_letters = spool.dead_letters();
        let queued: u64 = spool.queues().iter().map(Queue::len).sum();
        metrics.set_spool_found(queued + dead_letters.len());
        let has_trouble = AtomicBool::new(false);
        Self { spool: Arc::new(spool), dead_letters, has_trouble, metrics, health }
    }

    /// The queue of a destination.
    pub(super) fn queue(&self, destination: &str) -> Queue {
        self.spool.queue(destination)
    }

    /// The queue of those of its events whose own subject or topic takes nothing.
    pub(super) fn apart(&self, destination: &str) -> Queue {
        self.spool.queue(&format!("{APART_PREFIX}{destination}"))
    }

    /// What queues for each destination, also for those that are not configured any more.
    pub fn queued(&self) -> Vec<DestinationQueue> {
        let mut all: BTreeMap<Arc<str>, DestinationQueue> = BTreeMap::new();
        for queue in self.spool.queues() {
            let text = queue.destination();
            let apart = text.strip_prefix(APART_PREFIX);
            let destination: Arc<str> = apart.map_or_else(|| text.clone(), Into::into);
            let queued = all.entry(destination.clone()).or_insert_with(|| DestinationQueue {
                destination,
                queue: None,
                apart: None,
            });
            let place = if apart.is_some() { &mut queued.apart } else { &mut queued.queue };
            *place = Some(queue);
        }
        all.into_values().collect()
    }

    /// How often something was set aside since it was opened, and how many records vanished with their files.
    pub(super) fn damaged(&self) -> u64 {
        self.spool.damaged()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Wait until a record is synced.
    pub(super) async fn wait_synced(&self, append: PendingAppend) -> Result<(), spool::Error> {
        let kept = append.finish().await;
        kept.inspect_err(|error| self.report_trouble(error))
    }

    /// Keep an event that `destination` will never take as a dead letter.
    pub(super) async fn dead_letter(
        &self,
        destination: &Arc<str>,
        record: Record,
        error: &sink::Error,
    ) -> Result<(), spool::Error> {
        let letter = dead_letter(destination, record, error);
        let kept = match self.dead_letters.begin(&letter) {
            Ok(appending) => appending.finish().await,
            Err(error) => Err(error),
        };
        self.dead_lettered(&letter, error, kept)
    }

    /// The same for a queued event, however long the disk takes: if its end were unknown, it would become a second dead
    /// letter.
    pub(super) async fn dead_letter_queued(
        &self,
        destination: &Arc<str>,
        record: Record,
        error: &sink::Error,
    ) -> Result<(), spool::Error> {
        let letter = dead_letter(destination, record, error);
        let kept = match self.dead_letters.begin_moved(&letter) {
            Ok(appending) => appending.resolved().await,
            Err(error) => Err(error),
        };
        self.dead_lettered(&letter, error, kept)
    }

    fn dead_lettered(
        &self,
        letter: &DeadLetter,
        error: &sink::Error,
        kept: Result<Position, spool::Error>,
    ) -> Result<(), spool::Error> {
        if let Err(error) = kept {
            self.report_trouble(&error);
            return Err(error);
        }
        let Event { id, endpoint, .. } = &letter.record.event;
        warn!(destination = %letter.destination, %id, %endpoint, %error, "an event became a dead letter; see `hookbus dlq list`");
        Ok(())
    }

    /// The first trouble and its end are logged; between them, `/readyz` shows it.
    pub(super) fn report_trouble(&self, error: &spool::Error) {
        if !self.has_trouble.swap(true, Ordering::Relaxed) {
            warn!(%error, "events can't be kept on disk");
        }
        self.health.report(SPOOL_SUBJECT, error.to_string());
        self.health.set_can_keep(false);
    }

    fn clear_trouble(&self) {
        info!("the spool keeps events again");
        self.has_trouble.store(false, Ordering::Relaxed);
        self.health.clear(SPOOL_SUBJECT);
        self.health.set_can_keep(true);
    }

    /// Try a disk in trouble from time to time: without traffic nothing else would notice that it is well again.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut time = interval(POLL_INTERVAL);
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = None;
        loop {
            time.tick().await;
            let lost = self.spool.lost();
            if let Some(text) = lost.as_deref().filter(|_| lost != logged) {
                self.health.report(LOST_SUBJECT, text);
            }
            logged = lost;
            if self.has_trouble.load(Ordering::Relaxed) {
                // An event that was kept says less: a small one fits where the next doesn't.
                let probed = self.spool.probe().await;
                probed.map_or_else(|error| self.report_trouble(&error), |()| self.clear_trouble());
            }
        }
    }

    /// Write what is kept into the metrics. A queue of nobody that was never used has no place there.
    pub(super) fn report(&self, is_configured: impl Fn(&str) -> bool) {
        let queued = self.queued();
        for one in &queued {
            if one.is_used() || is_configured(&one.destination) {
                self.metrics.set_spooled(&one.destination, one.records(), one.apart());
            }
        }
        let oldest = queued.iter().filter_map(DestinationQueue::oldest).min();
        let age = oldest.and_then(|oldest| SystemTime::now().duration_since(oldest).ok());
        self.metrics.set_spool(self.spool.bytes(), age.unwrap_or_default(), self.spool.damaged());
        self.metrics.set_dead_letters(self.dead_letters.len());
    }

    /// Finish what was begun, and let others have the directory. Blocks until that is on disk.
    pub fn close(&self) {
        self.spool.close();
    }
}

fn dead_letter(destination: &Arc<str>, record: Record, error: &sink::Error) -> DeadLetter {
    DeadLetter {
        destination: destination.clone(),
        reason: error.reason.into(),
        detail: (*error.detail).into(),
        record,
    }
}

/// What queues for one destination.
pub struct DestinationQueue {
    destination: Arc<str>,
    queue: Option<Queue>,
    apart: Option<Queue>,
}

impl DestinationQueue {
    /// The configured text.
    pub fn destination(&self) -> &Arc<str> {
        &self.destination
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queue.iter().chain(&self.apart)
    }

    /// Whether there was ever something.
    fn is_used(&self) -> bool {
        self.queues().any(Queue::is_used)
    }

    /// How many events there are.
    pub fn records(&self) -> u64 {
        self.queues().map(Queue::len).sum()
    }

    /// How many of them wait apart, since their own subject or topic takes nothing.
    pub fn apart(&self) -> u64 {
        self.apart.as_ref().map_or(0, Queue::len)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.queues().map(Queue::bytes).sum()
    }

    /// Since when the oldest has been waiting.
    pub fn oldest(&self) -> Option<SystemTime> {
        self.queues().filter_map(Queue::oldest).min()
    }
}
