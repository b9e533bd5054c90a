//! What is kept on disk, as this process sees it: its queues, the dead letters, and whether the disk is well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::backlog::Keeping;
use crate::message::Event;
use crate::sink;
use crate::spool::{self, DeadLetter, DeadLetters, Position, Queue, Record, Spool};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// How often a disk in trouble is tried.
const LOOK: Duration = Duration::from_secs(1);

/// The subject of the disk's problems in `/readyz`.
const SPOOL: &str = "spool";

/// The subject of what is lost of that which was kept. It stays until the end of the process: nobody can mend it.
const LOST: &str = "spool files";

/// What the text of a queue begins with that holds what waits apart; no destination does.
const APART: &str = "apart ";

/// The spool, and what is said of it.
pub struct Shelf {
    spool: Arc<Spool>,
    dead_letters: DeadLetters,
    is_troubled: AtomicBool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Shelf {
    /// A spool that is open.
    pub fn new(spool: Spool, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        health.set_can_keep(true);
        let dead_letters = spool.dead_letters();
        let is_troubled = AtomicBool::new(false);
        Self { spool: Arc::new(spool), dead_letters, is_troubled, metrics, health }
    }

    /// The queue of a destination.
    pub(super) fn queue(&self, destination: &str) -> Queue {
        self.spool.queue(destination)
    }

    /// The queue of those of its events whose own subject or topic takes nothing.
    pub(super) fn apart(&self, destination: &str) -> Queue {
        self.spool.queue(&format!("{APART}{destination}"))
    }

    /// What queues for each destination, also for those that are not configured any more.
    pub fn queued(&self) -> Vec<Queued> {
        let mut all: BTreeMap<Arc<str>, Queued> = BTreeMap::new();
        for queue in self.spool.queues() {
            let text = queue.destination();
            let apart = text.strip_prefix(APART);
            let destination: Arc<str> = apart.map_or_else(|| text.clone(), Into::into);
            let queued = all.entry(destination.clone()).or_insert_with(|| Queued {
                destination,
                queue: None,
                apart: None,
            });
            let place = if apart.is_some() { &mut queued.apart } else { &mut queued.queue };
            *place = Some(queue);
        }
        all.into_values().collect()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Wait until a record is synced.
    pub(super) async fn keep(&self, keeping: Keeping) -> Result<(), spool::Error> {
        let kept = keeping.finish().await;
        kept.inspect_err(|error| self.troubled(error))
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
            self.troubled(&error);
            return Err(error);
        }
        let Event { id, endpoint, .. } = &letter.record.event;
        warn!(destination = %letter.destination, %id, %endpoint, %error, "an event became a dead letter; see `hookbus dlq list`");
        Ok(())
    }

    /// The first trouble is said, and its end; between them, `/readyz` says it.
    pub(super) fn troubled(&self, error: &spool::Error) {
        if !self.is_troubled.swap(true, Ordering::Relaxed) {
            warn!(%error, "events can't be kept on disk");
        }
        self.health.report(SPOOL, error.to_string());
        self.health.set_can_keep(false);
    }

    fn well_again(&self) {
        info!("the spool keeps events again");
        self.is_troubled.store(false, Ordering::Relaxed);
        self.health.clear(SPOOL);
        self.health.set_can_keep(true);
    }

    /// Try a disk in trouble from time to time: without traffic nobody else would see that it is well again.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut time = interval(LOOK);
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            time.tick().await;
            let lost = self.spool.lost();
            if let Some(text) = lost.as_deref().filter(|_| lost != said) {
                self.health.report(LOST, text);
            }
            said = lost;
            if self.is_troubled.load(Ordering::Relaxed) {
                // An event that was kept says less: a small one fits where the next doesn't.
                let probed = self.spool.probe().await;
                probed.map_or_else(|error| self.troubled(&error), |()| self.well_again());
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
        let oldest = queued.iter().filter_map(Queued::oldest).min();
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
pub struct Queued {
    destination: Arc<str>,
    queue: Option<Queue>,
    apart: Option<Queue>,
}

impl Queued {
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
