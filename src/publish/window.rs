//! Records on their way from the disk to the broker: one at a time for each key, the others at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::spool::{Position, Record};

/// How many records are looked at, so that other keys are found behind those that wait.
const RECORDS: usize = 4_096;
/// How many bytes of payloads they may hold.
const BYTES: usize = 16 << 20;

/// How many records are looked at for one that goes elsewhere.
const NEAR: usize = 256;

/// A record that was read, and is not done.
pub(super) struct Waiting {
    pub(super) position: Position,
    pub(super) record: Record,
}

impl Waiting {
    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.record.event.key.as_ref()
    }

    pub(super) fn size(&self) -> usize {
        self.record.event.payload.len()
    }
}

/// What was read, in its order.
#[derive(Default)]
pub(super) struct Window {
    /// Those behind a record of their key that is ready or in flight.
    lines: HashMap<Arc<str>, VecDeque<Waiting>>,
    ready: VecDeque<Waiting>,
    records: usize,
    bytes: usize,
}

impl Window {
    pub(super) fn has_room(&self) -> bool {
        // Small reads would cost more than they bring.
        self.records <= RECORDS / 2 && self.bytes <= BYTES / 2
    }

    /// How much may be read: records and bytes.
    pub(super) fn room(&self) -> (usize, usize) {
        ((RECORDS - self.records).max(1), (BYTES - self.bytes).max(1))
    }

    pub(super) fn add(&mut self, waiting: Waiting) {
        self.records += 1;
        self.bytes += waiting.size();
        let Some(key) = waiting.key().cloned() else {
            self.ready.push_back(waiting);
            return;
        };
        match self.lines.get_mut(&key) {
            Some(line) => line.push_back(waiting),
            None => {
                self.lines.insert(key, VecDeque::new());
                self.ready.push_back(waiting);
            }
        }
    }

    /// A record that may be sent now; one that goes elsewhere than to what fails, if there is one near the front.
    pub(super) fn next(&mut self, failing: Option<&str>) -> Option<Waiting> {
        let goes_elsewhere = |failing: &str| {
            let near = self.ready.iter().take(NEAR);
            near.map(|waiting| &waiting.record.name).position(|name| **name != *failing)
        };
        let at = failing.and_then(goes_elsewhere).unwrap_or(0);
        self.ready.remove(at)
    }

    /// Some that were ready are so again, before all others.
    pub(super) fn put_back(
        &mut self,
        waiting: impl IntoIterator<Item = Waiting, IntoIter: DoubleEndedIterator>,
    ) {
        for waiting in waiting.into_iter().rev() {
            self.ready.push_front(waiting);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// One that was sent is to be sent again; after the others that are ready, so that it holds up no other key.
    pub(super) fn again(&mut self, waiting: Waiting) {
        self.ready.push_back(waiting);
    }

    /// One that was sent is done, or left for later: the next one of its key is ready.
    pub(super) fn done(&mut self, waiting: &Waiting) {
        self.records -= 1;
        self.bytes -= waiting.size();
        let Some(key) = waiting.key() else { return };
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
