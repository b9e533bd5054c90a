//! `GET /tail`: webhooks as they are answered, one JSON object a line, until the reader goes away. With `rate=N` it is a
//! sample of at most `N` a second, and the others are counted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{FutureExt, stream};
use http::{StatusCode, header};
use tokio::time::{Instant, timeout_at};

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
    let mut rate = None;
    let filter = Filter::read_with(query, |name, value| {
        let error = |_| format!("`rate` is a number of webhooks a second, and not `{value}`");
        let is_rate = name == "rate";
        if is_rate {
            rate = Some(value.parse().map_err(error)?);
        }
        Ok(is_rate)
    });
    let filter = filter.map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let subscriber = live_tail.subscribe(filter).map_err(|refused| {
        let status = match refused {
            Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Bodies => StatusCode::FORBIDDEN,
        };
        (status, refused.to_string())
    })?;
    let sampler = Sampler { subscriber, rate, began: Instant::now(), passed: 0, left_out: 0 };
    Ok(([(header::CONTENT_TYPE, LINES)], body(sampler)).into_response())
}

/// A subscription that passes on only so many webhooks a second.
struct Sampler {
    subscriber: Subscriber,
    rate: Option<u32>,
    /// When the current second began, and how many were passed on and left out in it.
    began: Instant,
    passed: u32,
    left_out: u64,
}

impl Sampler {
    /// Cancellation loses nothing.
    async fn next(&mut self) -> Option<Line> {
        loop {
            let end = self.began + Duration::from_secs(1);
            if Instant::now() >= end {
                (self.began, self.passed) = (Instant::now(), 0);
                if self.left_out > 0 {
                    return Some(Line::Lost { count: std::mem::take(&mut self.left_out) });
                }
            }
            let next = if self.left_out > 0 {
                timeout_at(end, self.subscriber.next()).await
            } else {
                Ok(self.subscriber.next().await)
            };
            match next {
                Ok(Some(Line::Webhook(_))) if self.rate.is_some_and(|rate| self.passed >= rate) => {
                    self.left_out += 1;
                }
                Ok(line) => {
                    self.passed += 1;
                    return line;
                }
                Err(_) => {}
            }
        }
    }
}

/// The lines as they come, those that are there already together.
fn body(sampler: Sampler) -> Body {
    Body::from_stream(stream::unfold(sampler, async |mut subscriber| {
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
