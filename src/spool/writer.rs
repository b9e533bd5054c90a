//! The one task that writes, in a thread of its own: it takes all that waits, stores it queue by queue, and answers those who wait.
//!
//! While it syncs, others come; they share the next sync. That is the group commit.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

use super::Error;
use super::directory_lock::DirectoryLock;
use super::entry::{Appending, Entry, OnSynced};
use super::log::Log;
use super::record::Stored;
use super::volume::Volume;

/// What may wait for the writer: more than this, and the disk is too slow for what comes.
const MAX_QUEUED_BYTES: u64 = 32 << 20;
/// How often finished segments are removed and cursors written.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    volume: Arc<Volume>,
    waiting: Mutex<Waiting>,
}

/// What waits for the writer.
#[derive(Default)]
struct Waiting {
    entries: Vec<(Arc<Log>, Entry)>,
    /// Of the entries, and of those that are being written.
    bytes: u64,
    stop: bool,
}

impl Writer {
    pub(super) fn new(volume: Arc<Volume>) -> Self {
        Self { volume, waiting: Mutex::default() }
    }

    /// Take a place in a queue for a record; `on_synced` is called once it is synced, and dropped if it never will be. One
    /// that is moved has a place elsewhere, which it gives up then.
    pub(super) fn begin(
        &self,
        log: &Arc<Log>,
        record: &impl Stored,
        on_synced: Option<OnSynced>,
        is_moved: bool,
    ) -> Result<Appending, Error> {
        let (entry, appending) = Entry::new(record, on_synced, self.volume.sync_timeout)?;
        self.enqueue(log.clone(), entry, is_moved)?;
        Ok(appending)
    }

    /// Give an entry its place: what comes first is stored first.
    pub(super) fn enqueue(&self, log: Arc<Log>, entry: Entry, is_moved: bool) -> Result<(), Error> {
        if let Some(taken) = &*self.volume.taken.lock() {
            return Err(taken.clone());
        }
        let size = entry.size;
        self.volume.take(size, is_moved)?;
        let mut waiting = self.waiting.lock();
        let is_too_much = waiting.bytes > 0 && waiting.bytes + size > MAX_QUEUED_BYTES;
        if waiting.stop || is_too_much {
            self.volume.release(size);
            return Err(if waiting.stop { Error::Closed } else { Error::Slow });
        }
        waiting.bytes += size;
        waiting.entries.push((log, entry));
        drop(waiting);
        self.volume.wake.notify_one();
        Ok(())
    }

    /// Finish what waits, and end.
    pub(super) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.volume.wake.notify_one();
    }

    /// Write until it is stopped.
    pub(super) async fn run(
        &self,
        logs: &Mutex<BTreeMap<String, Arc<Log>>>,
        directory_lock: &DirectoryLock,
    ) {
        let (mut checked, mut tidied) = (Instant::now(), Instant::now());
        loop {
            let (entries, tidy, stop) = self.wait(checked.min(tidied) + TIDY_INTERVAL).await;
            let bytes = entries.iter().map(|(_, entry)| entry.size).sum::<u64>();
            for (log, entries) in by_log(entries) {
                log.store(entries).await;
            }
            self.waiting.lock().bytes -= bytes;
            let is_time = tidy || stop || tidied.elapsed() >= TIDY_INTERVAL;
            // Tidying up on demand comes as often as segments are done with, and puts this off no further.
            if checked.elapsed() >= TIDY_INTERVAL {
                checked = Instant::now();
                *self.volume.taken.lock() = directory_lock.check();
                let logs: Vec<_> = logs.lock().values().cloned().collect();
                for log in logs {
                    log.check_files();
                }
            }
            if is_time && self.volume.take_untidy() {
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
        self.volume.release(abandoned.iter().map(|(_, entry)| entry.size).sum());
    }

    async fn wait(&self, until: Instant) -> (Vec<(Arc<Log>, Entry)>, bool, bool) {
        loop {
            {
                let mut waiting = self.waiting.lock();
                let tidy = self.volume.take_urgent();
                if !waiting.entries.is_empty() || tidy || waiting.stop {
                    return (mem::take(&mut waiting.entries), tidy, waiting.stop);
                }
            }
            // One that came since is not missed: a wake that nobody waits for is kept.
            if timeout_at(until, self.volume.wake.notified()).await.is_err() {
                return (Vec::new(), false, false);
            }
        }
    }
}

/// Ends the queue of the writer with the writer, even if that panics: what waits would wait until its time is over.
pub(super) struct AbandonOnDrop(pub(super) Arc<Writer>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The entries of each log, in their order. There are few logs.
fn by_log(entries: Vec<(Arc<Log>, Entry)>) -> Vec<(Arc<Log>, Vec<Entry>)> {
    let mut logs: Vec<(Arc<Log>, Vec<Entry>)> = Vec::new();
    for (log, entry) in entries {
        match logs.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &log)) {
            Some((_, entries)) => entries.push(entry),
            None => logs.push((log, vec![entry])),
        }
    }
    logs
}
