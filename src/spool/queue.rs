//! What the others see of a queue: append, read, done.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::entry::{Appending, OnSynced};
use super::log::{Log, ReadPosition};
use super::record::{DeadLetter, Record, Stored};
use super::writer::Writer;
use super::{Error, Position};

/// The queue of one destination.
#[derive(Clone)]
pub struct Queue<T = Record> {
    destination: Arc<str>,
    pub(super) log: Arc<Log>,
    writer: Arc<Writer>,
    kind: PhantomData<fn() -> T>,
}

/// The dead letters: records that no destination takes.
pub type DeadLetters = Queue<DeadLetter>;

impl<T: Stored> Queue<T> {
    pub(super) fn new(log: Arc<Log>, writer: Arc<Writer>) -> Self {
        Self { destination: log.text(), log, writer, kind: PhantomData }
    }

    /// Take the next place for a record: the order of the calls is the order of the records.
    pub fn begin(&self, record: &T) -> Result<Appending, Error> {
        self.writer.begin(&self.log, record, None, false)
    }

    /// Keep a record; Ok means that it is synced.
    pub async fn append(&self, record: &T) -> Result<Position, Error> {
        self.begin(record)?.finish().await
    }

    /// Read from the oldest record on that isn't done.
    pub fn reader(&self) -> Reader<T> {
        Reader::new(self.log.clone())
    }

    /// A record needn't be kept any longer. Any order will do.
    pub fn done(&self, position: Position) {
        self.log.done(position);
    }

    /// The sequence of the next record; those that are there have lower ones.
    pub fn next(&self) -> u64 {
        self.log.next()
    }

    /// Whether it ever held something.
    pub fn is_used(&self) -> bool {
        self.log.is_used()
    }

    /// Records that are not done.
    pub fn len(&self) -> u64 {
        self.log.records()
    }

    /// Whether everything is done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on disk; those of done records are given back by the segment.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Since when the oldest record that isn't done has been waiting, or a little earlier.
    pub fn oldest(&self) -> Option<SystemTime> {
        self.log.oldest()
    }
}

impl Queue {
    /// The configured text of the destination.
    pub fn destination(&self) -> &Arc<str> {
        &self.destination
    }

    /// As [`Self::begin`], for a caller that has to know what becomes of the record even when it no longer waits for
    /// that: `on_synced` is called by the writer once it is synced, before anything else is told so, and dropped if it
    /// never will be.
    pub fn begin_with(&self, record: &Record, on_synced: OnSynced) -> Result<Appending, Error> {
        self.writer.begin(&self.log, record, Some(on_synced), false)
    }

    /// The same for a record of another queue, which is called done there as soon as it is kept here. There is room for
    /// some of them when there is none for others.
    pub fn begin_moved(&self, record: &Record, on_synced: OnSynced) -> Result<Appending, Error> {
        self.writer.begin(&self.log, record, Some(on_synced), true)
    }
}

impl DeadLetters {
    /// As [`Self::begin`], for a record of a queue, which is called done there as soon as it is kept here.
    pub fn begin_moved(&self, letter: &DeadLetter) -> Result<Appending, Error> {
        self.writer.begin(&self.log, letter, None, true)
    }
}

/// Goes through a queue from its oldest record on, once. Another one begins again with what isn't done by then.
pub struct Reader<T> {
    log: Arc<Log>,
    place: Option<ReadPosition>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Stored> Reader<T> {
    fn new(log: Arc<Log>) -> Self {
        Self { log, place: None, kind: PhantomData }
    }

    /// The next records, up to so many, or as soon as they hold so many bytes; none at the end. Nothing is missed when
    /// this is given up halfway.
    pub async fn read(&mut self, max: usize, bytes: usize) -> Result<Vec<(Position, T)>, Error> {
        let (log, mut place) = (self.log.clone(), self.place);
        let (sender, result) = oneshot::channel();
        let mut reading = move || {
            let mut records = Vec::new();
            // Only what can't be read at all may leave a part empty that isn't the last one.
            while records.is_empty() {
                let raw = log.read(&mut place, max.max(1), bytes)?;
                if raw.is_empty() {
                    break;
                }
                for raw in raw {
                    match T::read(raw.body.clone()) {
                        Some(record) => records.push((raw.position, record)),
                        None => log.unreadable(&raw),
                    }
                }
            }
            Ok((place, records))
        };
        // The waiter may be gone.
        let job = Box::new(move || drop(sender.send(reading())));
        self.log.disk().run(job).await;
        let failed = |error| Error::io("can't read the spool", error);
        // It says nothing if it panicked.
        let read = result.await.map_err(io::Error::other).and_then(|read| read);
        let (place, records) = read.map_err(failed)?;
        self.place = place;
        Ok(records)
    }

    /// Wait until there is something that wasn't read.
    pub async fn ready(&self) {
        let mut readable = self.log.readable();
        let is_ready = |_: &u64| self.log.has_more(self.place);
        // The sender lives as long as the log.
        let _ = readable.wait_for(is_ready).await;
    }
}
