//! How a bridge is doing as a whole, and what was asked: what the admin listener's history is made of.
//!
//! It is read every few seconds, and with many endpoints there are a hundred thousand counters. These are summed where
//! they are. Only histograms, which the library can only write, and a few gauges become text and are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::samples::{Sample, Samples};

/// How a bridge is doing as a whole.
pub struct Overview {
    /// Webhooks by outcome.
    pub webhooks: BTreeMap<&'static str, f64>,
    /// Questions by outcome.
    pub questions: BTreeMap<&'static str, f64>,
    /// Requests whose sender was not accepted, by reason.
    pub unauthorized: BTreeMap<&'static str, f64>,
    /// How long webhooks took, by kind.
    pub latency: BTreeMap<String, Histogram>,
    /// What is in flight, brokers, and what is on disk, as in `/metrics`.
    pub gauges: Samples,
}

/// How the questions of one function, or of one type, ended since the start.
pub struct Asked {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Empty for a function.
    pub r#type: Arc<str>,
    /// Empty for a type that is asked as a whole.
    pub function: Arc<str>,
    /// How many ended how; those that there are.
    pub outcomes: BTreeMap<&'static str, f64>,
    /// How long they took.
    pub latency: Histogram,
}

impl Metrics {
    /// How the bridge is doing now.
    pub fn overview(&self) -> Overview {
        let mut questions = BTreeMap::new();
        for question in &self.questions.lock().all {
            for (outcome, count) in question.outcomes() {
                *questions.entry(outcome).or_default() += count;
            }
        }
        let seconds = samples(|registry| {
            registry.register("webhook_seconds", "", self.webhook_seconds.clone());
        });
        let kind = |sample: &Sample| sample.label("kind").to_owned();
        let gauges = samples(|registry| {
            registry.register("in_flight", "", self.in_flight.clone());
            registry.register("in_flight_max", "", self.in_flight_max.clone());
            registry.register("in_flight_bytes", "", self.in_flight_bytes.clone());
            registry.register("in_flight_bytes_max", "", self.in_flight_bytes_max.clone());
            registry.register("broker_connected", "", self.broker_connected.clone());
            registry.register("spool_records", "", self.spool_records.clone());
            registry.register("dead_letters", "", self.dead_letters.clone());
        });
        Overview {
            webhooks: self.webhooks.sums(|labels| labels.outcome),
            questions,
            unauthorized: self.unauthorized.sums(|labels| labels.reason),
            latency: seconds.histograms("hookbus_webhook_seconds", kind),
            gauges,
        }
    }

    /// What was asked since the start, by endpoint, type and function.
    pub fn asked(&self) -> Vec<Asked> {
        let samples = samples(|registry| {
            registry.register("ask_seconds", "", self.ask_seconds.clone());
        });
        let mut latency = samples.histograms("hookbus_ask_seconds", |sample| {
            ["endpoint", "type", "function"].map(|label| sample.label(label))
        });
        let all = self.questions.lock().all.clone();
        let asked = all.iter().filter_map(|question| {
            let outcomes: BTreeMap<_, _> =
                question.outcomes().filter(|(_, count)| *count > 0.0).collect();
            let [endpoint, r#type, function] = question.labels();
            let latency = latency.remove(&[&**endpoint, r#type, function]).unwrap_or_default();
            let [endpoint, r#type, function] = [endpoint, r#type, function].map(Arc::clone);
            (!outcomes.is_empty()).then_some(Asked {
                endpoint,
                r#type,
                function,
                outcomes,
                latency,
            })
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_by(|one, other| one.key().cmp(&other.key()));
        asked
    }
}

impl Asked {
    fn key(&self) -> [&str; 3] {
        [&self.endpoint, &self.r#type, &self.function]
    }
}

/// What these metrics say now.
fn samples(register: impl FnOnce(&mut Registry)) -> Samples {
    let mut registry = Registry::with_prefix("hookbus");
    register(&mut registry);
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = encode_registry(&mut text, &registry);
    Samples::read(&text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{RefusalLabels, Shared, WebhookLabels};
    use super::*;
    use crate::message::Outcome;

    #[test]
    fn it_is_the_sum_of_all_endpoints() {
        let metrics = Metrics::default();
        let shared = |text: &str| Shared(text.into());
        for (endpoint, outcome, count) in
            [("a", "stored", 2), ("b", "stored", 3), ("b", "refused", 1)]
        {
            let labels = WebhookLabels { endpoint: shared(endpoint), r#type: shared("t"), outcome };
            metrics.webhooks.get(&labels).inc_by(count);
        }
        let labels = RefusalLabels { endpoint: shared("a"), reason: "address" };
        metrics.unauthorized.get(&labels).inc();
        for endpoint in ["a", "b"] {
            let question = metrics.function(&endpoint.into(), "f");
            question.ended(Outcome::Answered, Duration::from_millis(20), None);
        }
        let overview = metrics.overview();
        assert_eq!(overview.webhooks, BTreeMap::from([("refused", 1.0), ("stored", 5.0)]));
        assert_eq!(overview.unauthorized, BTreeMap::from([("address", 1.0)]));
        assert_eq!(overview.questions["answered"], 2.0);
        // They are written as any others.
        let samples = Samples::read(&metrics.text());
        let sums = samples.sums("hookbus_webhooks_total", |sample| Some(sample.label("outcome")));
        assert_eq!(sums, overview.webhooks);
    }

    #[test]
    fn what_was_asked_has_its_outcomes_and_latency() {
        let metrics = Metrics::default();
        metrics.function(&"b".into(), "never");
        for (endpoint, outcome) in
            [("b", Outcome::Answered), ("b", Outcome::Timeout), ("a", Outcome::Timeout)]
        {
            let question = metrics.function(&endpoint.into(), "f");
            question.ended(outcome, Duration::from_millis(20), None);
        }
        let asked = metrics.asked();
        let keys: Vec<_> = asked.iter().map(Asked::key).collect();
        assert_eq!(keys, [["a", "", "f"], ["b", "", "f"]]);
        assert_eq!(asked[1].outcomes, BTreeMap::from([("answered", 1.0), ("timeout", 1.0)]));
        assert_eq!(asked[1].latency.count(), 2.0);
    }
}
