//! What the queues of a spool share: the disk, the room on it, and what went wrong.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Error;
use super::disk::{CountedDisk, Disk};

pub(super) struct Volume {
    pub(super) disk: CountedDisk,
    /// Bytes that all queues may take.
    pub(super) limit: u64,
    /// A segment of this size is followed by a new one.
    pub(super) segment: u64,
    pub(super) sync_timeout: Duration,
    /// Bytes that all queues take.
    pub(super) used: AtomicU64,
    /// How often something was set aside, and how many records vanished.
    pub(super) damaged: AtomicU64,
    pub(super) lost: Lost,
    /// Another process took the directory over.
    pub(super) taken: Mutex<Option<Error>>,
    /// Whether there is something to tidy up.
    untidy: AtomicBool,
    /// Whether that should be done now.
    is_urgent: AtomicBool,
    /// Wakes the writer.
    pub(super) wake: Notify,
}

impl Volume {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        limit: u64,
        segment: u64,
        sync_timeout: Duration,
    ) -> Self {
        Self {
            disk: CountedDisk::new(disk),
            limit,
            segment,
            sync_timeout,
            used: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            lost: Lost::default(),
            taken: Mutex::default(),
            untidy: AtomicBool::new(false),
            is_urgent: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// What is kept free for records that are moved: it takes a segment to give back another one, and half as much
    /// again for what they share with those that stay.
    pub(super) fn reserve(&self) -> u64 {
        (self.segment * 2).min(self.limit / 8)
    }

    /// Take bytes, if there are as many. A record that is only moved may take what is kept free.
    pub(super) fn take(&self, bytes: u64, is_moved: bool) -> Result<(), Error> {
        let limit = if is_moved { self.limit } else { self.limit - self.reserve() };
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(drop).map_err(|_| Error::Full)
    }

    /// Give bytes back.
    pub(super) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// There is something to tidy up, when there is time.
    pub(super) fn tidy_later(&self) {
        self.untidy.store(true, Ordering::Relaxed);
    }

    /// There is something to tidy up that gives bytes back.
    pub(super) fn tidy_soon(&self) {
        self.tidy_later();
        self.is_urgent.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether there is something to tidy up; asked once.
    pub(super) fn take_untidy(&self) -> bool {
        self.untidy.swap(false, Ordering::Relaxed)
    }

    /// Whether that gives bytes back; asked once.
    pub(super) fn take_urgent(&self) -> bool {
        self.is_urgent.swap(false, Ordering::Acquire)
    }
}

/// Events that were kept and are lost, as the operator is told.
#[derive(Default)]
pub(super) struct Lost(Mutex<(u64, String)>);

impl Lost {
    pub(super) fn add(&self, records: u64, why: impl Display) {
        let mut lost = self.0.lock();
        lost.0 += records;
        lost.1 = why.to_string();
    }

    /// What is lost since the start; nothing if nothing is.
    pub(super) fn text(&self) -> Option<String> {
        let (records, why) = &*self.0.lock();
        let events = if *records == 1 { "event that was" } else { "events that were" };
        let verb = if *records == 1 { "is" } else { "are" };
        (*records > 0).then(|| format!("{records} {events} kept on disk {verb} lost: {why}"))
    }
}
