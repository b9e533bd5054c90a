//! `GET /recent`: the last webhooks, without their bodies.
//!
//! A subscriber of the live tail, within this process, keeps them. Lines are made only for subscribers, so it subscribes
//! at the first request and leaves after a quarter of an hour without one. With `always_recent` it is there from the start.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::bridge::Bridge;
use crate::config;
use crate::live_tail::{DestinationReceipt, Filter, Line, Webhook};

/// How long webhooks are kept without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What all of them may take together, in bytes, about.
const MAX_BYTES: usize = 3 << 20;

/// The most that one answer holds.
const MAX_ANSWERED: usize = 500;

/// The last webhooks of one process.
pub struct Recent {
    bridge: Arc<Bridge>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    settings: config::Tail,
    /// Since when they are kept, while they are; and until when, unless there is another request.
    since: Option<String>,
    until: Option<Instant>,
    webhooks: VecDeque<Arc<Webhook>>,
    bytes: usize,
    /// How many came too fast to be kept.
    lost: u64,
}

#[derive(Serialize)]
struct Answer {
    /// Since when they are kept; nothing where none are.
    since: Option<String>,
    /// How many are kept, and how many there may be.
    kept: usize,
    max: usize,
    lost: u64,
    /// Those that fit, the newest first.
    webhooks: Vec<Arc<Webhook>>,
}

impl Recent {
    /// Of this bridge, as configured.
    pub fn new(bridge: Arc<Bridge>, settings: &config::Tail) -> Arc<Self> {
        let recent = Arc::new(Self { bridge, kept: Mutex::default() });
        recent.configure(settings);
        recent
    }

    /// As it is configured now.
    pub fn configure(self: &Arc<Self>, settings: &config::Tail) {
        {
            let mut kept = self.kept.lock();
            kept.settings = settings.clone();
            kept.shrink();
        }
        if settings.always_recent {
            self.begin();
        }
    }

    /// Keep what comes from now on, unless it is kept already.
    fn begin(self: &Arc<Self>) {
        let mut kept = self.kept.lock();
        kept.until = Some(Instant::now() + IDLE_TIMEOUT);
        if kept.settings.recent == 0 || kept.since.is_some() {
            return;
        }
        let mut subscriber = self.bridge.live_tail.subscribe_within();
        kept.since = Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
        drop(kept);
        let recent = self.clone();
        tokio::spawn(async move {
            while let Some(until) = recent.until() {
                match timeout_at(until, subscriber.next()).await {
                    Ok(Some(Line::Webhook(webhook))) => recent.kept.lock().add(webhook),
                    Ok(Some(Line::Lost { count })) => recent.kept.lock().lost += count,
                    Ok(None) => return,
                    // Somebody may have asked meanwhile.
                    Err(_) => {}
                }
            }
        });
    }

    /// When to look again whether to end; nothing when it has ended.
    fn until(&self) -> Option<Instant> {
        let mut kept = self.kept.lock();
        let now = Instant::now();
        let until = match kept.settings.always_recent {
            true => Some(now + IDLE_TIMEOUT),
            false => kept.until.filter(|until| *until > now),
        };
        let until = until.filter(|_| kept.settings.recent > 0);
        if until.is_none() {
            *kept = Kept { settings: kept.settings.clone(), ..Kept::default() };
        }
        until
    }

    fn answer(self: &Arc<Self>, query: &str) -> Result<Response, String> {
        let (mut id, mut limit) = (None, MAX_ANSWERED);
        let filter = Filter::read_with(query, |name, value| {
            match name {
                "id" => id = Some(value.to_owned()),
                "limit" => {
                    limit = value.parse().map_err(|_| "`limit` is a number".to_owned())?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        self.begin();
        let fits = |webhook: &&Arc<Webhook>| {
            let is_it = id.as_ref().is_none_or(|id| webhook.id.as_deref() == Some(id));
            is_it && filter.matches(webhook)
        };
        let kept = self.kept.lock();
        let newest = kept.webhooks.iter().rev().filter(fits);
        let answer = Answer {
            since: kept.since.clone(),
            kept: kept.webhooks.len(),
            max: kept.settings.recent,
            lost: kept.lost,
            webhooks: newest.take(limit.min(MAX_ANSWERED)).cloned().collect(),
        };
        // Written without the lock.
        drop(kept);
        Ok(super::json(&answer))
    }
}

impl Kept {
    fn add(&mut self, webhook: Arc<Webhook>) {
        self.bytes += size(&webhook);
        self.webhooks.push_back(webhook);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.webhooks.len() > self.settings.recent || self.bytes > MAX_BYTES {
            let Some(oldest) = self.webhooks.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

/// What a webhook takes in memory, about; destinations and names are shared with others.
fn size(webhook: &Webhook) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + 16);
    let question = size_of::<crate::live_tail::Question>();
    let questions: usize =
        webhook.questions.iter().map(|it| question + text(&it.function) + text(&it.worker)).sum();
    size_of::<Webhook>()
        + webhook.time.len()
        + webhook.error.as_ref().map_or(0, String::len)
        + [&webhook.id, &webhook.r#type, &webhook.key, &webhook.request, &webhook.trace_id]
            .into_iter()
            .map(text)
            .sum::<usize>()
        + 16 * webhook.destinations.len()
        + size_of::<DestinationReceipt>() * webhook.receipts.len()
        + questions
}

pub(super) fn router(recent: Arc<Recent>) -> Router {
    let handle = move |RawQuery(query): RawQuery| async move {
        recent
            .answer(&query.unwrap_or_default())
            .unwrap_or_else(|error| (StatusCode::BAD_REQUEST, error + "\n").into_response())
    };
    Router::new().route("/recent", get(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(id: usize, key: &str) -> Arc<Webhook> {
        let id = Some(id.to_string().into());
        Arc::new(Webhook { id, key: Some(key.into()), ..Webhook::default() })
    }

    fn kept(recent: usize) -> Kept {
        let settings = config::Tail { recent, ..config::Tail::default() };
        Kept { settings, ..Kept::default() }
    }

    #[test]
    fn the_last_ones_are_kept() {
        let mut kept = kept(3);
        (0..10).for_each(|id| kept.add(webhook(id, "k")));
        let ids: Vec<_> = kept.webhooks.iter().filter_map(|it| it.id.as_deref()).collect();
        assert_eq!(ids, ["7", "8", "9"]);
        kept.settings.recent = 0;
        kept.shrink();
        assert_eq!((kept.webhooks.len(), kept.bytes), (0, 0));
    }

    #[test]
    fn they_take_no_more_than_they_may() {
        let mut kept = kept(usize::MAX);
        (0..10_000).for_each(|id| kept.add(webhook(id, &"k".repeat(1024))));
        assert!(kept.bytes <= MAX_BYTES && kept.bytes > MAX_BYTES - 2048, "{}", kept.bytes);
        assert!(kept.webhooks.len() < 3_000);
    }
}
