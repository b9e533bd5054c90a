//! `GET /history`: the last fifteen minutes in steps of five seconds; and `GET /questions`: what was asked since the start.
//!
//! Both are made of the counters that there are anyway, so that no webhook costs more for them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::RawQuery;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bridge::Bridge;
use crate::publish::Destinations;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::metrics::{self, Overview};

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

/// How many, by a word.
type Counts = BTreeMap<&'static str, f64>;

/// What happened in one step, and how it was at its end.
#[derive(Debug, Clone, Serialize)]
struct Step {
    /// One more than that of the step before.
    number: u64,
    /// Its end.
    time: String,
    seconds: f64,
    /// Webhooks by outcome.
    webhooks: Counts,
    /// Questions by outcome.
    questions: Counts,
    /// Requests whose sender was not accepted, by reason.
    unauthorized: Counts,
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

/// What came since; nothing is said of what didn't.
fn since(now: &Counts, before: &Counts) -> Counts {
    let more = |(key, now): (&&'static str, &f64)| {
        let more = now - before.get(key).copied().unwrap_or_default();
        (more > 0.0).then_some((*key, more))
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
        let (mut before, mut began) = (self.overview(), Instant::now());
        loop {
            ticks.tick().await;
            let (overview, now) = (self.overview(), Instant::now());
            self.add(&overview, &before, now - began);
            (before, began) = (overview, now);
        }
    }

    fn overview(&self) -> Overview {
        self.bridge.limits.report(&self.bridge.metrics);
        self.destinations.report();
        self.bridge.metrics.overview()
    }

    fn add(&self, now: &Overview, before: &Overview, took: Duration) {
        let gauges = &now.gauges;
        let by = |name, label| gauges.sums(name, |sample| Some(sample.label(label).to_owned()));
        let value = |name| gauges.value(name).unwrap_or_default();
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
            queued: gauges.named("hookbus_spool_records").map(|sample| sample.value).sum(),
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
        self.bridge.metrics.asked().into_iter().map(Asked::of).collect()
    }
}

/// How the questions of one function, or of one type, ended since the start.
#[derive(Debug, Serialize)]
struct Asked {
    endpoint: Arc<str>,
    /// Empty for a function.
    r#type: Arc<str>,
    /// Empty for a type that is asked as a whole.
    function: Arc<str>,
    latency: Option<Latency>,
    outcomes: Counts,
}

impl Asked {
    fn of(asked: metrics::Asked) -> Self {
        let metrics::Asked { endpoint, r#type, function, outcomes, latency } = asked;
        Self { endpoint, r#type, function, outcomes, latency: Latency::of(&latency) }
    }
}

/// The number that the steps have to be above. What isn't known is an error: it could be a misspelt name.
fn after(query: &str) -> Result<u64, String> {
    const HINT: &str = "hint: `after=N` asks for the steps after that number";
    let mut after = 0;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        after = match &*name {
            "after" => value
                .parse()
                .map_err(|_| format!("`after` is a number, and not `{value}`\n{HINT}"))?,
            _ => return Err(format!("unknown parameter `{name}`\n{HINT}")),
        };
    }
    Ok(after)
}

pub(super) fn router(history: Arc<History>) -> Router {
    let all = history.clone();
    let steps = move |RawQuery(query): RawQuery| async move {
        match after(&query.unwrap_or_default()) {
            Ok(after) => super::json(&serde_json::json!({ "steps": all.after(after) })),
            Err(error) => (StatusCode::BAD_REQUEST, error + "\n").into_response(),
        }
    };
    let questions = move || async move {
        super::json(&serde_json::json!({ "questions": history.questions() }))
    };
    Router::new().route("/history", get(steps)).route("/questions", get(questions))
}
