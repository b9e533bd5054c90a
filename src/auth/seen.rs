//! Deliveries that were seen before: told by the id that their sender signed, or by the signature itself.
//!
//! A delivery is entered before it is handled, so that of two copies at the same time only one is. It counts once it
//! got its 2xx; what was refused may come again. Everything is in the memory of this process, each endpoint has its
//! own, and how much it holds is configured. With `replay = "dedupe"` the oldest is forgotten first. With
//! `replay = "refuse"` nothing is forgotten while its timestamp would be accepted: when the memory is full, new
//! deliveries are refused.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::Cause;
use crate::message::Refusal;

/// Deliveries whose times of signing are this near, in seconds, are forgotten together.
const SLOT: u64 = 16;

/// What makes a delivery the same as another one. Ids and timestamps are anybody's texts: half a SHA-256 has one
/// length, and nobody finds two texts for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);

/// How a delivery is told from all others, and how long that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    key: Key,
    signed: Option<Signed>,
}

/// When a delivery was signed and how long that is good for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) at: u64,
    pub(super) tolerance: u64,
}

impl Mark {
    /// A delivery that these parts tell from all others. With the time of its signature it is remembered for as long
    /// as that is accepted, else for as long as there is room.
    pub(super) fn new(parts: &[&[u8]], signed: Option<Signed>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self { key: Key(key), signed }
    }
}

/// What an earlier delivery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// A 202 rather than a 200.
    pub is_accepted: bool,
}

/// How the delivery ended that a copy of it waits for.
type Ended = Result<Delivered, Refusal>;

/// The deliveries of one process, by endpoint. An endpoint that is configured away keeps its memory: it may come back.
#[derive(Default)]
pub struct SeenDeliveries(Mutex<HashMap<Arc<str>, Arc<Seen>>>);

impl SeenDeliveries {
    /// Those of the endpoint with this name, if it ever had any.
    pub fn of(&self, endpoint: &str) -> Option<Arc<Seen>> {
        self.0.lock().get(endpoint).cloned()
    }

    /// From now on these are those of the endpoint with this name.
    pub fn keep(&self, endpoint: Arc<str>, seen: Arc<Seen>) {
        self.0.lock().insert(endpoint, seen);
    }
}

/// The deliveries that one endpoint has seen.
#[derive(Debug)]
pub struct Seen {
    max: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that are being handled, with the copies that wait for their end.
    open: HashMap<Key, Vec<oneshot::Sender<Ended>>>,
    /// Those that are remembered while there is room, and their order.
    latest: HashMap<Key, Delivered>,
    order: VecDeque<Key>,
    /// Those that are remembered for as long as their time is accepted, by that time.
    timed: BTreeMap<u64, HashSet<Key>>,
    /// How many those are.
    count: usize,
    /// Of slots before this one something was forgotten.
    first: u64,
}

/// What is known of a delivery.
#[derive(Debug)]
pub enum Found {
    /// It is new, and entered.
    New(Entry),
    /// It got its 2xx.
    Done(Delivered),
    /// It is being handled; its end will come from here, unless it is given up.
    Open(oneshot::Receiver<Ended>),
}

/// A delivery that is being handled. Dropped before its end, it may come again.
#[derive(Debug)]
pub struct Entry {
    seen: Arc<Seen>,
    mark: Mark,
    is_over: bool,
}

impl Seen {
    /// Nothing yet, and room for so many.
    pub fn new(max: usize) -> Self {
        Self { max: AtomicUsize::new(max), state: Mutex::default() }
    }

    /// Remember so many from now on.
    pub fn set(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
        self.state.lock().shrink(max);
    }

    /// Enter a delivery unless it was seen before, in which case the end of that one counts.
    pub fn find(self: &Arc<Self>, mark: Mark) -> Found {
        let mut state = self.state.lock();
        if let Some(delivered) = state.latest.get(&mark.key) {
            return Found::Done(*delivered);
        }
        if let Some(waiting) = state.open.get_mut(&mark.key) {
            let (sender, receiver) = oneshot::channel();
            waiting.push(sender);
            return Found::Open(receiver);
        }
        state.open.insert(mark.key, Vec::new());
        Found::New(Entry { seen: self.clone(), mark, is_over: false })
    }

    /// Enter a delivery that must not have been seen before.
    pub fn refuse(self: &Arc<Self>, mark: Mark) -> Result<Entry, Cause> {
        self.refuse_at(mark, SystemTime::now())
    }

    fn refuse_at(self: &Arc<Self>, mark: Mark, now: SystemTime) -> Result<Entry, Cause> {
        let mut state = self.state.lock();
        if state.open.contains_key(&mark.key) || state.latest.contains_key(&mark.key) {
            return Err(Cause::Repeated);
        }
        if let Some(signed) = mark.signed {
            state.forget_before(now, signed.tolerance);
            let slot = signed.at / SLOT;
            if slot < state.first {
                // Its like may have been forgotten: the clock was set back, or the tolerance was raised.
                return Err(Cause::TooOld);
            }
            if state.timed.get(&slot).is_some_and(|slot| slot.contains(&mark.key)) {
                return Err(Cause::Repeated);
            }
            // There has to be room for all that are open when they end.
            if state.count + state.open.len() >= self.max.load(Ordering::Relaxed) {
                return Err(Cause::Full);
            }
        }
        state.open.insert(mark.key, Vec::new());
        Ok(Entry { seen: self.clone(), mark, is_over: false })
    }
}

impl State {
    /// Forget those whose time of signing is further in the past than `tolerance` seconds.
    fn forget_before(&mut self, now: SystemTime, tolerance: u64) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // A second more, for parts of one that were cut off.
        let first = now.saturating_sub(tolerance + 1) / SLOT;
        while let Some(slot) = self.timed.first_entry().filter(|slot| *slot.key() < first) {
            self.first = *slot.key() + 1;
            self.count -= slot.remove().len();
        }
    }

    fn remember(&mut self, mark: Mark, delivered: Delivered, max: usize) {
        match mark.signed {
            Some(signed) => {
                let slot = self.timed.entry(signed.at / SLOT).or_default();
                self.count += usize::from(slot.insert(mark.key));
            }
            None => {
                if self.latest.insert(mark.key, delivered).is_none() {
                    self.order.push_back(mark.key);
                }
            }
        }
        self.shrink(max);
    }

    /// What was to be remembered only while there is room goes first; the rest goes with its time.
    fn shrink(&mut self, max: usize) {
        while self.count + self.order.len() > max
            && let Some(oldest) = self.order.pop_front()
        {
            self.latest.remove(&oldest);
        }
    }
}

impl Entry {
    /// It was handled. With a 2xx it is remembered; its copies get the same.
    pub fn end(mut self, ended: Ended) {
        self.is_over = true;
        let waiting = {
            let mut state = self.seen.state.lock();
            if let Ok(delivered) = ended {
                let max = self.seen.max.load(Ordering::Relaxed);
                state.remember(self.mark, delivered, max);
            }
            state.open.remove(&self.mark.key).unwrap_or_default()
        };
        for copy in waiting {
            // It may have gone.
            let _ = copy.send(ended.clone());
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.is_over {
            self.seen.state.lock().open.remove(&self.mark.key);
        }
    }
}

#[cfg(test)]
mod tests;
