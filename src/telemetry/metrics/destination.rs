//! What is counted of one destination: what it accepted, and what was published from its queue. Looked up once.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{
    DestinationLabels, DestinationOutcomeLabels, Latency, Metrics, PublishErrorLabels, Shared,
};
use crate::message::Receipt;
use crate::trace::Ids;

/// The metrics of one destination.
pub struct DestinationMetrics {
    seconds: Latency,
    stored: Counter,
    spooled: Counter,
    dead_lettered: Counter,
    drained: Counter,
    drained_dead_lettered: Counter,
}

/// How many events a destination accepted since the start, and how many left its queue. What was accepted is counted
/// once it is where the receipt says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DestinationCounts {
    /// Accepted, and acknowledged by its broker at once.
    pub stored: u64,
    /// Accepted, and queued on disk.
    pub spooled: u64,
    /// Accepted, and kept as a dead letter at once.
    pub dead_lettered: u64,
    /// Published from the queue.
    pub drained: u64,
}

impl Metrics {
    /// Those of a destination. From now on they exist, as zero, and so do failures for these reasons.
    pub fn destination(
        &self,
        destination: &Arc<str>,
        reasons: impl Iterator<Item = &'static str>,
    ) -> DestinationMetrics {
        let destination = Shared(destination.clone());
        for reason in reasons {
            let labels = PublishErrorLabels { destination: destination.clone(), reason };
            self.publish_errors.get_or_create_owned(&labels);
        }
        let labels =
            |outcome| DestinationOutcomeLabels { destination: destination.clone(), outcome };
        let event = |receipt: Receipt| self.events.get_or_create_owned(&labels(receipt.as_str()));
        let drained =
            |receipt: Receipt| self.drained.get_or_create_owned(&labels(receipt.as_str()));
        let all = DestinationLabels { destination: destination.clone() };
        DestinationMetrics {
            seconds: self.publish_seconds.get_or_create_owned(&all),
            stored: event(Receipt::Stored),
            spooled: event(Receipt::Spooled),
            dead_lettered: event(Receipt::DeadLettered),
            drained: drained(Receipt::Stored),
            drained_dead_lettered: drained(Receipt::DeadLettered),
        }
    }
}

impl DestinationMetrics {
    /// An event is acknowledged, whichever path it took.
    pub fn published(&self, took: Duration, span: Option<Ids>) {
        self.seconds.observe(took, span);
    }

    /// An event was accepted, and is where the receipt says.
    pub fn accepted(&self, receipt: Receipt) {
        match receipt {
            Receipt::Dropped => return,
            Receipt::Stored => &self.stored,
            Receipt::Spooled => &self.spooled,
            Receipt::DeadLettered => &self.dead_lettered,
        }
        .inc();
    }

    /// A queued event is published.
    pub fn drained(&self) {
        self.drained.inc();
    }

    /// A queued event became a dead letter.
    pub fn drained_dead_lettered(&self) {
        self.drained_dead_lettered.inc();
    }

    /// What was counted so far.
    pub fn counts(&self) -> DestinationCounts {
        DestinationCounts {
            stored: self.stored.get(),
            spooled: self.spooled.get(),
            dead_lettered: self.dead_lettered.get(),
            drained: self.drained.get(),
        }
    }
}
