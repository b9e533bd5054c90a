//! Deliveries that were answered with a 2xx, by the id that their sender gave them.
//!
//! In the memory of this process and bounded: the oldest is forgotten first. An id counts only once it got its 2xx, so
//! that what was refused may come again.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::Delivery;

/// How many deliveries are remembered.
const ENTRIES: usize = 65_536;

type Key = [u8; 32];

/// What an earlier delivery got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// A 202 rather than a 200.
    pub is_accepted: bool,
}

/// The deliveries of one process.
#[derive(Default)]
pub struct Deliveries(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<Key, Delivered>,
    order: VecDeque<Key>,
}

impl Deliveries {
    /// What an earlier delivery of this id got; with `replay = "refuse"` the timestamp counts too.
    pub fn find(&self, endpoint: &str, delivery: &Delivery<'_>) -> Option<Delivered> {
        // Most senders have no ids: those are not to meet at this lock.
        let key = key(endpoint, delivery)?;
        self.0.lock().known.get(&key).copied()
    }

    /// A delivery got its 2xx.
    pub fn note(&self, endpoint: &str, delivery: &Delivery<'_>, delivered: Delivered) {
        let Some(key) = key(endpoint, delivery) else { return };
        let mut state = self.0.lock();
        if state.known.insert(key, delivered).is_none() {
            state.order.push_back(key);
        }
        if state.order.len() > ENTRIES
            && let Some(oldest) = state.order.pop_front()
        {
            state.known.remove(&oldest);
        }
    }
}

/// Ids and timestamps are anybody's texts: a hash has one length, and no memory is held for long ones.
fn key(endpoint: &str, delivery: &Delivery<'_>) -> Option<Key> {
    use crate::config::Replay;
    let timestamp = match delivery.replay {
        Replay::Dedupe => "",
        Replay::Refuse => delivery.timestamp,
    };
    let mut hash = Sha256::new();
    for part in [endpoint, delivery.id?, timestamp] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Replay;

    #[test]
    fn an_id_counts_for_its_endpoint_once_it_is_noted() {
        let seen = Deliveries::default();
        let first = Delivery { id: Some("1"), timestamp: "10", replay: Replay::Dedupe };
        assert_eq!(seen.find("e", &first), None);
        let got = Delivered { is_accepted: true };
        seen.note("e", &first, got);
        assert_eq!(seen.find("e", &Delivery { timestamp: "11", ..first }), Some(got));
        assert_eq!(seen.find("f", &first), None);
        assert_eq!(seen.find("e", &Delivery { id: None, ..first }), None);

        let strict = Delivery { replay: Replay::Refuse, ..first };
        seen.note("e", &strict, got);
        assert_eq!(seen.find("e", &strict), Some(got));
        assert_eq!(seen.find("e", &Delivery { timestamp: "11", ..strict }), None);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let seen = Deliveries::default();
        let ids: Vec<_> = (0..=ENTRIES).map(|id| id.to_string()).collect();
        for id in &ids {
            let delivery = Delivery { id: Some(id), ..Delivery::default() };
            seen.note("e", &delivery, Delivered { is_accepted: false });
        }
        let is_known = |id: &String| {
            let delivery = Delivery { id: Some(id), ..Delivery::default() };
            seen.find("e", &delivery).is_some()
        };
        assert!(!is_known(&ids[0]) && is_known(&ids[1]) && is_known(&ids[ENTRIES]));
    }
}
