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
use crate::activity::{Activity, Filter, Follower, Line, Refused};
use crate::bridge::Bridge;

/// How much is sent at once.
const AT_ONCE: usize = 64 << 10;

pub(super) fn router(bridge: Arc<Bridge>) -> Router {
    let handle = move |RawQuery(query): RawQuery| async move {
        follow(&bridge.activity, &query.unwrap_or_default())
            .unwrap_or_else(|(status, text)| (status, text + "\n").into_response())
    };
    Router::new().route("/tail", get(handle))
}

fn follow(activity: &Activity, query: &str) -> Result<Response, (StatusCode, String)> {
    let filter = Filter::read(query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let follower = activity.follow(filter).map_err(|refused| {
        let status = match refused {
            Refused::Followers => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Bodies => StatusCode::FORBIDDEN,
        };
        (status, refused.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, LINES)], body(follower)).into_response())
}

/// The lines as they come, those that are there already together.
fn body(follower: Follower) -> Body {
    Body::from_stream(stream::unfold(follower, async |mut follower| {
        let mut line = Some(follower.next().await?);
        let mut bytes = Vec::new();
        while let Some(next) = &line {
            write(&mut bytes, next);
            if bytes.len() >= AT_ONCE {
                break;
            }
            line = follower.next().now_or_never().flatten();
        }
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), follower))
    }))
}

fn write(bytes: &mut Vec<u8>, line: &Line) {
    // Neither can fail: it is text and numbers, and memory.
    if serde_json::to_writer(&mut *bytes, line).is_ok() {
        bytes.push(b'\n');
    }
}
