//! The second listener: is it alive, should it get traffic, what does it count, what was parked.

mod replay;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};

use crate::bridge::Bridge;
use crate::publish::Destinations;
use crate::publish::replay::Replays;
use crate::telemetry::health::Health;

/// The content type of the OpenMetrics text format.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes of the admin listener, at the address that it listens on.
pub fn router(
    bridge: Arc<Bridge>,
    destinations: Arc<Destinations>,
    health: Arc<Health>,
    replays: Arc<Replays>,
    address: IpAddr,
) -> Router {
    let ready = move || async move {
        let (is_ready, text) = health.readiness();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, text)
    };
    let metrics = move || async move {
        bridge.limits.report(&bridge.metrics);
        destinations.report();
        ([(header::CONTENT_TYPE, METRICS)], bridge.metrics.text()).into_response()
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(replay::router(replays, address))
}
