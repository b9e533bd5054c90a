//! `GET /status`: which build runs since when, whether it is ready, and whether anything was lost.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::publish::Destinations;
use crate::publish::balance::Balance;
use crate::telemetry::health::Health;

/// The path.
pub const STATUS: &str = "/status";

/// What a bridge says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of the package.
    pub version: String,
    /// The commit that it was built from; empty where that isn't known.
    pub commit: String,
    /// Since when it runs, in seconds.
    pub uptime_seconds: u64,
    /// Whether traffic should be sent there.
    pub is_ready: bool,
    /// The lines of `/readyz`.
    pub readiness: Vec<String>,
    /// Where the events are.
    pub balance: Balance,
}

pub(super) fn router(destinations: Arc<Destinations>, health: Arc<Health>) -> Router {
    let start = Instant::now();
    let handle = async move || {
        let (is_ready, readiness) = health.readiness();
        super::json(&Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("HOOKBUS_COMMIT").to_owned(),
            uptime_seconds: start.elapsed().as_secs(),
            is_ready,
            readiness: readiness.lines().map(str::to_owned).collect(),
            balance: destinations.balance(),
        })
    };
    Router::new().route(STATUS, get(handle))
}
