//! Which partitions are ours, and what of them is here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::forward::stop::Stop;

/// Records of one partition that may wait here, and their bytes; then it is paused until they are fewer.
const FULL: (usize, usize) = (200, 8 << 20);
const LOW: (usize, usize) = (50, 2 << 20);

/// How long a partition is held back from another member while something of it is being posted.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The partitions of this member.
pub(super) struct Assignment {
    partitions: Mutex<HashMap<i32, Partition>>,
    /// Something was done with.
    settled: Condvar,
    /// Partitions of which there is little left.
    resume: mpsc::Sender<i32>,
}

#[derive(Default)]
struct Partition {
    stop: Stop,
    records: usize,
    bytes: usize,
    is_paused: bool,
}

/// One record of a partition, until it is done with.
pub(super) struct Ticket {
    assignment: Arc<Assignment>,
    stop: Stop,
    partition: i32,
    offset: i64,
    bytes: usize,
}

impl Ticket {
    /// Begins when the partition is to go to another member.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.offset
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.assignment.settle(self);
    }
}

impl Assignment {
    pub(super) fn new(resume: mpsc::Sender<i32>) -> Arc<Self> {
        Arc::new(Self { partitions: Mutex::default(), settled: Condvar::new(), resume })
    }

    /// A record came. Returns its ticket, and whether its partition has to be paused; nothing where the partition isn't
    /// ours any more.
    pub(super) fn take(
        self: &Arc<Self>,
        partition: i32,
        offset: i64,
        bytes: usize,
    ) -> Option<(Ticket, bool)> {
        let mut partitions = self.partitions.lock();
        let known = partitions.get_mut(&partition).filter(|known| !known.stop.has_begun())?;
        known.records += 1;
        known.bytes += bytes;
        let is_full = known.records >= FULL.0 || known.bytes >= FULL.1;
        let has_to_pause = is_full && !std::mem::replace(&mut known.is_paused, is_full);
        let (assignment, stop) = (self.clone(), known.stop.clone());
        Some((Ticket { assignment, stop, partition, offset, bytes }, has_to_pause))
    }

    fn settle(&self, ticket: &Ticket) {
        let mut partitions = self.partitions.lock();
        // It may have gone and come back, with another count.
        let known = partitions.get_mut(&ticket.partition);
        if let Some(known) = known.filter(|known| known.stop.is(&ticket.stop)) {
            known.records -= 1;
            known.bytes -= ticket.bytes;
            let is_low = known.records <= LOW.0 && known.bytes <= LOW.1;
            if known.is_paused && is_low && self.resume.try_send(ticket.partition).is_ok() {
                known.is_paused = false;
            }
        }
        drop(partitions);
        self.settled.notify_all();
    }

    fn assign(&self, all: impl Iterator<Item = i32>) {
        self.partitions.lock().extend(all.map(|partition| (partition, Partition::default())));
    }

    /// These go to other members: nothing more of them is posted, and what is being posted is waited for.
    fn revoke(&self, all: &[i32]) {
        let deadline = Instant::now() + REVOKE_TIMEOUT;
        let mut partitions = self.partitions.lock();
        for partition in all {
            if let Some(known) = partitions.get(partition) {
                known.stop.begin();
            }
        }
        let is_busy = |partitions: &HashMap<i32, Partition>| {
            all.iter().any(|one| partitions.get(one).is_some_and(|known| known.records > 0))
        };
        while is_busy(&partitions) {
            if self.settled.wait_until(&mut partitions, deadline).timed_out() {
                break;
            }
        }
        partitions.retain(|partition, _| !all.contains(partition));
    }

    /// The end: nothing more is posted.
    pub(super) fn stop_all(&self) {
        self.partitions.lock().values().for_each(|known| known.stop.begin());
    }
}

/// Hears of the group.
pub(super) struct Context(pub(super) Arc<Assignment>);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        warn!(%error, reason, "Kafka");
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "librdkafka");
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.0.assign(list.elements().iter().map(|one| one.partition()));
            }
            Rebalance::Revoke(list) => {
                let all: Vec<i32> = list.elements().iter().map(|one| one.partition()).collect();
                // Others on this thread have their turn on another one meanwhile.
                tokio::task::block_in_place(|| self.0.revoke(&all));
            }
            Rebalance::Error(error) => warn!(%error, "Kafka: the group can't be balanced"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_full_is_paused_until_it_is_nearly_empty() {
        let (resume, mut resumed) = mpsc::channel(8);
        let assignment = Assignment::new(resume);
        assert!(assignment.take(0, 0, 1).is_none());
        assignment.assign([0].into_iter());
        let taken: Vec<_> =
            (0..FULL.0 as i64 + 5).map(|offset| assignment.take(0, offset, 1).unwrap()).collect();
        let pauses: Vec<_> = taken.iter().map(|(_, has_to_pause)| *has_to_pause).collect();
        assert_eq!(pauses.iter().position(|pause| *pause), Some(FULL.0 - 1));
        assert_eq!(pauses.iter().filter(|pause| **pause).count(), 1);
        let mut tickets: Vec<_> = taken.into_iter().map(|(ticket, _)| ticket).collect();
        tickets.truncate(LOW.0 + 1);
        assert!(resumed.try_recv().is_err());
        tickets.pop();
        assert_eq!(resumed.try_recv(), Ok(0));
    }

    #[test]
    fn what_goes_is_waited_for_and_counts_no_more() {
        let (resume, _resumed) = mpsc::channel(8);
        let assignment = Assignment::new(resume);
        assignment.assign([0, 1].into_iter());
        let (ticket, _) = assignment.take(0, 7, 1).unwrap();
        let other = assignment.clone();
        let revoking = std::thread::spawn(move || other.revoke(&[0]));
        while !ticket.stop().has_begun() {
            std::thread::yield_now();
        }
        assert!(!revoking.is_finished());
        assert!(assignment.take(0, 8, 1).is_none());
        drop(ticket);
        revoking.join().unwrap();
        assert!(assignment.take(0, 8, 1).is_none());
        assert!(assignment.take(1, 0, 1).is_some());
        // It comes back, and begins anew.
        assignment.assign([0].into_iter());
        assert!(!assignment.take(0, 7, 1).unwrap().0.stop().has_begun());
    }
}
