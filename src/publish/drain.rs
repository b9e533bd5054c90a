//! Publishing what is queued on disk, in order, as soon as the broker takes it.
//!
//! Two queues, side by side: the one of all events that could not be stored (`main_drain`), and the one of those
//! whose own subject or topic takes nothing (`apart_drain`). In each, for each key one record at a time is unacknowledged
//! (or, in the first, a run of them where the sink keeps their order), and other keys that were read ahead are sent beside it. A record stays in its queue until it is acknowledged, kept as a
//! dead letter or in the other queue, so that nothing is lost however this ends. While the destination fails, one record
//! at a time is tried.

mod apart_drain;
mod job;
mod backoff;
mod main_drain;
mod name_retries;
mod queue_reader;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::watch;

use self::apart_drain::ApartDrain;
pub(super) use self::backoff::MAX_ATTEMPTS;
use self::job::{Job, Until};
use self::main_drain::MainDrain;
use super::apart_queue::ApartQueue;
use super::destination::Destination;
use super::disk_queue::DrainGuard;
use crate::sink;

/// Records in flight at the same time: enough to keep a broker busy, few enough for live traffic to get through.
const MAX_IN_FLIGHT: usize = 256;
const MAX_BYTES_IN_FLIGHT: usize = 4 << 20;

/// What is counted at once, of what an earlier process left apart.
const COUNT_BATCH: (usize, usize) = (4_096, 4 << 20);

/// The pause after the disk couldn't be read.
const READ_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Publish whatever is queued for a destination, now and later, as soon as nobody else does. Nothing for one that is not
/// kept on disk, or that this was begun for already.
pub(super) fn forever(destination: &Arc<Destination>) -> Option<impl Future<Output = ()> + use<>> {
    let turn = destination.disk.as_ref()?.disk_queue.claim()?;
    let job = Job::new(destination.clone(), Until::Stopped, Arc::default());
    Some(async move {
        let drain_lock = turn.await;
        // Nothing ends it.
        let _ = run(job, &drain_lock).await;
    })
}

/// Publish what is queued for a destination until nothing is, until it fails again and again, or until `stop` says so,
/// which waits for what is in flight. Nothing if it is being drained already.
pub(super) fn once(
    destination: &Arc<Destination>,
    counts: Arc<DrainCounts>,
    stop: watch::Receiver<bool>,
) -> Option<Draining> {
    let drain_lock = destination.disk.as_ref()?.disk_queue.try_lock()?;
    let job = Job::new(destination.clone(), Until::Empty(stop), counts);
    Some(Box::pin(async move { run(job, &drain_lock).await }))
}

/// A drain that ends.
pub(super) type Draining = Pin<Box<dyn Future<Output = Result<(), sink::Error>> + Send>>;

/// What a drain has done.
#[derive(Default)]
pub(super) struct DrainCounts {
    published: AtomicU64,
    dead_lettered: AtomicU64,
}

impl DrainCounts {
    /// How many are published, and how many became dead letters.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.published.load(Ordering::Relaxed), self.dead_lettered.load(Ordering::Relaxed))
    }
}

/// How far the other queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Running,
    /// Nothing is left in it.
    Empty,
    /// It was given up.
    GivenUp,
}

async fn run(job: Job, drain_lock: &DrainGuard) -> Result<(), sink::Error> {
    let destination = job.destination.clone();
    let Some(disk) = &destination.disk else { return Ok(()) };
    let queued = MainDrain::new(job.clone(), disk, drain_lock);
    let Some(apart) = &disk.apart else { return queued.run().await };
    // Before anything is sent: it is older than what else there is of its names and keys.
    count(&job, apart, drain_lock).await?;
    let (progress, main_progress) = watch::channel(Progress::Running);
    let queued = async {
        let result = queued.run().await;
        let progressed = if result.is_ok() { Progress::Empty } else { Progress::GivenUp };
        progress.send_replace(progressed);
        result
    };
    let passes = ApartDrain::new(job, disk, apart, drain_lock, main_progress);
    let (first, second) = join(queued, passes.run()).await;
    first.and(second)
}

/// Count what an earlier process left apart.
async fn count(job: &Job, apart: &ApartQueue, drain_lock: &DrainGuard) -> Result<(), sink::Error> {
    if !apart.begin_counting() {
        return Ok(());
    }
    let mut reader = apart.reader(drain_lock);
    let (records, bytes) = COUNT_BATCH;
    loop {
        if job.is_stopping() {
            // The next drain begins anew.
            return Ok(());
        }
        match reader.read(records, bytes).await {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => apart.count_old(batch.iter().map(|(_, record)| record)),
            Err(error) => {
                job.unreadable(&error);
                if let Until::Empty(_) = job.until {
                    return Err(sink::Error::unavailable(error.reason(), error.to_string()));
                }
                tokio::time::sleep(READ_RETRY_INTERVAL).await;
            }
        }
    }
    job.readable();
    apart.old_are_counted();
    Ok(())
}
