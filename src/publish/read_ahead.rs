//! Records on their way from the disk to the broker: for each key one at a time, or one run of them; the others at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::spool::{Position, Record};

/// How many records are looked at, so that other keys are found behind those that wait.
const MAX_RECORDS: usize = 4_096;
/// How many bytes of payloads they may hold.
const MAX_BYTES: usize = 16 << 20;

/// How many records are looked at for one that goes elsewhere.
const MAX_SCANNED: usize = 256;

/// A record that was read, and is not done.
pub(super) struct QueuedRecord {
    pub(super) position: Position,
    pub(super) record: Record,
    /// It is to be sent by itself, since a run that began with it wasn't stored.
    pub(super) is_alone: bool,
}

impl QueuedRecord {
    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.record.event.key.as_ref()
    }

    pub(super) fn size(&self) -> usize {
        self.record.event.payload.len()
    }
}

/// What was read, in its order.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// Those behind a record of their key that is ready or in flight.
    lines: HashMap<Arc<str>, VecDeque<QueuedRecord>>,
    ready: VecDeque<QueuedRecord>,
    records: usize,
    bytes: usize,
}

impl ReadAhead {
    pub(super) fn has_room(&self) -> bool {
        // Small reads would cost more than they bring.
        self.records <= MAX_RECORDS / 2 && self.bytes <= MAX_BYTES / 2
    }

    /// How much may be read: records and bytes.
    pub(super) fn room(&self) -> (usize, usize) {
        ((MAX_RECORDS - self.records).max(1), (MAX_BYTES - self.bytes).max(1))
    }

    pub(super) fn add(&mut self, queued: QueuedRecord) {
        self.records += 1;
        self.bytes += queued.size();
        let Some(key) = queued.key().cloned() else {
            self.ready.push_back(queued);
            return;
        };
        match self.lines.get_mut(&key) {
            Some(line) => line.push_back(queued),
            None => {
                self.lines.insert(key, VecDeque::new());
                self.ready.push_back(queued);
            }
        }
    }

    /// A record that may be sent now; one that goes elsewhere than to what fails, if there is one near the front.
    pub(super) fn next(&mut self, failing: Option<&str>) -> Option<QueuedRecord> {
        let goes_elsewhere = |failing: &str| {
            let near = self.ready.iter().take(MAX_SCANNED);
            near.map(|queued| &queued.record.name).position(|name| **name != *failing)
        };
        let at = failing.and_then(goes_elsewhere).unwrap_or(0);
        self.ready.remove(at)
    }

    /// Some that were ready are so again, before all others.
    pub(super) fn put_back(
        &mut self,
        queued: impl IntoIterator<Item = QueuedRecord, IntoIter: DoubleEndedIterator>,
    ) {
        for queued in queued.into_iter().rev() {
            self.ready.push_front(queued);
        }
    }

    /// Whether a record of this key is ready or in flight, so that others wait behind it.
    pub(super) fn holds(&self, key: Option<&Arc<str>>) -> bool {
        key.is_some_and(|key| self.lines.contains_key(key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// One that was sent is to be sent again; after the others that are ready, so that it holds up no other key.
    pub(super) fn retry(&mut self, queued: QueuedRecord) {
        self.ready.push_back(queued);
    }

    /// Those right behind one that is about to be sent, of its key and name, to be sent with it. Until that has ended none of
    /// the key is ready.
    pub(super) fn run_behind(
        &mut self,
        first: &QueuedRecord,
        (max, max_bytes): (usize, usize),
    ) -> Vec<QueuedRecord> {
        let Some(line) = first.key().and_then(|key| self.lines.get_mut(key)) else {
            return Vec::new();
        };
        let mut bytes = first.size();
        let fits = |queued: &&QueuedRecord| {
            bytes += queued.size();
            bytes <= max_bytes && queued.record.name == first.record.name
        };
        let count = line.iter().take(max.saturating_sub(1)).take_while(fits).count();
        line.drain(..count).collect()
    }

    /// The first ones of a run are done, and the others are to be sent again: the first of those by itself.
    pub(super) fn run_ended(&mut self, done: &[QueuedRecord], rest: Vec<QueuedRecord>) {
        let mut rest = rest.into_iter();
        let Some(first) = rest.next() else {
            let Some((last, others)) = done.split_last() else { return };
            others.iter().for_each(|queued| self.leaves(queued));
            return self.done(last);
        };
        done.iter().for_each(|queued| self.leaves(queued));
        if let Some(line) = first.key().and_then(|key| self.lines.get_mut(key)) {
            for queued in rest.rev() {
                line.push_front(queued);
            }
        }
        self.ready.push_front(QueuedRecord { is_alone: true, ..first });
    }

    fn leaves(&mut self, queued: &QueuedRecord) {
        self.records -= 1;
        self.bytes -= queued.size();
    }

    /// One that was sent is done, or left for later: the next one of its key is ready.
    pub(super) fn done(&mut self, queued: &QueuedRecord) {
        self.leaves(queued);
        let Some(key) = queued.key() else { return };
        match self.lines.get_mut(key).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => {
                self.lines.remove(key);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
