//! One lock for each key that has an event in flight; waiters get it in order.
//!
//! Who waits may offer its event: where several that follow each other do, the lock is handed to a run of them, which is
//! sent as a whole.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::Event;
use crate::sink::MAX_RUN;

/// A key, and those who wait for it behind the one that holds its lock.
type Waiters = (Arc<str>, VecDeque<Waiter>);

/// What one that waits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The lock is yours.
    Yours,
    /// Your event is stored, and the lock is somebody else's.
    Stored,
}

/// An event that waits for its turn, and may be sent together with those around it.
pub(super) struct Offer {
    /// The subject or topic.
    pub(super) name: Arc<str>,
    pub(super) event: Event,
    /// Until when it may be sent.
    pub(super) deadline: Instant,
}

type OfferSlot = Arc<Mutex<Option<Offer>>>;

/// One that waits, as itself.
pub(super) struct Wait {
    pub(super) turn: oneshot::Receiver<Turn>,
    offer: OfferSlot,
}

impl Wait {
    /// Let the event be sent in a run, should others wait beside it.
    pub(super) fn offer(&self, offer: Offer) {
        *self.offer.lock() = Some(offer);
    }
}

/// One that waits, as the lock sees it.
struct Waiter {
    turn: oneshot::Sender<Turn>,
    offer: OfferSlot,
}

/// Several that have the lock together.
#[derive(Default)]
pub(super) struct Run {
    pub(super) offers: Vec<Offer>,
    /// To tell them, in the same order.
    pub(super) turns: VecDeque<oneshot::Sender<Turn>>,
}

/// The locks of all keys. Bounded by what is in flight. A key is hashed once for all that is done with it, and with a
/// secret of this process, since strangers choose it.
#[derive(Default)]
pub(super) struct KeyedLock {
    shards: [Mutex<HashTable<Waiters>>; 16],
    hasher: RandomState,
}

impl KeyedLock {
    fn shard(&self, key: &Arc<str>) -> (u64, MutexGuard<'_, HashTable<Waiters>>) {
        let hash = self.hasher.hash_one(key);
        // By other bits than those that a table looks at.
        let shard = (hash >> 32) as usize % self.shards.len();
        (hash, self.shards[shard].lock())
    }

    /// Lock a key, after all who asked before; nothing to wait for means that it is ours now.
    pub(super) fn acquire(&self, key: &Arc<str>) -> Option<Wait> {
        let (hash, mut locks) = self.shard(key);
        if let Some((_, waiters)) = locks.find_mut(hash, |(known, _)| known == key) {
            let (sender, receiver) = oneshot::channel();
            let offer = OfferSlot::default();
            waiters.push_back(Waiter { turn: sender, offer: offer.clone() });
            return Some(Wait { turn: receiver, offer });
        }
        let waiters = (key.clone(), VecDeque::new());
        locks.insert_unique(hash, waiters, |(known, _)| self.hasher.hash_one(known));
        None
    }

    /// Hand the lock to the next one that still waits for it; or to a run of several, which is returned.
    pub(super) fn release(&self, key: &Arc<str>) -> Option<Run> {
        let (hash, mut locks) = self.shard(key);
        let mut found = locks.find_entry(hash, |(known, _)| known == key).ok()?;
        let waiters = &mut found.get_mut().1;
        let mut run = run(waiters);
        if run.turns.len() > 1 {
            return Some(run);
        }
        let others = std::iter::from_fn(|| waiters.pop_front().map(|waiter| waiter.turn));
        if !run
            .turns
            .pop_front()
            .into_iter()
            .chain(others)
            .any(|turn| turn.send(Turn::Yours).is_ok())
        {
            found.remove();
        }
        None
    }

    /// Members of a run wait again, before all others and each for a turn of its own. The caller holds the lock.
    pub(super) fn put_back(&self, key: &Arc<str>, turns: VecDeque<oneshot::Sender<Turn>>) {
        let (hash, mut locks) = self.shard(key);
        if let Some((_, waiters)) = locks.find_mut(hash, |(known, _)| known == key) {
            for turn in turns.into_iter().rev() {
                waiters.push_front(Waiter { turn, offer: OfferSlot::default() });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|locks| locks.lock().is_empty())
    }
}

/// Take those out of the front that may be sent together.
fn run(waiters: &mut VecDeque<Waiter>) -> Run {
    let (max, max_bytes) = MAX_RUN;
    let (mut run, mut bytes) = (Run::default(), 0);
    while run.turns.len() < max
        && let Some(Waiter { turn, offer }) = waiters.pop_front()
    {
        // Who has gone leaves nothing to be stored.
        if turn.is_closed() {
            continue;
        }
        let fits = |offer: &mut Offer| {
            bytes += offer.event.payload.len();
            run.offers.first().is_none_or(|first| first.name == offer.name && bytes <= max_bytes)
        };
        let taken = offer.lock().take_if(fits);
        let Some(taken) = taken else {
            waiters.push_front(Waiter { turn, offer });
            break;
        };
        run.offers.push(taken);
        run.turns.push_back(turn);
    }
    run
}
