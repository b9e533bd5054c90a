//! The queue of a destination on disk, and which keys it holds.
//!
//! An event may be sent directly only while no event of its key is queued.

use std::array;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use super::key_table::{KeyHasher, KeyTable};
use crate::spool::{self, Appending, Position, Queue, Reader, Record};

/// So many queued events of a key may be published soon enough to wait for them. Were each event that comes meanwhile to
/// queue behind them, the queue of a busy key would never be empty, however fast it is drained.
const FEW: u32 = 32;

/// How long an event waits for them at the most, and how long ago the drain may have published something.
pub(super) const FEW_TIMEOUT: Duration = Duration::from_millis(500);

/// Among so many of them those who wait are shared out, so that a key that is released wakes few of the others.
const NOTIFIES: usize = 64;

/// What is queued before an event of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    Nothing,
    /// So few that they will be published in a moment, as it goes now.
    Few,
    /// Nobody knows when they will be published.
    Many,
}

pub(super) struct DiskQueue {
    queue: Queue,
    /// There may be something in it.
    is_active: AtomicBool,
    /// The drain can't read it.
    is_stuck: AtomicBool,
    /// The drain has nothing that it may send: all that is queued should wait apart, and the disk doesn't take it there.
    is_held_up: AtomicBool,
    /// Records below this sequence are of an earlier process, and their keys are unknown.
    first_own: u64,
    keys: Mutex<KeyIndex>,
    hasher: KeyHasher,
    /// Called when nothing of a bucket is queued any more: each for its share of the buckets.
    released: [Notify; NOTIFIES],
    drain_lock: Arc<AsyncMutex<DrainLock>>,
    /// Somebody publishes it, or waits to, for as long as the process lives.
    is_claimed: AtomicBool,
}

/// Only its holder gets a reader and may call records done: two at a time would publish everything twice, and break the
/// order.
pub(super) struct DrainLock(());

/// The lock, held until this is dropped.
pub(super) type DrainGuard = OwnedMutexGuard<DrainLock>;

#[derive(Default)]
struct KeyIndex {
    /// The keys of what is queued.
    table: KeyTable,
    /// Records that took their place, and are not known to be on disk yet.
    appending: usize,
    /// Records of an earlier process may be left.
    has_inherited: bool,
    /// When a record was done last.
    last_done: Option<Instant>,
    /// Buckets that were waited for in vain. Nobody waits for them again before nothing of them is queued: were each event
    /// of such a key to wait for its turn, those behind it would wait ever longer.
    slow: HashSet<usize>,
}

impl DiskQueue {
    pub(super) fn new(queue: Queue) -> Self {
        let has_inherited = !queue.is_empty();
        Self {
            is_active: AtomicBool::new(has_inherited),
            is_stuck: AtomicBool::new(false),
            is_held_up: AtomicBool::new(false),
            first_own: queue.next(),
            keys: Mutex::new(KeyIndex { has_inherited, ..KeyIndex::default() }),
            hasher: KeyHasher::default(),
            released: array::from_fn(|_| Notify::new()),
            queue,
            drain_lock: Arc::new(AsyncMutex::new(DrainLock(()))),
            is_claimed: AtomicBool::new(false),
        }
    }

    /// Lock it for the life of the process, as soon as it is free. Nothing if that was done before.
    pub(super) fn claim(&self) -> Option<impl Future<Output = DrainGuard> + use<>> {
        let is_claimed = self.is_claimed.swap(true, Ordering::Relaxed);
        (!is_claimed).then(|| self.drain_lock.clone().lock_owned())
    }

    /// Lock it for a while, if it is free and not claimed.
    pub(super) fn try_lock(&self) -> Option<DrainGuard> {
        let is_claimed = self.is_claimed.load(Ordering::Relaxed);
        self.drain_lock.clone().try_lock_owned().ok().filter(|_| !is_claimed)
    }

    /// Read it from its oldest record on.
    pub(super) fn reader(&self, _: &DrainGuard) -> Reader<Record> {
        self.queue.reader()
    }

    /// Records that are not done.
    pub(super) fn len(&self) -> u64 {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Since when the oldest record has been waiting, or a little earlier.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }

    /// What is queued before an event of this key. The caller holds the lock of the key.
    pub(super) fn ahead(&self, key: Option<&Arc<str>>) -> Ahead {
        // What made it active released the lock of this key before we got it.
        let (true, Some(key)) = (self.is_active.load(Ordering::Relaxed), key) else {
            return Ahead::Nothing;
        };
        let keys = self.keys.lock();
        let flows = || keys.last_done.is_some_and(|time| time.elapsed() < FEW_TIMEOUT);
        let bucket = self.hasher.bucket(key);
        match keys.table.count(bucket) {
            _ if keys.has_inherited => Ahead::Many,
            0 => Ahead::Nothing,
            1..=FEW if flows() && !keys.slow.contains(&bucket) => Ahead::Few,
            _ => Ahead::Many,
        }
    }

    /// Wait until nothing of this key is queued, but not for long. The caller holds the lock of the key.
    pub(super) async fn released(&self, key: &Arc<str>, limit: Duration) {
        let bucket = self.hasher.bucket(key);
        let released = async {
            loop {
                let released = self.released[bucket % NOTIFIES].notified();
                tokio::pin!(released);
                released.as_mut().enable();
                if self.ahead(Some(key)) == Ahead::Nothing {
                    return;
                }
                released.await;
            }
        };
        if timeout(limit, released).await.is_err() {
            let mut keys = self.keys.lock();
            if keys.table.count(bucket) > 0 {
                keys.slow.insert(bucket);
            }
        }
    }

    /// Whether somebody tries the destination with what is queued.
    pub(super) fn is_tried(&self) -> bool {
        let is_idle =
            self.is_stuck.load(Ordering::Relaxed) || self.is_held_up.load(Ordering::Relaxed);
        !self.queue.is_empty() && !is_idle
    }

    /// Whether the drain has nothing that it may send.
    pub(super) fn set_held_up(&self, is_held_up: bool) {
        self.is_held_up.store(is_held_up, Ordering::Relaxed);
    }

    /// The drain can't read it, or can again. Returns how it was before.
    pub(super) fn set_stuck(&self, is_stuck: bool) -> bool {
        self.is_stuck.swap(is_stuck, Ordering::Relaxed)
    }

    /// Take the next place. From now on later events of its key queue behind it.
    pub(super) fn begin(self: &Arc<Self>, record: &Record) -> Result<PendingAppend, spool::Error> {
        let bucket = record.event.key.as_ref().map(|key| self.hasher.bucket(key));
        {
            let mut keys = self.keys.lock();
            self.is_active.store(true, Ordering::Relaxed);
            keys.appending += 1;
            if let Some(bucket) = bucket {
                keys.table.add(bucket);
            }
        }
        let ticket = Ticket { disk_queue: self.clone(), bucket };
        self.queue.begin_with(record, Box::new(|| ticket.kept())).map(PendingAppend)
    }

    /// A record is published, or a dead letter: its queue needn't keep it.
    pub(super) fn done(&self, position: Position, key: Option<&Arc<str>>) {
        self.queue.done(position);
        let is_ours = position.sequence() >= self.first_own;
        let bucket = key.filter(|_| is_ours).map(|key| self.hasher.bucket(key));
        self.release(bucket, false);
    }

    /// Whether a record is of an earlier process.
    pub(super) fn is_inherited(&self, position: Position) -> bool {
        position.sequence() < self.first_own
    }

    /// Records that took their place, and are not known to be on disk yet.
    #[cfg(test)]
    pub(super) fn appending(&self) -> usize {
        self.keys.lock().appending
    }

    /// All records of earlier processes are done.
    pub(super) fn inherited_done(&self) {
        let mut keys = self.keys.lock();
        keys.has_inherited = false;
        self.deactivate_if_empty(&mut keys);
        self.released.iter().for_each(Notify::notify_waiters);
    }

    fn release(&self, bucket: Option<usize>, is_appended: bool) {
        let mut keys = self.keys.lock();
        if is_appended {
            keys.appending -= 1;
        } else {
            keys.last_done = Some(Instant::now());
        }
        if let Some(bucket) = bucket {
            keys.table.remove(bucket);
            if keys.table.count(bucket) == 0 {
                keys.slow.remove(&bucket);
                self.released[bucket % NOTIFIES].notify_waiters();
            }
        }
        self.deactivate_if_empty(&mut keys);
    }

    /// With nothing queued and nothing on its way there, events needn't look at the table.
    fn deactivate_if_empty(&self, keys: &mut KeyIndex) {
        if keys.appending == 0 && !keys.has_inherited && self.queue.is_empty() {
            keys.table.clear();
            keys.slow.clear();
            self.is_active.store(false, Ordering::Relaxed);
        }
    }
}

/// A record that has its place, and is on its way to the disk.
pub(super) struct PendingAppend(pub(super) Appending);

impl PendingAppend {
    /// Wait until it is synced, but not for long. What is given up may be kept all the same.
    pub(super) async fn finish(self) -> Result<(), spool::Error> {
        self.0.finish().await.map(drop)
    }

    /// Wait until it is synced or known not to be, however long that takes.
    pub(super) async fn resolved(self) -> Result<(), spool::Error> {
        self.0.resolved().await.map(drop)
    }
}

/// The place of a record in the counts while it is on its way to the disk. The spool has it, and ends it when the record
/// is there, or when it is certain that it won't be: the caller may give up long before.
struct Ticket {
    disk_queue: Arc<DiskQueue>,
    bucket: Option<usize>,
}

impl Ticket {
    /// It is on disk: its key counts as queued until it is done.
    fn kept(mut self) {
        self.bucket = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.disk_queue.release(self.bucket, true);
    }
}

#[cfg(test)]
mod tests;
