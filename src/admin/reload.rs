//! Taking over a changed configuration, on request: `POST /reload`, answered when it is done or refused.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};

/// What came of it: what was taken over, or everything that is in the way.
pub type Reloaded = Result<Taken, Vec<String>>;

/// A configuration that was taken over.
#[derive(Debug, Default)]
pub struct Taken {
    /// What has changed, a line each.
    pub changes: Vec<String>,
    /// What is probably not meant so, as `hookbus check` says it.
    pub warnings: Vec<String>,
}

/// Where requests to reload go; the task that reloads answers each.
pub type Asking = mpsc::Sender<oneshot::Sender<Reloaded>>;

pub(super) fn router(asking: Asking) -> Router {
    let handle = async move || {
        let (answer, outcome) = oneshot::channel();
        match asking.send(answer).await {
            Ok(()) => said(outcome.await.ok()),
            Err(_) => said(None),
        }
    };
    Router::new().route("/reload", post(handle))
}

/// `None` where nothing can be reloaded: `hookbus dev` has no file, and a bridge that stops takes over nothing.
fn said(outcome: Option<Reloaded>) -> Response {
    let text = |lines: Vec<String>| lines.join("\n") + "\n";
    match outcome {
        Some(Ok(Taken { mut changes, warnings })) => {
            if changes.is_empty() {
                changes.push("nothing has changed".to_owned());
            }
            changes.extend(warnings);
            (StatusCode::OK, text(changes)).into_response()
        }
        Some(Err(problems)) => (StatusCode::UNPROCESSABLE_ENTITY, text(problems)).into_response(),
        None => {
            (StatusCode::SERVICE_UNAVAILABLE, "there is nothing to reload from\n").into_response()
        }
    }
}
