//! Counters by labels that can be summed. The library's own [`Family`] can only be written as text.
//!
//! [`Family`]: prometheus_client::metrics::family::Family

use std::collections::{BTreeMap, HashMap};
use std::fmt::Error;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Counters by their labels. A clone counts the same.
#[derive(Debug, Clone)]
pub(super) struct Counters<L>(Arc<RwLock<HashMap<L, Counter>>>);

impl<L> Default for Counters<L> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L: Clone + Eq + Hash> Counters<L> {
    /// The one with these labels, which exists from now on.
    pub(super) fn get(&self, labels: &L) -> Counter {
        if let Some(known) = self.0.read().get(labels) {
            return known.clone();
        }
        self.0.write().entry(labels.clone()).or_default().clone()
    }

    /// The sums of those that have a label in common.
    pub(super) fn sums(&self, label: impl Fn(&L) -> &'static str) -> BTreeMap<&'static str, f64> {
        let mut sums = BTreeMap::new();
        for (labels, counter) in self.0.read().iter() {
            *sums.entry(label(labels)).or_default() += counter.get() as f64;
        }
        sums
    }
}

impl<L: EncodeLabelSet> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let counters = self.0.read();
        counters
            .iter()
            .try_for_each(|(labels, counter)| counter.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        Counter::<u64>::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }
}
