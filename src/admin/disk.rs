//! Dead letters and the queues on disk over HTTP: one JSON object a line, for as long as it takes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use http::{Method, StatusCode, header};

use crate::publish::dead_letters::{self, Line, Lines, Refused, SpoolTasks, Task};

/// The content type of lines of JSON.
pub(super) const LINES: &str = "application/x-ndjson";

/// How many lines are sent at once.
const AT_ONCE: usize = 64;

/// What `hookbus dlq` and `hookbus spool` use.
pub(super) fn router(spool_tasks: Arc<SpoolTasks>) -> Router {
    let handle = move |request: Request| async move {
        answer(&spool_tasks, &request)
            .unwrap_or_else(|(status, text)| (status, text + "\n").into_response())
    };
    Router::new()
        .route(dead_letters::LIST, get(handle.clone()))
        .route(dead_letters::REPLAY, post(handle.clone()))
        .route(dead_letters::DROP, post(handle.clone()))
        .route(dead_letters::QUEUES, get(handle.clone()))
        .route(dead_letters::DRAIN, post(handle))
}

type Failure = (StatusCode, String);

fn answer(spool_tasks: &SpoolTasks, request: &Request) -> Result<Response, Failure> {
    let (uri, is_post) = (request.uri(), request.method() == Method::POST);
    let task = Task::read(is_post, uri.path(), uri.query().unwrap_or_default())
        .ok_or_else(|| (StatusCode::NOT_FOUND, "there is nothing here".to_owned()))?
        .map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let lines = spool_tasks.begin(task).map_err(refused)?;
    Ok(([(header::CONTENT_TYPE, LINES)], body(lines)).into_response())
}

fn refused(refused: Refused) -> Failure {
    let status = match refused {
        Refused::Busy | Refused::Drained(_) => StatusCode::CONFLICT,
        Refused::NoSpool | Refused::NoQueue(_) => StatusCode::NOT_FOUND,
        Refused::Everything | Refused::Destination(_) => StatusCode::BAD_REQUEST,
        Refused::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, refused.to_string())
}

/// The lines as they come. A reader that goes away ends the task.
fn body(lines: Lines) -> Body {
    Body::from_stream(stream::unfold(lines, async |mut lines| {
        let mut some = Vec::with_capacity(AT_ONCE);
        if lines.recv_many(&mut some, AT_ONCE).await == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(some.len() * 512);
        for line in &some {
            write(&mut bytes, line);
        }
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), lines))
    }))
}

fn write(bytes: &mut Vec<u8>, line: &Line) {
    // Neither can fail: it is text and numbers, and memory.
    if serde_json::to_writer(&mut *bytes, line).is_ok() {
        bytes.push(b'\n');
    }
}
