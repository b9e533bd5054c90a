//! Histograms of seconds, with the ids of traces where there are any.

use std::fmt::{Error, Write as _};
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, MetricEncoder,
};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::BUCKETS;
use crate::trace::Ids;

/// What tells which span took so long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exemplar {
    trace_id: Hex<16>,
    span_id: Hex<8>,
}

/// Bytes that are written in hex: when somebody reads the metrics, since most exemplars are replaced before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> EncodeLabelValue for Hex<N> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), Error> {
        encoder.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// How long something takes. Without traces there is nothing to look up, nor a lock for it.
#[derive(Debug, Clone)]
pub enum Latency {
    /// Without traces.
    Plain(Histogram),
    /// With them.
    Traced(HistogramWithExemplars<Exemplar>),
}

/// Histograms by labels.
pub(super) type Latencies<L> = Family<L, Latency, fn() -> Latency>;

/// Histograms that keep the ids of traces, or none.
pub(super) fn latencies<L: Clone + Hash + Eq>(has_traces: bool) -> Latencies<L> {
    Family::new_with_constructor(match has_traces {
        false => || Latency::Plain(Histogram::new(BUCKETS)),
        true => || Latency::Traced(HistogramWithExemplars::new(BUCKETS.into_iter())),
    })
}

impl Latency {
    /// It took so long, in this span if it is recorded.
    pub fn observe(&self, took: Duration, span: Option<Ids>) {
        let seconds = took.as_secs_f64();
        match self {
            Self::Plain(histogram) => histogram.observe(seconds),
            Self::Traced(histogram) => {
                let exemplar = span.map(|Ids { trace, span }| Exemplar {
                    trace_id: Hex(trace),
                    span_id: Hex(span),
                });
                let now = exemplar.is_some().then(SystemTime::now);
                histogram.observe(seconds, exemplar, now);
            }
        }
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        match self {
            Self::Plain(histogram) => histogram.encode(encoder),
            Self::Traced(histogram) => histogram.encode(encoder),
        }
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}
