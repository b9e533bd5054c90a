//! `GET /workers`: who answers, as NATS micro shows it.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use crate::bridge::Bridge;
use crate::discovery::{Unasked, Workers};

pub(super) fn router(workers: Arc<Workers>, bridge: Arc<Bridge>) -> Router {
    let handle = move || async move { answer(&workers, &bridge).await };
    Router::new().route("/workers", get(handle))
}

async fn answer(workers: &Workers, bridge: &Bridge) -> Response {
    match workers.report(&bridge.live_tail.recent.all()).await {
        Ok(report) => super::json(&report),
        Err(unasked) => {
            let status = match unasked {
                Unasked::NoNats => StatusCode::NOT_FOUND,
                Unasked::NotConnected(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{unasked}\n")).into_response()
        }
    }
}
