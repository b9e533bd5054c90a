//! Was anything lost? What the destinations accepted since the start, and where it is.
//!
//! An event goes one way: it is accepted, queues, becomes a dead letter, and is published or dropped. Each count is raised
//! before the event leaves the place before, and the places are read in this order. So what is on its way while they are
//! read is seen twice, and never not at all: whatever is missing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Destinations;
use crate::telemetry::metrics::DestinationCounts;

/// The events of all destinations since the start, in numbers. An event with two destinations counts for each of them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Accepted: their senders got a 2xx, unless they were gone.
    pub accepted: u64,
    /// On disk at the start, left by an earlier process: queued ones and dead letters.
    pub found: u64,
    /// Acknowledged by a broker, by whichever path.
    pub stored: u64,
    /// Queued on disk now.
    pub queued: u64,
    /// Dead letters now.
    pub dead_letters: u64,
    /// Dead letters that were dropped by hand.
    pub dropped: u64,
    /// Damaged parts of the spool, and events that vanished with their files.
    pub damaged: u64,
    /// The same of each destination, as far as it is known.
    pub destinations: Vec<DestinationBalance>,
}

/// The events of one destination in numbers. Its dead letters aren't counted apart from those of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationBalance {
    /// The configured text.
    pub destination: Arc<str>,
    /// Whether something may be routed to it.
    pub is_configured: bool,
    /// Accepted, and acknowledged at once.
    pub stored: u64,
    /// Accepted, and queued on disk.
    pub spooled: u64,
    /// Accepted, and kept as a dead letter at once.
    pub dead_lettered: u64,
    /// Published from the queue.
    pub drained: u64,
    /// Queued on disk now.
    pub queued: u64,
}

impl Balance {
    /// How many events are nowhere: accepted or found, and neither stored nor on disk nor dropped by hand.
    pub fn missing(&self) -> u64 {
        let there = self.stored + self.queued + self.dead_letters + self.dropped;
        (self.accepted + self.found).saturating_sub(there)
    }

    /// How many more are there than were accepted: those on their way, and those that were kept although their sender was
    /// told that they aren't.
    pub fn surplus(&self) -> u64 {
        let there = self.stored + self.queued + self.dead_letters + self.dropped;
        there.saturating_sub(self.accepted + self.found)
    }
}

impl Destinations {
    /// The balance at this moment.
    pub fn balance(&self) -> Balance {
        let mut counted: BTreeMap<Arc<str>, (bool, DestinationCounts)> = BTreeMap::new();
        for destination in self.by_text.read().values().filter(|one| !one.is_live()) {
            let counts = destination.counters().counts();
            counted.insert(destination.text().clone(), (true, counts));
        }
        let queues = self.spool.as_ref().map(|spool| spool.queued()).unwrap_or_default();
        let mut queued: BTreeMap<_, _> =
            queues.iter().map(|queue| (queue.destination().clone(), queue.records())).collect();
        for destination in queued.keys() {
            // One that left the configuration before this process began accepts nothing.
            counted.entry(destination.clone()).or_default();
        }
        let dead_letters = self.spool.as_ref().map_or(0, |spool| spool.dead_letters().len());
        let (replayed, dropped) = self.metrics.dead_letters_removed();
        let destinations: Vec<_> = counted
            .into_iter()
            .map(|(destination, (is_configured, counts))| DestinationBalance {
                is_configured,
                stored: counts.stored,
                spooled: counts.spooled,
                dead_lettered: counts.dead_lettered,
                drained: self.metrics.destination(&destination, [].into_iter()).counts().drained,
                queued: queued.remove(&destination).unwrap_or_default(),
                destination,
            })
            .collect();
        let sum = |count: fn(&DestinationBalance) -> u64| destinations.iter().map(count).sum();
        Balance {
            accepted: sum(|one| one.stored + one.spooled + one.dead_lettered),
            found: self.metrics.spool_found(),
            stored: replayed + sum(|one| one.stored + one.drained),
            queued: sum(|one| one.queued),
            dead_letters,
            dropped,
            damaged: self.spool.as_ref().map_or(0, |spool| spool.damaged()),
            destinations,
        }
    }
}
