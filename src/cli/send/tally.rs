//! What became of many requests, summed up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;

/// Counts by status and outcome, and every latency.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<String, u64>,
    latencies: Vec<Duration>,
    refused: u64,
    unanswered: u64,
    first_error: Option<String>,
}

impl Tally {
    /// There was an answer.
    pub(super) fn answered(
        &mut self,
        status: StatusCode,
        outcome: Option<&str>,
        latency: Duration,
    ) {
        let label = match outcome {
            Some(outcome) => format!("{} {outcome}", status.as_u16()),
            None => status.as_str().to_owned(),
        };
        *self.counts.entry(label).or_default() += 1;
        self.latencies.push(latency);
        self.refused += u64::from(!status.is_success());
    }

    /// There was none.
    pub(super) fn unanswered(&mut self, reason: String) {
        self.unanswered += 1;
        self.first_error.get_or_insert(reason);
    }

    /// Add what another sender counted.
    pub(super) fn add(&mut self, other: Self) {
        for (label, count) in other.counts {
            *self.counts.entry(label).or_default() += count;
        }
        self.latencies.extend(other.latencies);
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
    pub(super) fn summary(&mut self, took: Duration, concurrency: u64) -> String {
        self.latencies.sort_unstable();
        let total = self.counts.values().sum::<u64>() + self.unanswered;
        let rate = total as f64 / took.as_secs_f64().max(f64::EPSILON);
        let mut text = format!(
            "{total} requests, {concurrency} at a time, in {:.2} s: {rate:.0} requests/s\n",
            took.as_secs_f64()
        );
        let unanswered = (self.unanswered > 0).then_some(("no answer", self.unanswered));
        let counts = self.counts.iter().map(|(label, count)| (label.as_str(), *count));
        for (label, count) in counts.chain(unanswered) {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{count:>10}  {label}");
        }
        let at = |percent| milliseconds(percentile(&self.latencies, percent));
        if !self.latencies.is_empty() {
            let _ = write!(
                text,
                "latency: p50 {}, p90 {}, p99 {}, max {}",
                at(50),
                at(90),
                at(99),
                at(100)
            );
        }
        text.trim_end().to_owned()
    }
}

/// The smallest value that so many percent of the sorted values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// A span as milliseconds, precise enough for loopback.
pub(super) fn milliseconds(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&hundred, 50), Duration::from_millis(50));
        assert_eq!(percentile(&hundred, 99), Duration::from_millis(99));
        assert_eq!(percentile(&hundred, 100), Duration::from_millis(100));
        let one = [Duration::from_millis(7)];
        assert_eq!(percentile(&one, 50), one[0]);
        assert_eq!(percentile(&one, 99), one[0]);
        let three: Vec<Duration> = (1..=3).map(Duration::from_millis).collect();
        assert_eq!(percentile(&three, 50), Duration::from_millis(2));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn the_summary_counts_status_and_outcome() {
        let mut tally = Tally::default();
        tally.answered(StatusCode::OK, Some("answered"), Duration::from_millis(2));
        tally.answered(StatusCode::OK, None, Duration::from_micros(1500));
        assert!(tally.all_fine());
        let mut other = Tally::default();
        other.answered(
            StatusCode::SERVICE_UNAVAILABLE,
            Some("no-responders"),
            Duration::from_millis(1),
        );
        other.unanswered("can't connect".to_owned());
        tally.add(other);
        assert!(!tally.all_fine());
        assert_eq!(tally.first_error(), Some("can't connect"));
        assert_eq!(
            tally.summary(Duration::from_secs(2), 3),
            "4 requests, 3 at a time, in 2.00 s: 2 requests/s
         1  200
         1  200 answered
         1  503 no-responders
         1  no answer
latency: p50 1.50 ms, p90 2.00 ms, p99 2.00 ms, max 2.00 ms"
        );
    }
}
