//! Names that take nothing now, and are tried again from time to time with one record of each.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{MAX_BACKOFF, MIN_BACKOFF};
use crate::publish::read_ahead::QueuedRecord;
use crate::spool::Position;

/// All names that wait for their next attempt.
#[derive(Default)]
pub(super) struct NameRetries {
    by_name: HashMap<Arc<str>, NameRetry>,
    due: BTreeSet<(Instant, Arc<str>)>,
    bytes: usize,
    /// How many are tried at once, whenever they are due: something was mended.
    hurried: usize,
}

struct NameRetry {
    /// The first one is tried; the others have the same name.
    records: VecDeque<QueuedRecord>,
    due: Instant,
    /// The pause after the next attempt.
    next: Duration,
    /// Attempts that failed.
    attempts: u32,
    /// Which one is being tried.
    tried: Option<Position>,
}

impl NameRetries {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Bytes of all payloads.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Add a record: one that was tried in vain as the first of its name, any other behind those.
    pub(super) fn add(&mut self, queued: QueuedRecord) {
        self.bytes += queued.size();
        let name = queued.record.name.clone();
        let retry = self.by_name.entry(name.clone()).or_insert_with(|| {
            let due = Instant::now() + MIN_BACKOFF;
            self.due.insert((due, name.clone()));
            NameRetry {
                records: VecDeque::new(),
                due,
                next: MIN_BACKOFF * 2,
                attempts: 0,
                tried: None,
            }
        });
        if retry.tried != Some(queued.position) {
            retry.records.push_back(queued);
            return;
        }
        retry.records.push_front(queued);
        retry.tried = None;
        retry.attempts += 1;
        retry.due = Instant::now() + retry.next;
        retry.next = (retry.next * 2).min(MAX_BACKOFF);
        self.due.insert((retry.due, name));
    }

    /// Whether it is this record that its name is being tried with.
    pub(super) fn is_tried(&self, queued: &QueuedRecord) -> bool {
        let retry = self.by_name.get(&queued.record.name);
        retry.is_some_and(|retry| retry.tried == Some(queued.position))
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        Some(if self.hurried > 0 { Instant::now() } else { *due })
    }

    /// Let all be tried as soon as possible.
    pub(super) fn hurry(&mut self) {
        self.hurried = self.due.len();
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.hurried > 0
    }

    /// The first record of a name that is due; it is to be given back by [`Self::retry`] or [`Self::end`].
    pub(super) fn try_next(&mut self) -> Option<QueuedRecord> {
        let (due, name) = self.due.first()?.clone();
        if self.hurried == 0 && due > Instant::now() {
            return None;
        }
        self.hurried = self.hurried.saturating_sub(1);
        self.due.pop_first();
        let retry = self.by_name.get_mut(&name)?;
        let queued = retry.records.pop_front()?;
        retry.tried = Some(queued.position);
        self.bytes -= queued.size();
        Some(queued)
    }

    /// A name is no longer tried: its records, without one that is being tried now.
    pub(super) fn end(&mut self, name: &Arc<str>) -> VecDeque<QueuedRecord> {
        let Some(retry) = self.by_name.remove(name) else { return VecDeque::new() };
        self.due.remove(&(retry.due, name.clone()));
        self.bytes -= retry.records.iter().map(QueuedRecord::size).sum::<usize>();
        retry.records
    }

    /// Whether each was tried in vain.
    pub(super) fn are_all_tried(&self) -> bool {
        self.by_name.values().all(|retry| retry.attempts > 0 && retry.tried.is_none())
    }
}

#[cfg(test)]
mod tests;
