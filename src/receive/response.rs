//! Statuses and bodies: the only place where a refusal becomes one.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::bridge::Done;
use crate::message::{self, Outcome, Refusal};

const ID: HeaderName = HeaderName::from_static("hookbus-id");
const OUTCOME: HeaderName = HeaderName::from_static("hookbus-outcome");

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The encodings of a body that are read.
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// The response to a webhook.
pub(super) fn of(done: Done) -> Response {
    let mut response = match done.reply {
        Ok(reply) => {
            let body = match reply.body {
                message::Body::Whole(bytes) => Body::from(bytes),
                message::Body::Stream(stream) => Body::from_stream(stream),
            };
            let mut response = Response::new(body);
            if reply.is_accepted {
                *response.status_mut() = StatusCode::ACCEPTED;
            }
            let content_type = match reply.content_type {
                Cow::Borrowed(known) => HeaderValue::from_static(known),
                // What a worker says was checked when it came.
                Cow::Owned(said) => HeaderValue::try_from(said).unwrap_or(BYTES),
            };
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        Err(refusal) => refused(&refusal),
    };
    let headers = response.headers_mut();
    if let Some(id) = done.id.and_then(|id: Arc<str>| HeaderValue::from_str(&id).ok()) {
        headers.insert(ID, id);
    }
    if let Some(outcome) = done.outcome {
        headers.insert(OUTCOME, HeaderValue::from_static(outcome.as_str()));
    }
    if let Some(tap) = done.tap {
        tap.answered(response.status().as_u16());
    }
    response
}

fn refused(refusal: &Refusal) -> Response {
    let (status, retry) = match refusal {
        Refusal::NoSuchPath { .. } => (StatusCode::NOT_FOUND, false),
        Refusal::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, false),
        Refusal::Host => (StatusCode::BAD_REQUEST, false),
        Refusal::TooFast { .. } => (StatusCode::TOO_MANY_REQUESTS, true),
        Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, false),
        Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, false),
        Refusal::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, false),
        Refusal::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, false),
        Refusal::Overloaded(_)
        | Refusal::Incomplete(_)
        | Refusal::NotStored(_)
        | Refusal::Undecided => (StatusCode::SERVICE_UNAVAILABLE, true),
        Refusal::Unanswered(outcome) => match outcome {
            Outcome::Timeout | Outcome::Answered => (StatusCode::GATEWAY_TIMEOUT, false),
            Outcome::NoResponders
            | Outcome::NotPermitted
            | Outcome::Disconnected
            | Outcome::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, true),
            Outcome::WorkerError | Outcome::BadReply | Outcome::TooLarge => {
                (StatusCode::BAD_GATEWAY, false)
            }
        },
    };
    let mut response = problem(status, &refusal.to_string());
    match refusal {
        Refusal::Encoding => {
            response.headers_mut().insert(header::ACCEPT_ENCODING, ENCODINGS);
        }
        Refusal::Method { is_health } => {
            let methods = if *is_health { "GET, HEAD" } else { "POST" };
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        _ => {}
    }
    if retry {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after(refusal));
    }
    response
}

/// Seconds after which it is worth trying again.
fn retry_after(refusal: &Refusal) -> HeaderValue {
    match refusal {
        Refusal::TooFast { wait } => wait.as_secs_f64().ceil().max(1.0) as u64,
        _ => 1,
    }
    .into()
}

/// Whether to send traffic here. Everybody may ask: that is all that is said.
pub(super) fn health(is_ready: bool) -> Response {
    let (status, text) = match is_ready {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Problem details (RFC 9457); the title is the status's own.
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
