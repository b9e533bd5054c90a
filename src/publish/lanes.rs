//! Who is next, for every key that has an event in flight.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A key, and those who wait for their turn behind the one that has it.
type Line = (Arc<str>, VecDeque<oneshot::Sender<()>>);

/// The lines of all keys. Bounded by what is in flight. A key is hashed once for all that is done with it, and with a
/// secret of this process, since strangers choose it.
#[derive(Default)]
pub(super) struct Lanes {
    shards: [Mutex<HashTable<Line>>; 16],
    hasher: RandomState,
}

impl Lanes {
    fn shard(&self, key: &Arc<str>) -> (u64, MutexGuard<'_, HashTable<Line>>) {
        let hash = self.hasher.hash_one(key);
        // By other bits than those that a table looks at.
        let shard = (hash >> 32) as usize % self.shards.len();
        (hash, self.shards[shard].lock())
    }

    /// Stand in line; nothing to wait for means that it is our turn.
    pub(super) fn enter(&self, key: &Arc<str>) -> Option<oneshot::Receiver<()>> {
        let (hash, mut lines) = self.shard(key);
        if let Some((_, line)) = lines.find_mut(hash, |(known, _)| known == key) {
            let (sender, receiver) = oneshot::channel();
            line.push_back(sender);
            return Some(receiver);
        }
        let line = (key.clone(), VecDeque::new());
        lines.insert_unique(hash, line, |(known, _)| self.hasher.hash_one(known));
        None
    }

    /// The turn is over: call the next one that is still waiting.
    pub(super) fn leave(&self, key: &Arc<str>) {
        let (hash, mut lines) = self.shard(key);
        let Ok(mut found) = lines.find_entry(hash, |(known, _)| known == key) else { return };
        while let Some(next) = found.get_mut().1.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        found.remove();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|lines| lines.lock().is_empty())
    }
}
