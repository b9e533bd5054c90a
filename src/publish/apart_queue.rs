//! Events whose own subject or topic takes nothing, apart from the others.
//!
//! No stream takes the subject, there is no such topic, or this user may not write there: that lasts until somebody mends
//! it, and says nothing of the other names that the same destination comes to. So such events wait in a second queue of
//! the destination, in their own order, and hold up nothing else. As long as it isn't certain (an election looks like a
//! missing stream), a name only makes its events queue with all others, so that the order of a key holds across names.
//!
//! Of one name and key, what waits here is always older than what waits in the other queue or comes live.
//!
//! Names come from outside, so only so many are known one by one. Records are counted by the hash of name and key.

mod faults;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::info;

use self::faults::Faults;
use super::disk_queue::{DrainGuard, PendingAppend};
use super::key_table::{KeyHasher, KeyTable};
use crate::spool::{self, Position, Queue, Reader, Record};
use crate::telemetry::health::Health;

/// Limit for the names that are known one by one; the longest names together take some MiB.
pub(super) const MAX_NAMES: usize = if cfg!(test) { 64 } else { 1 << 14 };

/// A name that fails for so long takes nothing, even if nobody can be asked whether it exists. No election takes longer.
pub(super) const UNCERTAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Least time between two warnings about such names: a line for each of a thousand would fill the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What waits apart, and the names that fail.
pub(super) struct ApartQueue {
    destination: Arc<str>,
    queue: Queue,
    /// There is something to look at.
    is_active: AtomicBool,
    state: Mutex<State>,
    hasher: KeyHasher,
    health: Arc<Health>,
}

#[derive(Default)]
struct State {
    names: HashMap<Arc<str>, Name>,
    /// Records of names for which there was no room.
    others: u64,
    /// The names and keys of all records.
    table: KeyTable,
    /// Records that took their place, and are not known to be on disk yet.
    appending: usize,
    /// There are records of an earlier process that were not counted yet.
    is_uncounted: bool,
    faults: Faults,
    /// When it was last logged that a name fails, and whether to log when none does any more.
    last_logged: Option<Instant>,
    was_logged: bool,
}

#[derive(Default)]
struct Name {
    records: u64,
    fault: Option<Fault>,
}

struct Fault {
    reason: &'static str,
    since: Instant,
    is_certain: bool,
}

impl Name {
    fn is_blocked(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.is_certain)
    }
}

/// Where an event of some name and key has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameStatus {
    /// Wherever it would go otherwise.
    Open,
    /// It queues with the others: perhaps its name takes nothing.
    Suspect,
    /// It waits apart: its name takes nothing, or there are older ones of its name and key.
    Apart,
}

impl ApartQueue {
    pub(super) fn new(destination: Arc<str>, queue: Queue, health: Arc<Health>) -> Self {
        let is_uncounted = !queue.is_empty();
        Self {
            destination,
            is_active: AtomicBool::new(is_uncounted),
            state: Mutex::new(State { is_uncounted, ..State::default() }),
            hasher: KeyHasher::default(),
            health,
            queue,
        }
    }

    /// Records that wait apart.
    pub(super) fn len(&self) -> u64 {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Since when the oldest has been waiting, or a little earlier.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }

    /// Read them from the oldest on.
    pub(super) fn reader(&self, _: &DrainGuard) -> Reader<Record> {
        self.queue.reader()
    }

    fn bucket(&self, name: &str, key: Option<&Arc<str>>) -> Option<usize> {
        key.map(|key| self.hasher.bucket((name, key)))
    }

    /// Where an event goes. The caller holds the lock of its key.
    pub(super) fn status(&self, name: &str, key: Option<&Arc<str>>) -> NameStatus {
        if !self.is_active.load(Ordering::Relaxed) {
            return NameStatus::Open;
        }
        let state = self.state.lock();
        if state.is_uncounted {
            return NameStatus::Suspect;
        }
        let known = state.names.get(name);
        if known.is_some_and(Name::is_blocked) {
            return NameStatus::Apart;
        }
        let is_counted = state.others > 0 || known.is_some_and(|known| known.records > 0);
        let has_older =
            || self.bucket(name, key).is_some_and(|bucket| state.table.count(bucket) > 0);
        if is_counted && has_older() {
            NameStatus::Apart
        } else if known.is_some_and(|known| known.fault.is_some()) {
            NameStatus::Suspect
        } else {
            NameStatus::Open
        }
    }

    /// Whether a name is known to take nothing.
    pub(super) fn is_blocked(&self, name: &str) -> bool {
        self.is_active.load(Ordering::Relaxed)
            && self.state.lock().names.get(name).is_some_and(Name::is_blocked)
    }

    /// A name fails, and has done so since then at least; perhaps only for a moment. Says since when.
    pub(super) fn suspect(&self, name: &str, reason: &'static str, since: Instant) -> Instant {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.names.contains_key(name) && state.names.len() >= MAX_NAMES {
            // There is no room to remember since when it fails. So many at once are no election.
            return since.checked_sub(UNCERTAIN_TIMEOUT).unwrap_or(since);
        }
        self.is_active.store(true, Ordering::Relaxed);
        let name: Arc<str> = name.into();
        let known = state.names.entry(name.clone()).or_default();
        match &mut known.fault {
            Some(fault) => {
                fault.since = fault.since.min(since);
                fault.since
            }
            none => {
                *none = Some(Fault { reason, since, is_certain: false });
                state.faults.add(reason, name);
                state.faults.tell(reason, &self.destination, &self.health);
                since
            }
        }
    }

    /// A name that records wait for takes nothing. Says whether it is known from now on, for which there may be no room.
    pub(super) fn block(&self, name: &Arc<str>, reason: &'static str) -> bool {
        let mut state = self.state.lock();
        self.block_in(&mut state, name, reason)
    }

    fn block_in(&self, state: &mut State, name: &Arc<str>, reason: &'static str) -> bool {
        if !state.names.contains_key(name) && state.names.len() >= MAX_NAMES {
            return false;
        }
        let known = state.names.entry(name.clone()).or_default();
        match &mut known.fault {
            Some(fault) => fault.is_certain = true,
            none => {
                *none = Some(Fault { reason, since: Instant::now(), is_certain: true });
                state.faults.add(reason, name.clone());
                state.faults.tell(reason, &self.destination, &self.health);
            }
        }
        true
    }

    /// An event of this name was stored. What waits apart for it is another's affair.
    pub(super) fn record_success(&self, name: &str) {
        if !self.is_active.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if state.names.get(name).is_some_and(|known| !known.is_blocked()) {
            self.clear_in(&mut state, name);
        }
    }

    /// What waits apart for this name is published again. Says whether it was known to take nothing.
    pub(super) fn clear(&self, name: &str) -> bool {
        let mut state = self.state.lock();
        self.clear_in(&mut state, name)
    }

    fn clear_in(&self, state: &mut State, name: &str) -> bool {
        let Some(known) = state.names.get_mut(name) else { return false };
        let Some(fault) = known.fault.take() else { return false };
        if known.records == 0 {
            state.names.remove(name);
        }
        self.clear_fault(state, &fault, name);
        self.deactivate_if_empty(state);
        fault.is_certain
    }

    /// A name doesn't fail any more.
    fn clear_fault(&self, state: &mut State, fault: &Fault, name: &str) {
        let State { names, faults, was_logged, .. } = state;
        let others = names.iter().filter(|(_, other)| {
            other.fault.as_ref().is_some_and(|other| other.reason == fault.reason)
        });
        faults.remove(fault.reason, name, others.map(|(name, _)| name));
        faults.tell(fault.reason, &self.destination, &self.health);
        if faults.is_empty() && std::mem::take(was_logged) {
            info!(destination = %self.destination, "stores events again");
        }
    }

    /// Whether to log that a name fails: not for each of them, and not again before none does.
    pub(super) fn should_log(&self) -> bool {
        let (now, mut state) = (Instant::now(), self.state.lock());
        let should_log = !state.was_logged
            && state.last_logged.is_none_or(|logged| now >= logged + LOG_INTERVAL);
        if should_log {
            (state.last_logged, state.was_logged) = (Some(now), true);
        }
        should_log
    }

    /// How many names are known to fail.
    pub(super) fn failing(&self) -> usize {
        self.state.lock().faults.len()
    }

    /// Take the next place. From now on later events of its name and key wait behind it; with the reason why its name
    /// takes nothing, all of its name.
    pub(super) fn begin(
        self: &Arc<Self>,
        record: &Record,
        blocked: Option<&'static str>,
    ) -> Result<PendingAppend, spool::Error> {
        let ticket = self.ticket(record, blocked);
        self.queue.begin_with(record, Box::new(|| ticket.kept())).map(PendingAppend)
    }

    /// The same for a record of the other queue.
    pub(super) fn begin_moved(
        self: &Arc<Self>,
        record: &Record,
        blocked: Option<&'static str>,
    ) -> Result<PendingAppend, spool::Error> {
        let ticket = self.ticket(record, blocked);
        self.queue.begin_moved(record, Box::new(|| ticket.kept())).map(PendingAppend)
    }

    fn ticket(self: &Arc<Self>, record: &Record, blocked: Option<&'static str>) -> Ticket {
        let mut state = self.state.lock();
        self.is_active.store(true, Ordering::Relaxed);
        state.appending += 1;
        self.count(&mut state, record);
        if let Some(reason) = blocked {
            self.block_in(&mut state, &record.name, reason);
        }
        Ticket {
            apart: self.clone(),
            name: record.name.clone(),
            bucket: self.bucket(&record.name, record.event.key.as_ref()),
            is_kept: false,
        }
    }

    /// Begin to count the records of an earlier process, unless that was done.
    pub(super) fn begin_counting(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_uncounted {
            (state.names, state.others) = (HashMap::new(), 0);
            state.table.clear();
        }
        state.is_uncounted
    }

    /// Count records of an earlier process.
    pub(super) fn count_old<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let mut state = self.state.lock();
        for record in records {
            self.count(&mut state, record);
        }
    }

    /// All of those are counted.
    pub(super) fn old_are_counted(&self) {
        let mut state = self.state.lock();
        state.is_uncounted = false;
        self.deactivate_if_empty(&mut state);
    }

    fn count(&self, state: &mut State, record: &Record) {
        let has_room = state.names.len() < MAX_NAMES;
        match state.names.get_mut(&record.name) {
            Some(known) => known.records += 1,
            None if has_room => {
                let known = Name { records: 1, fault: None };
                state.names.insert(record.name.clone(), known);
            }
            None => state.others += 1,
        }
        if let Some(bucket) = self.bucket(&record.name, record.event.key.as_ref()) {
            state.table.add(bucket);
        }
    }

    /// A record is published, or a dead letter: its queue needn't keep it.
    pub(super) fn done(&self, position: Position, record: &Record) {
        self.queue.done(position);
        let bucket = self.bucket(&record.name, record.event.key.as_ref());
        self.uncount(&mut self.state.lock(), &record.name, bucket);
    }

    fn uncount(&self, state: &mut State, name: &str, bucket: Option<usize>) {
        if let Some(bucket) = bucket {
            state.table.remove(bucket);
        }
        match state.names.get_mut(name).filter(|known| known.records > 0) {
            Some(known) => {
                known.records -= 1;
                // With no record left, nothing would find out that the name works again.
                if known.records == 0 && (known.fault.is_none() || known.is_blocked()) {
                    let fault = known.fault.take();
                    state.names.remove(name);
                    if let Some(fault) = fault {
                        self.clear_fault(state, &fault, name);
                    }
                }
            }
            None => state.others = state.others.saturating_sub(1),
        }
        self.deactivate_if_empty(state);
    }

    /// With nothing apart and nothing on its way there, events needn't look.
    fn deactivate_if_empty(&self, state: &mut State) {
        if state.appending == 0 && !state.is_uncounted && self.queue.is_empty() {
            state.table.clear();
            state.others = 0;
            // What was counted elsewhere for want of room leaves these behind.
            let blocked: Vec<_> = state
                .names
                .extract_if(|_, known| known.fault.is_none() || known.is_blocked())
                .collect();
            for (name, known) in blocked {
                if let Some(fault) = known.fault {
                    self.clear_fault(state, &fault, &name);
                }
            }
        }
        // What is on its way there is counted, too.
        let is_active = state.is_uncounted || state.others > 0 || !state.names.is_empty();
        self.is_active.store(is_active, Ordering::Relaxed);
    }
}

impl Drop for ApartQueue {
    /// A destination that existed only for a replay leaves nothing behind in `/readyz`.
    fn drop(&mut self) {
        self.state.get_mut().faults.clear(&self.destination, &self.health);
    }
}

/// The place of a record in the counts while it is on its way to the disk; see [`super::disk_queue`].
struct Ticket {
    apart: Arc<ApartQueue>,
    name: Arc<str>,
    bucket: Option<usize>,
    is_kept: bool,
}

impl Ticket {
    fn kept(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.apart.state.lock();
        state.appending -= 1;
        if self.is_kept {
            self.apart.deactivate_if_empty(&mut state);
        } else {
            self.apart.uncount(&mut state, &self.name, self.bucket);
        }
    }
}

#[cfg(test)]
mod tests;
