//! What is counted, and the listener that shows it: whether this process is alive, whether it is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{StatusCode, header};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::about::{About, Kind};
use super::report::{Report, Reporter};
use super::request::Request;
use crate::server::{self, Handler, Settings, Shutdown, Timeouts};
use crate::telemetry::health::Health;

/// Upper bounds of the histogram buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The content type of the OpenMetrics text format.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections of the listener at a time.
const MAX_CONNECTIONS: usize = 64;

const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(10),
    keep_alive: Duration::from_secs(75),
    write: Duration::from_secs(30),
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GivenUpLabels {
    kept: &'static str,
}

/// Counts what is reported, and hands it on.
pub struct Metrics {
    next: Arc<dyn Reporter>,
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<KindLabels, Histogram, fn() -> Histogram>,
    given_up: Family<GivenUpLabels, Counter>,
}

impl Metrics {
    /// In front of this reporter.
    pub fn new(next: Arc<dyn Reporter>) -> Self {
        let mut registry = Registry::with_prefix("hookbus_forward");
        let requests = Family::<RequestLabels, Counter>::default();
        let seconds: fn() -> Histogram = || Histogram::new(BUCKETS);
        let seconds =
            Family::<KindLabels, Histogram, fn() -> Histogram>::new_with_constructor(seconds);
        let given_up = Family::<GivenUpLabels, Counter>::default();
        registry.register("requests", "Requests by what came of them", requests.clone());
        registry.register("seconds", "From a request to its answer, in seconds", seconds.clone());
        registry.register(
            "given_up",
            "Events that were given up, by whether they were kept as dead letters",
            given_up.clone(),
        );
        Self { next, registry: Mutex::new(registry), requests, seconds, given_up }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry.lock()).is_err() {
            "# the metrics could not be written\n".clone_into(&mut text);
        }
        text
    }
}

impl Reporter for Metrics {
    fn request(&self, report: &Report<'_>) {
        let kind = match report.about.kind {
            Kind::Event => "event",
            Kind::Question => "question",
        };
        let outcome = match report.status {
            _ if !report.outcome.is_empty() => report.outcome,
            Some(200..300) => "2xx",
            Some(300..400) => "3xx",
            Some(400..500) => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabels { kind, outcome }).inc();
        self.seconds.get_or_create(&KindLabels { kind }).observe(report.took.as_secs_f64());
        self.next.request(report);
    }

    fn dry(&self, about: &About, request: &Request) {
        self.next.dry(about, request);
    }

    fn given_up(&self, what: &str, kept: Option<&str>) {
        let kept_label = if kept.is_some() { "true" } else { "false" };
        self.given_up.get_or_create(&GivenUpLabels { kept: kept_label }).inc();
        self.next.given_up(what, kept);
    }

    fn say(&self, text: String) {
        self.next.say(text);
    }
}

/// Answer `/livez`, `/readyz` and `/metrics` at this address, for ever.
pub fn listen(
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> std::io::Result<impl Future<Output = ()>> {
    let listener = server::bind(address)?;
    let ready = move || async move {
        let (is_ready, text) = health.readiness();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, text)
    };
    let metrics = move || async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()) };
    let router = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    let settings = Settings {
        tls: None,
        handler: Handler::Admin(router),
        timeouts: TIMEOUTS,
        max_connections: MAX_CONNECTIONS,
    };
    Ok(server::serve(listener, settings, Shutdown::new()))
}
