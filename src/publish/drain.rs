//! Publishing what is queued on disk, in order, as soon as the broker takes it.
//!
//! Two queues, side by side: the one in which all events stand that could not be stored (`queued`), and the one of those
//! whose own subject or topic takes nothing (`apart`). In each, for each key one record at a time is unacknowledged, and
//! the others of the window are sent beside it. A record stays in its queue until it is acknowledged, kept as a dead
//! letter or in the other queue, so that nothing is lost however this ends. While the destination fails, one record at a
//! time is tried.

mod apart;
mod job;
mod pace;
mod queued;
mod resting;
mod source;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::watch;

use self::apart::Passes;
use self::job::{Job, Until};
use self::queued::Queued;
use super::apart::Apart;
use super::backlog::Taken;
use super::destination::Destination;
use crate::sink;

/// What is in flight at the same time: enough to keep a broker busy, few enough for live traffic to get through.
const RECORDS: usize = 256;
const BYTES: usize = 4 << 20;

/// What is counted at once, of what an earlier process left apart.
const COUNTED: (usize, usize) = (4_096, 4 << 20);

/// The pause after the disk couldn't be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Publish whatever is queued for a destination, now and later, as soon as nobody else does. Nothing for one that is not
/// kept on disk, or that this was begun for already.
pub(super) fn forever(destination: &Arc<Destination>) -> Option<impl Future<Output = ()> + use<>> {
    let turn = destination.disk.as_ref()?.backlog.follow()?;
    let job = Job::new(destination.clone(), Until::Stopped, Arc::default());
    Some(async move {
        let seat = turn.await;
        // Nothing ends it.
        let _ = run(job, &seat).await;
    })
}

/// Publish what is queued for a destination until nothing is, until it fails again and again, or until `stop` says so,
/// which waits for what is in flight. Nothing if it is being drained already.
pub(super) fn once(
    destination: &Arc<Destination>,
    tally: Arc<Tally>,
    stop: watch::Receiver<bool>,
) -> Option<Draining> {
    let seat = destination.disk.as_ref()?.backlog.sit_down()?;
    let job = Job::new(destination.clone(), Until::Empty(stop), tally);
    Some(Box::pin(async move { run(job, &seat).await }))
}

/// A drain that ends.
pub(super) type Draining = Pin<Box<dyn Future<Output = Result<(), sink::Error>> + Send>>;

/// What a drain has done.
#[derive(Default)]
pub(super) struct Tally {
    published: AtomicU64,
    dead_lettered: AtomicU64,
}

impl Tally {
    /// How many are published, and how many became dead letters.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.published.load(Ordering::Relaxed), self.dead_lettered.load(Ordering::Relaxed))
    }
}

/// How far the other queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    GoesOn,
    /// Nothing is left in it.
    Empty,
    /// It was given up.
    GivenUp,
}

async fn run(job: Job, seat: &Taken) -> Result<(), sink::Error> {
    let destination = job.destination.clone();
    let Some(disk) = &destination.disk else { return Ok(()) };
    let queued = Queued::new(job.clone(), disk, seat);
    let Some(apart) = &disk.apart else { return queued.run().await };
    // Before anything is sent: it is older than what else there is of its names and keys.
    count(&job, apart, seat).await?;
    let (progress, of_queued) = watch::channel(Progress::GoesOn);
    let queued = async {
        let result = queued.run().await;
        let progressed = if result.is_ok() { Progress::Empty } else { Progress::GivenUp };
        progress.send_replace(progressed);
        result
    };
    let passes = Passes::new(job, disk, apart, seat, of_queued);
    let (first, second) = join(queued, passes.run()).await;
    first.and(second)
}

/// Count what an earlier process left apart.
async fn count(job: &Job, apart: &Apart, seat: &Taken) -> Result<(), sink::Error> {
    if !apart.begin_counting() {
        return Ok(());
    }
    let mut reader = apart.reader(seat);
    let (records, bytes) = COUNTED;
    loop {
        if job.is_stopping() {
            // Whoever comes next begins anew.
            return Ok(());
        }
        match reader.read(records, bytes).await {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => apart.count_old(batch.iter().map(|(_, record)| record)),
            Err(error) => {
                job.unreadable(&error);
                if let Until::Empty(_) = job.until {
                    return Err(sink::Error::retry(error.reason(), error.to_string()));
                }
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
    }
    job.readable();
    apart.old_are_counted();
    Ok(())
}
