//! One lock for each key that has an event in flight; waiters get it in order.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A key, and those who wait for it behind the one that holds its lock.
type Waiters = (Arc<str>, VecDeque<oneshot::Sender<()>>);

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
    pub(super) fn acquire(&self, key: &Arc<str>) -> Option<oneshot::Receiver<()>> {
        let (hash, mut locks) = self.shard(key);
        if let Some((_, waiters)) = locks.find_mut(hash, |(known, _)| known == key) {
            let (sender, receiver) = oneshot::channel();
            waiters.push_back(sender);
            return Some(receiver);
        }
        let waiters = (key.clone(), VecDeque::new());
        locks.insert_unique(hash, waiters, |(known, _)| self.hasher.hash_one(known));
        None
    }

    /// Hand the lock to the next one that still waits for it.
    pub(super) fn release(&self, key: &Arc<str>) {
        let (hash, mut locks) = self.shard(key);
        let Ok(mut found) = locks.find_entry(hash, |(known, _)| known == key) else { return };
        while let Some(next) = found.get_mut().1.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        found.remove();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|locks| locks.lock().is_empty())
    }
}
