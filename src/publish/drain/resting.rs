//! Names that take nothing now, and are tried again from time to time with one record of each.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{LONGEST, SHORTEST};
use crate::publish::window::Waiting;
use crate::spool::Position;

/// All that rest.
#[derive(Default)]
pub(super) struct Resting {
    by_name: HashMap<Arc<str>, Rest>,
    due: BTreeSet<(Instant, Arc<str>)>,
    bytes: usize,
    /// So many are tried at once, whenever they are due: something was mended.
    hurried: usize,
}

struct Rest {
    /// The first one is tried; the others have the same name.
    waiting: VecDeque<Waiting>,
    due: Instant,
    /// The pause after the next attempt.
    next: Duration,
    /// Attempts that failed.
    attempts: u32,
    /// Which one is being tried.
    tried: Option<Position>,
}

impl Resting {
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

    /// Let a record rest: one that was tried in vain as the first of its name, any other behind those.
    pub(super) fn rest(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        let name = waiting.record.name.clone();
        let rest = self.by_name.entry(name.clone()).or_insert_with(|| {
            let due = Instant::now() + SHORTEST;
            self.due.insert((due, name.clone()));
            Rest { waiting: VecDeque::new(), due, next: SHORTEST * 2, attempts: 0, tried: None }
        });
        if rest.tried != Some(waiting.position) {
            rest.waiting.push_back(waiting);
            return;
        }
        rest.waiting.push_front(waiting);
        rest.tried = None;
        rest.attempts += 1;
        rest.due = Instant::now() + rest.next;
        rest.next = (rest.next * 2).min(LONGEST);
        self.due.insert((rest.due, name));
    }

    /// Whether it is this record that its name is being tried with.
    pub(super) fn is_tried(&self, waiting: &Waiting) -> bool {
        let rest = self.by_name.get(&waiting.record.name);
        rest.is_some_and(|rest| rest.tried == Some(waiting.position))
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

    /// The first record of a name that is due; it is to be given back by [`Self::rest`] or [`Self::end`].
    pub(super) fn try_next(&mut self) -> Option<Waiting> {
        let (due, name) = self.due.first()?.clone();
        if self.hurried == 0 && due > Instant::now() {
            return None;
        }
        self.hurried = self.hurried.saturating_sub(1);
        self.due.pop_first();
        let rest = self.by_name.get_mut(&name)?;
        let waiting = rest.waiting.pop_front()?;
        rest.tried = Some(waiting.position);
        self.bytes -= waiting.size();
        Some(waiting)
    }

    /// A name rests no longer: its records, without one that is being tried.
    pub(super) fn end(&mut self, name: &Arc<str>) -> VecDeque<Waiting> {
        let Some(rest) = self.by_name.remove(name) else { return VecDeque::new() };
        self.due.remove(&(rest.due, name.clone()));
        self.bytes -= rest.waiting.iter().map(Waiting::size).sum::<usize>();
        rest.waiting
    }

    /// Whether each was tried in vain.
    pub(super) fn are_all_tried(&self) -> bool {
        self.by_name.values().all(|rest| rest.attempts > 0 && rest.tried.is_none())
    }
}

#[cfg(test)]
mod tests;
