//! The senders, each for keys of its own.
//!
//! Some send one webhook after the other, and half of those send what was refused again, as a provider with a plan for
//! retries does. The others have several webhooks of one key in flight at once: over several connections, pipelined over
//! one, or as streams of HTTP/2.

mod connection;
mod http2;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use self::sender::{Post, Sender};
use crate::history::{Attempt, Clock, Sent};
use crate::random::Random;
use crate::webhook::Kind;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) keys: usize,
    /// Webhooks a second, over all connections.
    pub(crate) rate: usize,
    /// One webhook in six is a question of 64 KB.
    pub(crate) has_large_questions: bool,
}

pub(crate) struct Load {
    counts: Arc<Counts>,
    senders: JoinSet<Told>,
}

/// What one sender knows.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) sent: Vec<Sent>,
    /// When a connection was refused.
    pub(crate) refused: Vec<Duration>,
}

/// What was sent so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    stop: AtomicBool,
    next: AtomicU64,
    stored: AtomicU64,
    spooled: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Events that were answered 200.
    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Events that were answered 202.
    pub(crate) fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::Relaxed)
    }

    /// Answers of 503.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn add(&self, kind: Kind, attempt: &Attempt) {
        let count = match attempt.status() {
            Some(200) if kind != Kind::Question => &self.stored,
            Some(202) => &self.spooled,
            Some(503) => &self.refused,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Load {
    pub(crate) fn start(
        address: &str,
        path: &str,
        shape: Shape,
        clock: Clock,
        random: &mut Random,
    ) -> Load {
        let counts = Arc::new(Counts::default());
        let post = Arc::new(Post {
            address: address.to_owned(),
            path: path.to_owned(),
            clock,
            counts: counts.clone(),
        });
        let mut senders = JoinSet::new();
        for number in 0..shape.connections {
            let keys = (number..shape.keys).step_by(shape.connections).collect();
            let interval = Duration::from_secs_f64(shape.connections as f64 / shape.rate as f64);
            let sender = Sender::new(post.clone(), keys, interval, shape, random.part());
            match number % 8 {
                0 | 2 => senders.spawn(sender.one_by_one(true)),
                1 | 3 => senders.spawn(sender.one_by_one(false)),
                4 | 5 => senders.spawn(sender.several()),
                6 => senders.spawn(sender.pipelined()),
                _ => senders.spawn(sender.streams()),
            };
        }
        Load { counts, senders }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Lets each sender finish what it has begun.
    pub(crate) async fn finish(&mut self) -> Told {
        self.counts.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for told in std::mem::take(&mut self.senders).join_all().await {
            all.sent.extend(told.sent);
            all.refused.extend(told.refused);
        }
        all
    }
}
