//! How many queued records have which key, in a table of a fixed size.
//!
//! The keys themselves would need memory without a bound, so their hashes are counted. Two keys in one bucket make an
//! event take the disk path without need, and never the direct one too early.

use std::hash::{BuildHasher, Hash, RandomState};

/// Counters in the table; 256 KiB while something is queued.
const KEY_BUCKETS: usize = 1 << 16;

/// Which bucket a key is counted in; other ones in each process.
#[derive(Default)]
pub(super) struct KeyHasher(RandomState);

impl KeyHasher {
    pub(super) fn bucket(&self, key: impl Hash) -> usize {
        self.0.hash_one(key) as usize % KEY_BUCKETS
    }
}

/// The counters, by bucket. Without any it takes no memory.
#[derive(Default)]
pub(super) struct KeyTable(Option<Box<[u32]>>);

impl KeyTable {
    pub(super) fn add(&mut self, bucket: usize) {
        let table = self.0.get_or_insert_with(|| vec![0; KEY_BUCKETS].into());
        table[bucket] = table[bucket].saturating_add(1);
    }

    pub(super) fn remove(&mut self, bucket: usize) {
        if let Some(table) = &mut self.0 {
            table[bucket] = table[bucket].saturating_sub(1);
        }
    }

    pub(super) fn count(&self, bucket: usize) -> u32 {
        self.0.as_ref().map_or(0, |table| table[bucket])
    }

    /// Whether it takes no memory.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Count nothing any more, and give the memory back.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
