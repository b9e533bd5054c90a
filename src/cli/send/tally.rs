//! What became of many requests, summed up in bounded memory.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use serde_json::json;

/// What came of a request that was answered.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answered {
    status: u16,
    outcome: Option<String>,
    is_reused: bool,
}

impl Answered {
    /// Of an answer with this status, this outcome, and whether it was given before.
    pub(super) fn new(status: StatusCode, outcome: Option<String>, is_reused: bool) -> Self {
        Self { status: status.as_u16(), outcome, is_reused }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Display for Answered {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(outcome) = &self.outcome {
            write!(f, " {outcome}")?;
        }
        if self.is_reused { f.write_str(" reused") } else { Ok(()) }
    }
}

/// Counts by status and outcome, and the latencies in microseconds.
#[derive(Debug)]
pub(super) struct Tally {
    counts: BTreeMap<Answered, u64>,
    latencies: Histogram<u64>,
    refused: u64,
    unanswered: u64,
    first_error: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            latencies: latencies(),
            refused: 0,
            unanswered: 0,
            first_error: None,
        }
    }
}

impl Tally {
    /// There was an answer.
    pub(super) fn answered(&mut self, result: Answered, latency: Duration) {
        self.refused += u64::from(!result.is_success());
        *self.counts.entry(result).or_default() += 1;
        // It grows as needed, so that there is no latency that it refuses.
        let _ = self.latencies.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// There was none.
    pub(super) fn unanswered(&mut self, reason: String) {
        self.unanswered += 1;
        self.first_error.get_or_insert(reason);
    }

    /// Add what another sender counted.
    pub(super) fn add(&mut self, other: Self) {
        for (result, count) in other.counts {
            *self.counts.entry(result).or_default() += count;
        }
        // Both have the same range.
        let _ = self.latencies.add(other.latencies);
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        if self.first_error.is_none() {
            self.first_error = other.first_error;
        }
    }

    /// Whether every request got a 2xx.
    pub(super) fn all_fine(&self) -> bool {
        self.refused == 0 && self.unanswered == 0
    }

    /// One of the reasons why there was no answer.
    pub(super) fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// The summary for people.
    pub(super) fn summary(&self, took: Duration, concurrency: u64) -> String {
        let (total, rate) = self.total(took);
        let mut text = format!(
            "{total} requests, {concurrency} at a time, in {:.2} s: {rate:.0} requests/s\n",
            took.as_secs_f64()
        );
        let unanswered = (self.unanswered > 0).then(|| ("no answer".to_owned(), self.unanswered));
        let counts = self.counts.iter().map(|(result, count)| (result.to_string(), *count));
        for (label, count) in counts.chain(unanswered) {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{count:>10}  {label}");
        }
        let at = |percent| milliseconds(self.latency(percent));
        if !self.latencies.is_empty() {
            let _ = write!(
                text,
                "latency: p50 {}, p90 {}, p99 {}, max {}",
                at(50.0),
                at(90.0),
                at(99.0),
                at(100.0)
            );
        }
        text.trim_end().to_owned()
    }

    /// The same as one JSON object.
    pub(super) fn json(&self, took: Duration, concurrency: u64) -> String {
        let (total, rate) = self.total(took);
        let results = self.counts.iter().map(|(result, count)| {
            let Answered { status, outcome, is_reused } = result;
            json!({"status": status, "outcome": outcome, "reused": is_reused, "count": count})
        });
        let at = |percent| self.latency(percent).as_secs_f64() * 1e3;
        let latencies = (!self.latencies.is_empty())
            .then(|| json!({"p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "max": at(100.0)}));
        let summary = json!({
            "requests": total,
            "concurrency": concurrency,
            "seconds": took.as_secs_f64(),
            "requests_per_second": rate,
            "results": results.collect::<Vec<_>>(),
            "unanswered": self.unanswered,
            "milliseconds": latencies,
        });
        summary.to_string()
    }

    fn total(&self, took: Duration) -> (u64, f64) {
        let total = self.counts.values().sum::<u64>() + self.unanswered;
        (total, total as f64 / took.as_secs_f64().max(f64::EPSILON))
    }

    fn latency(&self, percent: f64) -> Duration {
        let latency = self.latencies.value_at_percentile(percent).min(self.latencies.max());
        Duration::from_micros(latency)
    }
}

/// An empty histogram that grows as needed, exact to three digits.
#[expect(clippy::expect_used, reason = "only more than five digits are refused")]
fn latencies() -> Histogram<u64> {
    Histogram::new(3).expect("three digits")
}

/// A span as milliseconds, precise enough for loopback.
pub(super) fn milliseconds(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests;
