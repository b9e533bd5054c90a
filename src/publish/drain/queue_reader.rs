//! The records of a queue as they come from the disk, and going back to its beginning.

use std::pin::Pin;

use futures_util::FutureExt as _;

use super::READ_RETRY_INTERVAL;
use crate::publish::read_ahead::{QueuedRecord, ReadAhead};
use crate::spool::{self, Position, Reader, Record};

type Batch = Result<Vec<(Position, Record)>, spool::Error>;
type Reading = Pin<Box<dyn Future<Output = (Reader<Record>, Batch, bool)> + Send>>;

/// A queue that is read.
pub(super) struct QueueReader {
    /// Nothing while it reads.
    reader: Option<Reader<Record>>,
    reading: Option<Reading>,
    pub(super) read_ahead: ReadAhead,
    /// Everything was read that was there a moment ago.
    pub(super) is_at_end: bool,
    /// Nothing is read or sent until nothing is in flight; then it begins again.
    pub(super) is_rewinding: bool,
}

impl QueueReader {
    pub(super) fn new(reader: Reader<Record>) -> Self {
        Self {
            reader: Some(reader),
            reading: None,
            read_ahead: ReadAhead::default(),
            is_at_end: false,
            is_rewinding: false,
        }
    }

    /// Begin to read, if there is room.
    pub(super) fn read(&mut self) {
        if self.read_ahead.has_room()
            && !self.is_rewinding
            && let Some(reader) = self.reader.take()
        {
            self.reading = Some(read(reader, self.read_ahead.room()));
        }
    }

    /// What was read, as soon as there is something.
    pub(super) async fn next(&mut self) -> Result<Vec<QueuedRecord>, spool::Error> {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let (reader, batch, is_at_end) = reading.await;
        (self.reader, self.reading) = (Some(reader), None);
        self.is_at_end = is_at_end;
        let queued = |(position, record)| QueuedRecord { position, record, is_alone: false };
        Ok(batch?.into_iter().map(queued).collect())
    }

    /// Begin again with the oldest record that isn't done, as soon as nothing is in flight.
    pub(super) fn rewind(&mut self) {
        self.is_rewinding = true;
        self.reading = None;
    }

    /// Whether it has just begun again.
    pub(super) fn rewound(
        &mut self,
        in_flight: usize,
        reader: impl FnOnce() -> Reader<Record>,
    ) -> bool {
        let is_ready = self.is_rewinding && in_flight == 0;
        if is_ready {
            *self = Self::new(reader());
        }
        is_ready
    }
}

/// The next records, as soon as there are some; and whether there are no more.
fn read(mut reader: Reader<Record>, (records, bytes): (usize, usize)) -> Reading {
    Box::pin(async move {
        reader.ready().await;
        let batch = reader.read(records, bytes).await;
        if batch.is_err() {
            tokio::time::sleep(READ_RETRY_INTERVAL).await;
        }
        let is_at_end = batch.is_ok() && reader.ready().now_or_never().is_none();
        (reader, batch, is_at_end)
    })
}

/// What comes of something that may not have begun.
pub(super) async fn ready<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
