//! The live tail: each webhook and its result, for subscribers; and the questions asked lately.
//!
//! It promises to slow nothing down. Without subscribers, a webhook costs one relaxed load. A line is made only for
//! subscribers, and handed to a ring of bounded size: who reads too slowly loses the oldest lines, and is told how many.
//! Bodies are in no line, unless the configuration allows it and a subscriber asks for them; then they are cut, and secrets
//! are left out.
//!
//! Left out: history. Who comes later sees what comes later.

mod recent;
mod filter;
mod line;
mod redact;
mod tap_record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

pub use self::filter::Filter;
pub use self::line::{Asked, DestinationReceipt, Kind, Line, Question, Webhook};
pub use self::recent::{RecentQuestion, RecentQuestions};
use self::redact::Redaction;
pub use self::tap_record::{TapProgress, TapRecord};
use crate::config;
use crate::message::HangUp;

/// Subscribers at the same time.
pub const MAX_SUBSCRIBERS: usize = 16;

/// Lines that a subscriber may be behind.
const MAX_LAG: usize = 1_024;

/// The same for lines with bodies: each body, and all that workers got of it, takes 64 KiB at most, so that it is 16 MiB.
const MAX_LAG_WITH_BODIES: usize = 128;

/// The webhooks of one process.
pub struct LiveTail {
    shared: Arc<Shared>,
    /// What was asked lately.
    pub recent: RecentQuestions,
}

struct Shared {
    /// All of them, and those that are counted.
    subscribers: AtomicUsize,
    followers: AtomicUsize,
    shows_bodies: AtomicBool,
    redaction: ArcSwap<Redaction>,
    lines: broadcast::Sender<Arc<Webhook>>,
    with_bodies: broadcast::Sender<Arc<Webhook>>,
}

impl Default for LiveTail {
    fn default() -> Self {
        let shared = Shared {
            subscribers: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            shows_bodies: AtomicBool::new(false),
            redaction: ArcSwap::default(),
            lines: broadcast::Sender::new(MAX_LAG),
            with_bodies: broadcast::Sender::new(MAX_LAG_WITH_BODIES),
        };
        Self { shared: Arc::new(shared), recent: RecentQuestions::default() }
    }
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many subscribers as there may be.
    #[error(
        "{MAX_SUBSCRIBERS} others follow already, which is as many as may\nhint: end one of them, and try again"
    )]
    TooMany,
    /// The configuration doesn't allow it.
    #[error(
        "bodies are not shown here\nhint: `bodies = true` in [tail] allows it, after a reload; without --bodies, the rest is shown"
    )]
    Bodies,
}

impl LiveTail {
    /// Whether subscribers may ask for bodies, and what is left out of them; it holds for those who are subscribed already,
    /// too.
    pub fn configure(&self, settings: &config::Tail) {
        self.shared.redaction.store(Arc::new(Redaction::new(&settings.redact)));
        self.shared.shows_bodies.store(settings.bodies, Ordering::Relaxed);
    }

    /// Follow what comes from now on.
    pub fn subscribe(&self, filter: Filter) -> Result<Subscriber, Refused> {
        let shared = &self.shared;
        if filter.bodies && !shared.shows_bodies.load(Ordering::Relaxed) {
            return Err(Refused::Bodies);
        }
        let take = |count| (count < MAX_SUBSCRIBERS).then_some(count + 1);
        let taken = shared.followers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| Refused::TooMany)?;
        Ok(Subscriber::new(shared, filter, true))
    }

    /// The same for a part of this process, all of it and without bodies: it takes no place from anybody.
    pub fn subscribe_within(&self) -> Subscriber {
        Subscriber::new(&self.shared, Filter::default(), false)
    }

    /// A note of a webhook that has just come; nothing when nobody would read it. `hang_up` tells when its sender goes.
    pub fn record(&self, endpoint: &Arc<str>, hang_up: &Arc<HangUp>) -> Option<TapRecord> {
        let has_subscribers = self.shared.has_subscribers();
        has_subscribers
            .then(|| TapRecord::new(self.shared.clone(), endpoint.clone(), hang_up.clone()))
    }
}

impl Shared {
    fn has_subscribers(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    fn wants_bodies(&self) -> bool {
        self.shows_bodies.load(Ordering::Relaxed) && self.with_bodies.receiver_count() > 0
    }

    /// Hand a line to all subscribers, with what only some of them see. One that has just gone does not need it.
    fn send(&self, line: Webhook, body: Option<String>, asked: Vec<Asked>) {
        if self.with_bodies.receiver_count() > 0 {
            let _ = self.with_bodies.send(Arc::new(Webhook { body, asked, ..line.clone() }));
        }
        if self.lines.receiver_count() > 0 {
            let _ = self.lines.send(Arc::new(line));
        }
    }
}

/// A subscription, until it is dropped.
pub struct Subscriber {
    lines: broadcast::Receiver<Arc<Webhook>>,
    filter: Filter,
    shared: Arc<Shared>,
    is_counted: bool,
}

impl Subscriber {
    fn new(shared: &Arc<Shared>, filter: Filter, is_counted: bool) -> Self {
        shared.subscribers.fetch_add(1, Ordering::Relaxed);
        let lines = if filter.bodies { &shared.with_bodies } else { &shared.lines };
        Self { lines: lines.subscribe(), filter, shared: shared.clone(), is_counted }
    }

    /// The next line that fits, as soon as there is one; nothing when nothing will come any more.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.filter.matches(&line) => return Some(Line::Webhook(line)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    return Some(Line::Lost { count });
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.subscribers.fetch_sub(1, Ordering::Relaxed);
        self.shared.followers.fetch_sub(usize::from(self.is_counted), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
