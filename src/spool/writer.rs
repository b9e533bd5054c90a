//! The one task that writes, in a thread of its own: it takes all that waits, stores it queue by queue, and answers those who wait.
//!
//! While it syncs, others come; they share the next sync. That is the group commit.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::directory_lock::DirectoryLock;
use super::disk::{CountedDisk, Disk};
use super::log::Log;
use super::{Error, Position};

/// What may wait for the writer: more than this, and the disk is too slow for what comes.
const MAX_QUEUED_BYTES: u64 = 32 << 20;
/// How often finished segments are removed and cursors written.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// A record on its way to the disk.
pub(super) struct Entry {
    pub(super) log: Arc<Log>,
    pub(super) head: Vec<u8>,
    pub(super) payload: Bytes,
    pub(super) checksum: u32,
    /// What it takes on disk.
    pub(super) size: u64,
    pub(super) time: u64,
    pub(super) stored: oneshot::Sender<Result<Position, Error>>,
    /// Called once it is on disk; dropped when it is known that it won't be.
    pub(super) on_synced: Option<OnSynced>,
}

/// What is to happen once a record is on disk, however long ago somebody stopped waiting for that. The writer's thread
/// calls it; dropped uncalled, the record is not kept.
pub type OnSynced = Box<dyn FnOnce() + Send>;

/// What the queues of a spool have in common.
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
    waiting: Mutex<WriteQueue>,
    wake: Notify,
}

#[derive(Default)]
struct WriteQueue {
    entries: Vec<Entry>,
    /// Of the entries, and of those that are being written.
    bytes: u64,
    tidy: bool,
    stop: bool,
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
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// What is kept free for records that are moved: it takes a segment to give back another one, and half as much
    /// again for what they share with those that stay.
    pub(super) fn reserve(&self) -> u64 {
        (self.segment * 2).min(self.limit / 8)
    }

    /// Give an entry its place: what comes first is stored first. One that is only moved may take what is kept free.
    pub(super) fn enqueue(&self, entry: Entry, is_moved: bool) -> Result<(), Error> {
        if let Some(taken) = &*self.taken.lock() {
            return Err(taken.clone());
        }
        let size = entry.size;
        let limit = if is_moved { self.limit } else { self.limit - self.reserve() };
        let fits = |used: u64| used.checked_add(size).filter(|sum| *sum <= limit);
        let used = &self.used;
        if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Err(Error::Full);
        }
        let mut waiting = self.waiting.lock();
        let is_too_much = waiting.bytes > 0 && waiting.bytes + size > MAX_QUEUED_BYTES;
        if waiting.stop || is_too_much {
            self.release(size);
            return Err(if waiting.stop { Error::Closed } else { Error::Slow });
        }
        waiting.bytes += size;
        waiting.entries.push(entry);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
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
        self.waiting.lock().tidy = true;
        self.wake.notify_one();
    }

    /// Finish what waits, and end.
    pub(super) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.wake.notify_one();
    }

    /// Write until it is stopped.
    pub(super) async fn run(
        &self,
        logs: &Mutex<BTreeMap<String, Arc<Log>>>,
        directory_lock: &DirectoryLock,
    ) {
        let mut tidied = Instant::now();
        loop {
            let (entries, tidy, stop) = self.wait(tidied + TIDY_INTERVAL).await;
            let bytes = entries.iter().map(|entry| entry.size).sum::<u64>();
            for (log, entries) in by_log(entries) {
                log.store(entries).await;
            }
            self.waiting.lock().bytes -= bytes;
            let is_time = tidy || stop || tidied.elapsed() >= TIDY_INTERVAL;
            if tidied.elapsed() >= TIDY_INTERVAL {
                *self.taken.lock() = directory_lock.check();
                let logs: Vec<_> = logs.lock().values().cloned().collect();
                for log in logs {
                    log.check_files();
                }
            }
            if is_time && self.untidy.swap(false, Ordering::Relaxed) {
                let logs: Vec<_> = logs.lock().values().cloned().collect();
                for log in logs {
                    log.tidy();
                }
            }
            if is_time {
                tidied = Instant::now();
            }
            if stop {
                break;
            }
        }
        for log in logs.lock().values() {
            log.close();
        }
    }

    /// Take nothing more, and let those who wait know.
    fn abandon(&self) {
        let abandoned = {
            let mut waiting = self.waiting.lock();
            waiting.stop = true;
            waiting.bytes = 0;
            mem::take(&mut waiting.entries)
        };
        self.release(abandoned.iter().map(|entry| entry.size).sum());
    }

    async fn wait(&self, until: Instant) -> (Vec<Entry>, bool, bool) {
        loop {
            {
                let mut waiting = self.waiting.lock();
                if !waiting.entries.is_empty() || waiting.tidy || waiting.stop {
                    let entries = mem::take(&mut waiting.entries);
                    return (entries, mem::take(&mut waiting.tidy), waiting.stop);
                }
            }
            // One that came since is not missed: a wake that nobody waits for is kept.
            if timeout_at(until, self.wake.notified()).await.is_err() {
                return (Vec::new(), false, false);
            }
        }
    }
}

/// Ends the queue of the writer with the writer, even if that panics. What waits would wait until its time is over, and
/// stay in memory with the whole spool: an entry holds its log, and a log its volume.
pub(super) struct AbandonOnDrop(pub(super) Arc<Volume>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
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

/// The entries of each log, in their order. There are few logs.
fn by_log(entries: Vec<Entry>) -> Vec<(Arc<Log>, Vec<Entry>)> {
    let mut logs: Vec<(Arc<Log>, Vec<Entry>)> = Vec::new();
    for entry in entries {
        match logs.iter_mut().find(|(log, _)| Arc::ptr_eq(log, &entry.log)) {
            Some((_, entries)) => entries.push(entry),
            None => logs.push((entry.log.clone(), vec![entry])),
        }
    }
    logs
}
