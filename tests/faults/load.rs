//! The senders: connections that send one webhook after the other, each for keys of its own.
//!
//! Within a key the next webhook is sent when the one before was answered. Half of the connections send what was
//! refused again, as a provider with a plan for retries does; the others go on with the next one.

mod connection;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::connection::Connection;
use crate::history::{Attempt, Clock, Sent};
use crate::random::Random;
use crate::webhook::{Kind, Webhook};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a refused webhook is sent again, at the most.
const RETRIES: usize = 20;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) keys: usize,
    /// Webhooks a second, over all connections.
    pub(crate) rate: usize,
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
        let mut senders = JoinSet::new();
        for number in 0..shape.connections {
            let sender = Sender {
                connection: Connection::new(address, path),
                retries: if number % 2 == 0 { RETRIES } else { 0 },
                keys: (number..shape.keys).step_by(shape.connections).collect(),
                interval: Duration::from_secs_f64(shape.connections as f64 / shape.rate as f64),
                clock,
                random: random.part(),
                counts: counts.clone(),
                told: Told::default(),
            };
            senders.spawn(sender.run());
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

struct Sender {
    connection: Connection,
    retries: usize,
    keys: Vec<usize>,
    interval: Duration,
    clock: Clock,
    random: Random,
    counts: Arc<Counts>,
    told: Told,
}

impl Sender {
    async fn run(mut self) -> Told {
        let mut due = Instant::now() + self.random.about(self.interval);
        while !self.stopped() {
            sleep_until(due).await;
            due = (due + self.interval).max(Instant::now());
            let webhook = self.webhook();
            let mut attempts: Vec<Attempt> = Vec::new();
            while let Some(attempt) = self.attempt(&webhook).await {
                self.counts.add(webhook.kind, &attempt);
                let again = !attempt.is_success() && attempts.len() < self.retries;
                attempts.push(attempt);
                if !again || self.stopped() {
                    break;
                }
                sleep(self.random.about(Duration::from_millis(200))).await;
            }
            if !attempts.is_empty() {
                self.told.sent.push(Sent { webhook, attempts });
            }
        }
        self.told
    }

    fn stopped(&self) -> bool {
        self.counts.stop.load(Ordering::Relaxed)
    }

    fn webhook(&mut self) -> Webhook {
        let kind = match self.random.below(100) {
            0..35 => Kind::Both,
            35..50 => Kind::Nats,
            50..65 => Kind::Kafka,
            65..75 => Kind::Pair,
            75..85 => Kind::Live,
            _ => Kind::Question,
        };
        let key = self.keys[self.random.below(self.keys.len())];
        let most = if self.random.one_in(100) { 32 << 10 } else { 1_500 };
        let size = self.random.below(most);
        Webhook {
            number: self.counts.next.fetch_add(1, Ordering::Relaxed),
            key,
            kind,
            size,
            calls: if kind == Kind::Question { 1 } else { 0 },
            is_compressed: false,
        }
    }

    /// Nothing when it was stopped before somebody listened: then nothing was sent.
    async fn attempt(&mut self, webhook: &Webhook) -> Option<Attempt> {
        while self.connection.open().await.is_err() {
            self.told.refused.push(self.clock.now());
            if self.stopped() {
                return None;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let sent = self.clock.now();
        let mut written = sent;
        let answer = async {
            self.connection.write(webhook).await?;
            written = self.clock.now();
            self.connection.read().await
        };
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.ok().and_then(Result::ok);
        Some(Attempt { sent, written, ended: self.clock.now(), line: None, answer })
    }
}
