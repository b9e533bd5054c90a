//! What the screen shows, made of two looks at a bridge.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::discovery::{Answering, Overview};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::samples::{Sample, Samples};

/// What a bridge said of itself at one time.
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) is_ready: bool,
    /// The lines of `/readyz`.
    pub(super) readiness: Vec<String>,
    pub(super) samples: Samples,
}

/// How long it took half of them, and all but one in a hundred, in seconds; nothing where nothing came.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        Self { p50: histogram.quantile(0.5), p99: histogram.quantile(0.99) }
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Endpoint {
    /// Empty for requests that reached none.
    pub(super) name: String,
    /// Webhooks a second.
    pub(super) rate: f64,
    pub(super) events: Latency,
    pub(super) questions: Latency,
    /// Each that came, a second.
    pub(super) outcomes: Vec<(String, f64)>,
}

/// A function, or a type of question.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Function {
    pub(super) endpoint: String,
    pub(super) name: String,
    /// Questions a second, and those of them that no worker answered.
    pub(super) rate: f64,
    pub(super) failed: f64,
    pub(super) latency: Latency,
    pub(super) workers: Workers,
}

/// Who answers a function.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Workers {
    /// That isn't known.
    #[default]
    Unknown,
    /// None that NATS micro shows.
    None,
    /// So many, of these services.
    Some(usize, String),
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Destination {
    pub(super) name: String,
    /// Events stored a second, and attempts that failed.
    pub(super) rate: f64,
    pub(super) errors: f64,
    pub(super) latency: Latency,
    /// Events that queue on disk, and those of them that wait apart.
    pub(super) queued: f64,
    pub(super) apart: f64,
}

/// What changed between two looks, a second.
pub(super) struct Figures<'a> {
    before: &'a Samples,
    now: &'a Samples,
    seconds: f64,
}

impl<'a> Figures<'a> {
    pub(super) fn between(before: &'a Look, now: &'a Look) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        Self { before: &before.samples, now: &now.samples, seconds }
    }

    /// How long that was, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    pub(super) fn rates<K: Ord>(
        &self,
        name: &str,
        key: impl Fn(&'a Sample) -> Option<K>,
    ) -> BTreeMap<K, f64> {
        let before = self.before.sums(name, &key);
        let rate = |(key, now): (K, f64)| {
            // A process that began anew counts from nothing.
            let since = match before.get(&key) {
                Some(before) if *before <= now => now - before,
                // What comes up only once it happened.
                _ => now,
            };
            let rate = if self.seconds > 0.0 { since / self.seconds } else { 0.0 };
            (key, rate)
        };
        self.now.sums(name, &key).into_iter().map(rate).collect()
    }

    fn latencies<K: Ord>(
        &self,
        name: &str,
        key: impl Fn(&'a Sample) -> K,
    ) -> BTreeMap<K, (f64, Latency)> {
        let before = self.before.histograms(name, &key);
        let latency = |(key, now): (K, Histogram)| {
            let since = before.get(&key).map_or_else(|| now.clone(), |before| now.since(before));
            let rate = if self.seconds > 0.0 { since.count() / self.seconds } else { 0.0 };
            (key, (rate, Latency::from(&since)))
        };
        self.now.histograms(name, &key).into_iter().map(latency).collect()
    }

    /// All endpoints, and one without a name where requests reached none.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let mut all = BTreeMap::<&str, Endpoint>::new();
        let outcome =
            |sample: &'a Sample| Some((sample.label("endpoint"), sample.label("outcome")));
        let stray = |sample: &'a Sample| {
            sample.label("endpoint").is_empty().then(|| ("", sample.label("reason")))
        };
        let outcomes = self.rates("hookbus_webhooks_total", outcome).into_iter();
        let came = self.now.sums("hookbus_refusals_total", stray);
        let strays = self.rates("hookbus_refusals_total", stray).into_iter();
        for ((endpoint, outcome), rate) in outcomes.chain(strays.filter(|(key, _)| came[key] > 0.0))
        {
            let of_it = all.entry(endpoint).or_default();
            of_it.rate += rate;
            if rate > 0.0 {
                of_it.outcomes.push((outcome.to_owned(), rate));
            }
        }
        let kind = |sample: &'a Sample| (sample.label("endpoint"), sample.label("kind"));
        for ((endpoint, kind), (_, latency)) in self.latencies("hookbus_webhook_seconds", kind) {
            let of_it = all.entry(endpoint).or_default();
            match kind {
                "question" => of_it.questions = latency,
                _ => of_it.events = latency,
            }
        }
        let named = all.into_iter().map(|(name, mut endpoint)| {
            endpoint.name = name.to_owned();
            endpoint.outcomes.sort_by(|one, other| other.1.total_cmp(&one.1));
            endpoint
        });
        named.collect()
    }

    /// What was asked since the start of the bridge, and what is configured, with its workers.
    pub(super) fn functions(&self, workers: Option<&Overview>) -> Vec<Function> {
        let name = |sample: &'a Sample| {
            let names = [sample.label("function"), sample.label("type")];
            let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            (sample.label("endpoint"), name)
        };
        let failed = self.rates("hookbus_questions_total", |sample| {
            (sample.label("outcome") != "answered").then(|| name(sample))
        });
        let asked = self.now.sums("hookbus_questions_total", |sample| Some(name(sample)));
        let latencies = self.latencies("hookbus_ask_seconds", name);
        let of = workers.map(|all| all.functions.as_slice()).unwrap_or_default();
        let listed = of.iter().map(|function| (&*function.endpoint, function.name()));
        let known = asked.iter().filter(|(_, count)| **count > 0.0).map(|(key, _)| *key);
        let all: BTreeSet<_> = listed.chain(known).collect();
        let function = |key: (&str, &str)| {
            let (rate, latency) = latencies.get(&key).copied().unwrap_or_default();
            let of_it = of.iter().find(|it| (&*it.endpoint, it.name()) == key);
            Function {
                endpoint: key.0.to_owned(),
                name: key.1.to_owned(),
                rate,
                failed: failed.get(&key).copied().unwrap_or_default(),
                latency,
                workers: of_it.map(Workers::of).unwrap_or_default(),
            }
        };
        all.into_iter().map(function).collect()
    }

    /// Those that are configured, and others for which something queues.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        let name = |sample: &'a Sample| sample.label("destination");
        let named = |sample: &'a Sample| Some(name(sample));
        let latencies = self.latencies("hookbus_publish_seconds", name);
        let errors = self.rates("hookbus_publish_errors_total", named);
        let queued = self.now.sums("hookbus_spool_records", named);
        let apart = self.now.sums("hookbus_spool_apart_records", named);
        let waiting = queued.iter().filter(|(_, count)| **count > 0.0).map(|(name, _)| *name);
        let all: BTreeSet<_> = latencies.keys().copied().chain(waiting).collect();
        let destination = |name: &str| {
            let (rate, latency) = latencies.get(name).copied().unwrap_or_default();
            let count = |all: &BTreeMap<&str, f64>| all.get(name).copied().unwrap_or_default();
            Destination {
                name: name.to_owned(),
                rate,
                errors: count(&errors),
                latency,
                queued: count(&queued),
                apart: count(&apart),
            }
        };
        all.into_iter().map(destination).collect()
    }
}

impl Workers {
    fn of(function: &Answering) -> Self {
        if function.workers.is_empty() {
            // Without a warning, nothing at all came back.
            return if function.warning.is_some() { Self::None } else { Self::Unknown };
        }
        let services: BTreeSet<_> = function
            .workers
            .iter()
            .map(|worker| format!("{} {}", worker.service, worker.version))
            .collect();
        let names: Vec<_> = services.into_iter().collect();
        Self::Some(function.workers.len(), names.join(", "))
    }
}

#[cfg(test)]
mod tests;
