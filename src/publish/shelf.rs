//! What is kept on disk, as this process sees it: its queues, what is parked, and whether the disk is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::backlog::Keeping;
use crate::message::Event;
use crate::sink;
use crate::spool::{self, Parked, Parking, Position, Queue, Record, Spool};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// How often a disk in trouble is tried.
const LOOK: Duration = Duration::from_secs(1);

/// The subject of the disk's problems in `/readyz`.
const SPOOL: &str = "spool";

/// The subject of what is lost of that which was kept. It stays until the end of the process: nobody can mend it.
const LOST: &str = "spool files";

/// The spool, and what is said of it.
pub struct Shelf {
    spool: Arc<Spool>,
    parking: Parking,
    is_troubled: AtomicBool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Shelf {
    /// A spool that is open.
    pub fn new(spool: Spool, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        health.set_can_keep(true);
        let parking = spool.parked();
        let is_troubled = AtomicBool::new(false);
        Self { spool: Arc::new(spool), parking, is_troubled, metrics, health }
    }

    /// The queue of a destination.
    pub(super) fn queue(&self, destination: &str) -> Queue {
        self.spool.queue(destination)
    }

    /// All queues, also those of destinations that are not configured any more.
    pub fn queues(&self) -> Vec<Queue> {
        self.spool.queues()
    }

    /// What no destination takes.
    pub fn parking(&self) -> &Parking {
        &self.parking
    }

    /// Wait until a record is synced.
    pub(super) async fn keep(&self, keeping: Keeping) -> Result<(), spool::Error> {
        let kept = keeping.finish().await;
        kept.inspect_err(|error| self.troubled(error))
    }

    /// Keep an event that `destination` will never take.
    pub(super) async fn park(
        &self,
        destination: &Arc<str>,
        record: Record,
        error: &sink::Error,
    ) -> Result<(), spool::Error> {
        let parked = parked(destination, record, error);
        let kept = match self.parking.begin(&parked) {
            Ok(parking) => parking.finish().await,
            Err(error) => Err(error),
        };
        self.is_parked(&parked, error, kept)
    }

    /// The same for one that is queued, and would be parked again if it weren't known what became of it: however long
    /// the disk takes.
    pub(super) async fn park_surely(
        &self,
        destination: &Arc<str>,
        record: Record,
        error: &sink::Error,
    ) -> Result<(), spool::Error> {
        let parked = parked(destination, record, error);
        let kept = match self.parking.begin(&parked) {
            Ok(parking) => parking.resolved().await,
            Err(error) => Err(error),
        };
        self.is_parked(&parked, error, kept)
    }

    fn is_parked(
        &self,
        parked: &Parked,
        error: &sink::Error,
        kept: Result<Position, spool::Error>,
    ) -> Result<(), spool::Error> {
        if let Err(error) = kept {
            self.troubled(&error);
            return Err(error);
        }
        let Event { id, endpoint, .. } = &parked.record.event;
        warn!(destination = %parked.destination, %id, %endpoint, %error, "an event was parked; see `hookbus replay --list`");
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
                let spool = self.spool.clone();
                if let Ok(probed) = tokio::task::spawn_blocking(move || spool.probe()).await {
                    // An event that was kept says less: a small one fits where the next doesn't.
                    probed.map_or_else(|error| self.troubled(&error), |()| self.well_again());
                }
            }
        }
    }

    /// Write what is kept into the metrics. A queue of nobody that was never used has no place there.
    pub(super) fn report(&self, is_configured: impl Fn(&str) -> bool) {
        let queues = self.spool.queues();
        for queue in &queues {
            if queue.is_used() || is_configured(queue.destination()) {
                self.metrics.set_spooled(queue.destination(), queue.len());
            }
        }
        let oldest = queues.iter().filter_map(Queue::oldest).min();
        let age = oldest.and_then(|oldest| SystemTime::now().duration_since(oldest).ok());
        self.metrics.set_spool(self.spool.bytes(), age.unwrap_or_default(), self.spool.damaged());
        self.metrics.set_parked(self.parking.len());
    }

    /// Finish what was begun, and let others have the directory. Blocks until that is on disk.
    pub fn close(&self) {
        self.spool.close();
    }
}

fn parked(destination: &Arc<str>, record: Record, error: &sink::Error) -> Parked {
    Parked {
        destination: destination.clone(),
        reason: error.reason.into(),
        detail: (*error.detail).into(),
        record,
    }
}
