//! `GET /history`: the last fifteen minutes in steps of five seconds; and `GET /questions`: what was asked since the start.
//!
//! Both are made of the counters that there are anyway, so that no webhook costs more for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bridge::Bridge;
use crate::publish::Destinations;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::samples::{Sample, Samples};

/// The length of a step.
const STEP: Duration = Duration::from_secs(5);

/// Steps of fifteen minutes.
const MAX_STEPS: usize = 180;

/// The last minutes of one process.
pub struct History {
    bridge: Arc<Bridge>,
    destinations: Arc<Destinations>,
    steps: Mutex<VecDeque<Step>>,
}

/// What happened in one step, and how it was at its end.
#[derive(Debug, Clone, Serialize)]
struct Step {
    /// One more than that of the step before.
    number: u64,
    /// Its end.
    time: String,
    seconds: f64,
    /// Webhooks by outcome.
    webhooks: BTreeMap<String, f64>,
    /// Questions by outcome.
    questions: BTreeMap<String, f64>,
    /// Requests whose sender was not accepted, by reason.
    unauthorized: BTreeMap<String, f64>,
    /// By `event` and `question`.
    latency: BTreeMap<String, Latency>,
    in_flight: BTreeMap<String, f64>,
    in_flight_max: BTreeMap<String, f64>,
    in_flight_bytes: f64,
    in_flight_bytes_max: f64,
    /// 1 or 0.
    brokers: BTreeMap<String, f64>,
    /// Events on disk.
    queued: f64,
    dead_letters: f64,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Latency {
    fn of(histogram: &Histogram) -> Option<Self> {
        let milliseconds = |part| Some((histogram.quantile(part)? * 1e6).round() / 1e3);
        Some(Self { p50: milliseconds(0.5)?, p99: milliseconds(0.99)? })
    }
}

/// What was counted until now.
#[derive(Default)]
struct Totals {
    webhooks: BTreeMap<String, f64>,
    questions: BTreeMap<String, f64>,
    unauthorized: BTreeMap<String, f64>,
    latency: BTreeMap<String, Histogram>,
}

impl Totals {
    fn of(samples: &Samples) -> Self {
        let by = |name, label| samples.sums(name, |sample| Some(sample.label(label).to_owned()));
        Self {
            webhooks: by("hookbus_webhooks_total", "outcome"),
            questions: by("hookbus_questions_total", "outcome"),
            unauthorized: by("hookbus_unauthorized_total", "reason"),
            latency: samples
                .histograms("hookbus_webhook_seconds", |sample| sample.label("kind").to_owned()),
        }
    }
}

/// What came since; nothing is said of what didn't.
fn since(now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let more = |(key, now): (&String, &f64)| {
        let more = now - before.get(key).copied().unwrap_or_default();
        (more > 0.0).then(|| (key.clone(), more))
    };
    now.iter().filter_map(more).collect()
}

impl History {
    /// Of this bridge.
    pub fn new(bridge: Arc<Bridge>, destinations: Arc<Destinations>) -> Self {
        Self { bridge, destinations, steps: Mutex::default() }
    }

    /// Add a step every five seconds, for as long as this lives.
    pub async fn keep(self: Arc<Self>) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (mut before, mut began) = (Totals::of(&self.samples()), Instant::now());
        loop {
            ticks.tick().await;
            let (samples, now) = (self.samples(), Instant::now());
            let totals = Totals::of(&samples);
            self.add(&samples, &totals, &before, now - began);
            (before, began) = (totals, now);
        }
    }

    fn samples(&self) -> Samples {
        self.bridge.limits.report(&self.bridge.metrics);
        self.destinations.report();
        Samples::read(&self.bridge.metrics.overview())
    }

    fn add(&self, samples: &Samples, now: &Totals, before: &Totals, took: Duration) {
        let by = |name, label| samples.sums(name, |sample| Some(sample.label(label).to_owned()));
        let value = |name| samples.value(name).unwrap_or_default();
        let latency = |(kind, now): (&String, &Histogram)| {
            let since = before.latency.get(kind).map_or_else(|| now.clone(), |old| now.since(old));
            Some((kind.clone(), Latency::of(&since)?))
        };
        let mut steps = self.steps.lock();
        let step = Step {
            number: steps.back().map_or(1, |last| last.number + 1),
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            seconds: took.as_secs_f64(),
            webhooks: since(&now.webhooks, &before.webhooks),
            questions: since(&now.questions, &before.questions),
            unauthorized: since(&now.unauthorized, &before.unauthorized),
            latency: now.latency.iter().filter_map(latency).collect(),
            in_flight: by("hookbus_in_flight", "kind"),
            in_flight_max: by("hookbus_in_flight_max", "kind"),
            in_flight_bytes: value("hookbus_in_flight_bytes"),
            in_flight_bytes_max: value("hookbus_in_flight_bytes_max"),
            brokers: by("hookbus_broker_connected", "broker"),
            queued: samples.named("hookbus_spool_records").map(|sample| sample.value).sum(),
            dead_letters: value("hookbus_dead_letters"),
        };
        if steps.len() >= MAX_STEPS {
            steps.pop_front();
        }
        steps.push_back(step);
    }

    /// Those after the step of this number.
    fn after(&self, number: u64) -> Vec<Step> {
        self.steps.lock().iter().filter(|step| step.number > number).cloned().collect()
    }

    fn questions(&self) -> Vec<Asked> {
        fn key(sample: &Sample) -> [String; 3] {
            ["endpoint", "type", "function"].map(|label| sample.label(label).to_owned())
        }
        let samples = Samples::read(&self.bridge.metrics.text());
        let latency = samples.histograms("hookbus_ask_seconds", key);
        let mut all = BTreeMap::<_, Asked>::new();
        for sample in samples.named("hookbus_questions_total").filter(|it| it.value > 0.0) {
            let key = key(sample);
            let [endpoint, r#type, function] = key.clone();
            let latency = latency.get(&key).and_then(Latency::of);
            let new = || Asked { endpoint, r#type, function, latency, outcomes: BTreeMap::new() };
            let outcomes = &mut all.entry(key).or_insert_with(new).outcomes;
            outcomes.insert(sample.label("outcome").to_owned(), sample.value);
        }
        all.into_values().collect()
    }
}

/// How the questions of one function, or of one type, ended since the start.
#[derive(Debug, Serialize)]
struct Asked {
    endpoint: String,
    /// Empty for a function.
    r#type: String,
    /// Empty for a type that is asked as a whole.
    function: String,
    latency: Option<Latency>,
    outcomes: BTreeMap<String, f64>,
}

pub(super) fn router(history: Arc<History>) -> Router {
    let all = history.clone();
    let steps = move |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let after = pairs.find(|(name, _)| name == "after").and_then(|(_, text)| text.parse().ok());
        super::json(&serde_json::json!({ "steps": all.after(after.unwrap_or_default()) }))
    };
    let questions = move || async move {
        super::json(&serde_json::json!({ "questions": history.questions() }))
    };
    Router::new().route("/history", get(steps)).route("/questions", get(questions))
}
