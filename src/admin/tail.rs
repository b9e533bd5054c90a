//! `GET /tail`: webhooks as they are answered, one JSON object a line, until the reader goes away.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{FutureExt, stream};
use http::{StatusCode, header};

use super::disk::LINES;
use crate::bridge::Bridge;
use crate::live_tail::{Filter, Line, LiveTail, Refused, Subscriber};

/// How much is sent at once.
const AT_ONCE: usize = 64 << 10;

pub(super) fn router(bridge: Arc<Bridge>) -> Router {
    let handle = move |RawQuery(query): RawQuery| async move {
        follow(&bridge.live_tail, &query.unwrap_or_default())
            .unwrap_or_else(|(status, text)| (status, text + "\n").into_response())
    };
    Router::new().route("/tail", get(handle))
}

fn follow(live_tail: &LiveTail, query: &str) -> Result<Response, (StatusCode, String)> {
    let filter = Filter::read(query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let subscriber = live_tail.subscribe(filter).map_err(|refused| {
        let status = match refused {
            Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Bodies => StatusCode::FORBIDDEN,
        };
        (status, refused.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, LINES)], body(subscriber)).into_response())
}

/// The lines as they come, those that are there already together.
fn body(subscriber: Subscriber) -> Body {
    Body::from_stream(stream::unfold(subscriber, async |mut subscriber| {
        let mut line = Some(subscriber.next().await?);
        let mut bytes = Vec::new();
        while let Some(next) = &line {
            write(&mut bytes, next);
            if bytes.len() >= AT_ONCE {
                break;
            }
            line = subscriber.next().now_or_never().flatten();
        }
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), subscriber))
    }))
}

fn write(bytes: &mut Vec<u8>, line: &Line) {
    // Neither can fail: it is text and numbers, and memory.
    if serde_json::to_writer(&mut *bytes, line).is_ok() {
        bytes.push(b'\n');
    }
}
