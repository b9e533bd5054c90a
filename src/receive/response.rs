//! Statuses and bodies: the only place where a refusal becomes one.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::bridge::{self, Done};
use crate::config::provider::Refuse;
use crate::message::{self, Outcome, Refusal};

const ID: HeaderName = HeaderName::from_static("hookbus-id");
const OUTCOME: HeaderName = HeaderName::from_static("hookbus-outcome");
/// Some answer is that to an earlier delivery of the same call.
const REUSED: HeaderName = HeaderName::from_static("hookbus-reused");

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The encodings of a body that are read.
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// The response to a webhook.
pub(super) fn of(done: Done, refuse: &Refuse) -> Response {
    let reason = done.reason();
    let mut response = match done.reply {
        Ok(reply) => {
            let body = match reply.body {
                message::Body::Whole(bytes) => Body::from(bytes),
                message::Body::Stream(stream) => Body::from_stream(stream),
            };
            let mut response = Response::new(body);
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            let content_type = match reply.content_type {
                Cow::Borrowed(known) => HeaderValue::from_static(known),
                // What a worker says was checked when it came.
                Cow::Owned(said) => HeaderValue::try_from(said).unwrap_or(BYTES),
            };
            if !content_type.is_empty() {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
        Err(refusal) => refused(&refusal, refuse),
    };
    let headers = response.headers_mut();
    if let Some(id) = done.id.and_then(|id: Arc<str>| HeaderValue::from_str(&id).ok()) {
        headers.insert(ID, id);
    }
    if let Some(outcome) = done.outcome {
        headers.insert(OUTCOME, HeaderValue::from_static(outcome.as_str()));
    }
    if done.reused {
        headers.insert(REUSED, HeaderValue::from_static("true"));
    }
    if let Some(tap) = done.tap {
        tap.answered(response.status().as_u16());
    }
    bridge::answered(done.span, response.status(), reason);
    response
}

/// The status of a refusal, and whether it is worth trying again.
fn status(refusal: &Refusal) -> (StatusCode, bool) {
    match refusal {
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
    }
}

/// What a provider wants instead of a usual status, where that does harm.
fn instead(refuse: &Refuse, refusal: &Refusal, status: StatusCode) -> Option<u16> {
    match (refusal, status) {
        (Refusal::Unanswered(_), _) => None,
        (_, StatusCode::UNAUTHORIZED) => refuse.unauthorized,
        (_, StatusCode::BAD_REQUEST) => refuse.malformed,
        (_, StatusCode::PAYLOAD_TOO_LARGE) => refuse.too_large,
        (_, StatusCode::UNSUPPORTED_MEDIA_TYPE) => refuse.encoding,
        (_, StatusCode::TOO_MANY_REQUESTS) => refuse.rate_limited,
        (_, StatusCode::SERVICE_UNAVAILABLE) => refuse.unavailable,
        _ => None,
    }
}

fn refused(refusal: &Refusal, refuse: &Refuse) -> Response {
    let (status, retry) = status(refusal);
    let instead = instead(refuse, refusal, status);
    let status = instead.and_then(|it| StatusCode::from_u16(it).ok()).unwrap_or(status);
    let mut response = problem(status, &refusal.to_string());
    match refusal {
        Refusal::Encoding => {
            response.headers_mut().insert(header::ACCEPT_ENCODING, ENCODINGS);
        }
        Refusal::Method { allowed } => {
            if let Ok(allowed) = HeaderValue::from_str(allowed) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
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
