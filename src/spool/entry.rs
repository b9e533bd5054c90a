//! A record on its way to the disk, and the caller who waits for it.

use std::time::Duration;

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::record::Stored;
use super::{Error, Position, now, segment};

/// A record as the writer's thread gets it.
pub(super) struct Entry {
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

/// What is to happen once a record is on disk, however long ago the caller stopped waiting for that. The writer's thread
/// calls it; dropped uncalled, the record is not kept.
pub type OnSynced = Box<dyn FnOnce() + Send>;

impl Entry {
    /// The entry of a record, and what waits for it so long.
    pub(super) fn new(
        record: &impl Stored,
        on_synced: Option<OnSynced>,
        timeout: Duration,
    ) -> Result<(Self, Appending), Error> {
        let head = record.head();
        let payload = record.payload().clone();
        let checksum = crc32c_append(crc32c(&head), &payload);
        let length = head.len() + payload.len();
        if u32::try_from(length).is_err() {
            return Err(Error::Full);
        }
        let (stored, waiting) = oneshot::channel();
        let size = segment::size(length);
        let entry = Self { head, payload, checksum, size, time: now(), stored, on_synced };
        Ok((entry, Appending { stored: waiting, deadline: Instant::now() + timeout }))
    }
}

/// A record that has its place, and is on its way to the disk. Dropped early, it may be kept or not.
#[must_use = "it is not stored before it is finished"]
pub struct Appending {
    stored: oneshot::Receiver<Result<Position, Error>>,
    deadline: Instant,
}

impl Appending {
    /// Wait until it is synced.
    pub async fn finish(self) -> Result<Position, Error> {
        match timeout_at(self.deadline, self.stored).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Slow),
        }
    }

    /// Wait until it is synced or known not to be, however long that takes: for those who would do it again.
    pub async fn resolved(self) -> Result<Position, Error> {
        self.stored.await.unwrap_or(Err(Error::Closed))
    }
}
