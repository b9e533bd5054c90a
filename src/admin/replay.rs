//! Parked events and left queues over HTTP: one JSON object a line, for as long as it takes.
//!
//! It asks for no password, so that it is served on loopback only, and to nothing that a web page can send: a page may
//! make a browser of this machine post to any address, under any host name, but not without an `Origin`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use http::{Method, StatusCode, header};

use crate::publish::replay::{Line, Lines, Refused, Replays, Task};

const LINES: &str = "application/x-ndjson";

/// How many lines are sent at once.
const AT_ONCE: usize = 64;

/// `GET /parked`, `GET /queues`, `POST /replay`, `POST /drop`.
pub(super) fn router(replays: Arc<Replays>, address: IpAddr) -> Router {
    let handle = move |request: Request| async move {
        answer(&replays, address, &request)
            .unwrap_or_else(|(status, text)| (status, text + "\n").into_response())
    };
    Router::new()
        .route("/parked", get(handle.clone()))
        .route("/queues", get(handle.clone()))
        .route("/replay", post(handle.clone()))
        .route("/drop", post(handle))
}

type Failure = (StatusCode, String);

fn answer(replays: &Replays, address: IpAddr, request: &Request) -> Result<Response, Failure> {
    check(address, request)?;
    let (uri, is_post) = (request.uri(), request.method() == Method::POST);
    let task = Task::read(is_post, uri.path(), uri.query().unwrap_or_default())
        .ok_or_else(|| (StatusCode::NOT_FOUND, "there is nothing here".to_owned()))?
        .map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let lines = replays.begin(task).map_err(refused)?;
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

/// Whether whoever asks may.
fn check(address: IpAddr, request: &Request) -> Result<(), Failure> {
    let failed = |text: &str| Err((StatusCode::FORBIDDEN, text.to_owned()));
    if !address.is_loopback() {
        return failed(
            "parked events are shown and replayed on loopback only, and `admin.listen` is another address\n\
             hint: set `admin.listen` to a loopback address, such as \"127.0.0.1:9180\"; or stop the bridge, and \
             `hookbus replay --config FILE` does it without one",
        );
    }
    if request.headers().contains_key(header::ORIGIN) {
        return failed("requests of web pages are not answered");
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or(host);
    if host.is_none_or(|host| !is_local(host)) {
        return failed(
            "the host of the request must be an IP address or localhost, and not a name that anybody can give to this machine",
        );
    }
    Ok(())
}

/// Whether no name service was asked for this host, with or without a port.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_gives_are_local() {
        for host in
            ["127.0.0.1:9180", "127.0.0.1", "[::1]:9180", "[::1]", "localhost:1", "LOCALHOST"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.example.com:9180", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
