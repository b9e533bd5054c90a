//! Who is next, for every key that has an event in flight.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Those who wait for their turn, by key.
type Lines = Mutex<HashMap<Arc<str>, VecDeque<oneshot::Sender<()>>>>;

/// The lines of all keys. Bounded by what is in flight.
#[derive(Default)]
pub(super) struct Lanes {
    shards: [Lines; 16],
    hasher: RandomState,
}

impl Lanes {
    fn shard(&self, key: &Arc<str>) -> &Lines {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    /// Stand in line; nothing to wait for means that it is our turn.
    pub(super) fn enter(&self, key: &Arc<str>) -> Option<oneshot::Receiver<()>> {
        let mut lanes = self.shard(key).lock();
        if let Some(line) = lanes.get_mut(key) {
            let (sender, receiver) = oneshot::channel();
            line.push_back(sender);
            return Some(receiver);
        }
        lanes.insert(key.clone(), VecDeque::new());
        None
    }

    /// The turn is over: call the next one that is still waiting.
    pub(super) fn leave(&self, key: &Arc<str>) {
        let mut lanes = self.shard(key).lock();
        if let Some(line) = lanes.get_mut(key) {
            while let Some(next) = line.pop_front() {
                if next.send(()).is_ok() {
                    return;
                }
            }
            lanes.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|lines| lines.lock().is_empty())
    }
}
