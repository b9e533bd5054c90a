//! The second listener: health, metrics, what is on disk, webhooks as they come and the last ones, routes, workers, whether
//! an event is missing, reloads; and the console, a page that shows all of it.

mod console;
mod disk;
mod guard;
mod history;
mod recent;
pub mod reload;
mod routes;
mod sample;
pub mod status;
mod tail;
mod workers;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Serialize;

pub use self::guard::Guard;
use self::guard::Refused;
pub use self::history::History;
pub use self::recent::Recent;
pub use self::sample::Trial;
use crate::bridge::Bridge;
use crate::discovery::Workers;
use crate::publish::Destinations;
use crate::publish::dead_letters::SpoolTasks;
use crate::receive::{EndpointTable, Receiver};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Unanswered;

/// The content type of the OpenMetrics text format.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most functions and types that `/readyz` names because nobody answers them.
const MAX_UNANSWERED: usize = 20;

/// What nobody answers at the moment, a line each. It says nothing about this process, and doesn't count for its readiness.
fn unanswered(all: &[Unanswered]) -> String {
    let mut text = String::new();
    for Unanswered { name, subject, outcome, ago } in all.iter().take(MAX_UNANSWERED) {
        let (outcome, ago) =
            (outcome.as_str(), humantime::format_duration(Duration::from_secs(ago.as_secs())));
        // Writing to a String can't fail.
        let _ = writeln!(text, "unanswered: {name} ({subject}): {outcome}, last asked {ago} ago");
    }
    if let Some(more @ 1..) = all.len().checked_sub(MAX_UNANSWERED) {
        let _ = writeln!(text, "unanswered: {more} more");
    }
    text
}

/// One JSON object and a line break.
fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json + "\n").into_response(),
        // Text and numbers can be written.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The text that Prometheus reads, with gauges that are set only now.
pub fn metrics_text(bridge: &Bridge, destinations: &Destinations) -> String {
    bridge.limits.report(&bridge.metrics);
    destinations.report();
    bridge.metrics.text()
}

/// What the admin listener shows and changes.
pub struct Parts {
    /// What every webhook meets.
    pub bridge: Arc<Bridge>,
    /// The endpoints.
    pub table: Arc<EndpointTable>,
    /// Where events go.
    pub destinations: Arc<Destinations>,
    /// Whether this process should get traffic.
    pub health: Arc<Health>,
    /// What is done with dead letters and queues.
    pub spool_tasks: Arc<SpoolTasks>,
    /// Who answers.
    pub workers: Arc<Workers>,
    /// The last minutes.
    pub history: Arc<History>,
    /// The last webhooks.
    pub recent: Arc<Recent>,
    /// Where requests to reload go.
    pub asking: reload::Asking,
    /// Who may ask.
    pub guard: Arc<Guard>,
    /// It is a trial on one machine: the console may post samples.
    pub trial: Option<Trial>,
}

/// These routes, for requests that the guard lets in.
fn guarded(
    routes: Router,
    guard: Arc<Guard>,
    check: fn(&Guard, &Request) -> Result<(), Refused>,
) -> Router {
    let layer = move |request: Request, next: Next| {
        let checked = check(&guard, &request);
        async move {
            match checked {
                Ok(()) => next.run(request).await,
                Err(refused) => refused.into_response(),
            }
        }
    };
    routes.route_layer(middleware::from_fn(layer))
}

/// The routes of the admin listener. Health and metrics are there for everybody.
pub fn router(parts: Parts) -> Router {
    let Parts { bridge, destinations, health, guard, .. } = parts;
    let metrics = bridge.metrics.clone();
    let readiness = health.clone();
    let ready = move || async move {
        let (is_ready, mut text) = readiness.readiness();
        text += &unanswered(&metrics.unanswered());
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, text)
    };
    let mut private = disk::router(parts.spool_tasks)
        .merge(reload::router(parts.asking))
        .merge(status::router(destinations.clone(), health.clone()))
        .merge(tail::router(bridge.clone()))
        .merge(workers::router(parts.workers, bridge.clone()))
        .merge(history::router(parts.history))
        .merge(recent::router(parts.recent))
        .merge(routes::router(parts.table.clone()));
    if let Some(trial) = parts.trial {
        let receiver = Receiver { bridge: bridge.clone(), table: parts.table, health };
        private = private.merge(sample::router(receiver.into(), trial));
    }
    let metrics = move || async move {
        let text = metrics_text(&bridge, &destinations);
        ([(header::CONTENT_TYPE, METRICS)], text).into_response()
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(guarded(private, guard.clone(), Guard::check))
        .merge(guarded(console::router(), guard, Guard::check_page))
        .layer(middleware::from_fn(console::secure))
}
