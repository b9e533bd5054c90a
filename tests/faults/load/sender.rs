//! One sender, in each of the ways in which it may send.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::Connection;
use super::{Counts, Shape, Told, http2};
use crate::history::{Answer, Attempt, Clock, Sent};
use crate::random::Random;
use crate::webhook::{Kind, Webhook};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a refused webhook is sent again, at the most.
const RETRIES: usize = 20;
/// So many are in flight at once, at the most.
const AT_ONCE: usize = 5;
/// Between two of them over connections of their own: which is first is known of some.
const BETWEEN: Duration = Duration::from_millis(30);
/// The filling of a large question.
const LARGE_QUESTION: usize = 64_000;
/// The largest filling, and that of what shares one connection with others: then one doesn't wait for the windows of
/// another.
const LARGEST: usize = 500_000;
const LARGEST_STREAM: usize = 8_000;

/// Where webhooks are sent.
pub(super) struct Post {
    pub(super) address: String,
    pub(super) path: String,
    pub(super) clock: Clock,
    pub(super) counts: Arc<Counts>,
}

/// A connection that can be made, and made again.
pub(super) trait Open: Send {
    /// Makes sure that there is one; an error when nobody listens.
    fn open(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

pub(super) struct Sender {
    post: Arc<Post>,
    keys: Vec<usize>,
    /// Between two webhooks.
    interval: Duration,
    shape: Shape,
    random: Random,
    due: Instant,
    told: Told,
}

impl Sender {
    pub(super) fn new(
        post: Arc<Post>,
        keys: Vec<usize>,
        interval: Duration,
        shape: Shape,
        mut random: Random,
    ) -> Sender {
        let due = Instant::now() + random.about(interval);
        Sender { post, keys, interval, shape, random, due, told: Told::default() }
    }

    /// The next is sent when the one before was answered.
    pub(super) async fn one_by_one(mut self, retries: bool) -> Told {
        let retries = if retries { RETRIES } else { 0 };
        let mut connection = Connection::new(self.post.clone());
        while let Some(webhook) = self.next(1).await.pop() {
            let mut attempts: Vec<Attempt> = Vec::new();
            while self.open(&mut connection).await {
                let attempt = attempt(&self.post, &mut connection, &webhook).await;
                let again = !attempt.is_success() && attempts.len() < retries;
                attempts.push(attempt);
                if !again || self.post.counts.is_stopped() {
                    break;
                }
                sleep(self.random.about(Duration::from_millis(200))).await;
            }
            self.note(webhook, attempts);
        }
        self.told
    }

    /// Each over a connection of its own; the next is sent when the one before was written.
    pub(super) async fn several(mut self) -> Told {
        let mut idle: Vec<Connection> =
            (0..AT_ONCE).map(|_| Connection::new(self.post.clone())).collect();
        loop {
            let webhooks = self.burst(LARGEST).await;
            if webhooks.is_empty() {
                return self.told;
            }
            let mut reading = JoinSet::new();
            for webhook in webhooks {
                let Some(mut connection) = idle.pop() else { break };
                if !self.open(&mut connection).await {
                    idle.push(connection);
                    break;
                }
                let clock = self.post.clock;
                let sent = clock.now();
                let is_written = timeout(PATIENCE, connection.write(&webhook)).await;
                let written = clock.now();
                reading.spawn(async move {
                    let mut answer = None;
                    if matches!(is_written, Ok(Ok(()))) {
                        answer = within(connection.read()).await;
                    }
                    let ended = clock.now();
                    let attempt =
                        Attempt { opened: sent, sent, written, ended, line: None, answer };
                    (connection, webhook, attempt)
                });
                sleep(self.random.about(BETWEEN)).await;
            }
            for (connection, webhook, attempt) in reading.join_all().await {
                idle.push(connection);
                self.note(webhook, vec![attempt]);
            }
        }
    }

    /// All at once over one connection, by HTTP/1.1.
    pub(super) async fn pipelined(mut self) -> Told {
        let mut connection = Connection::new(self.post.clone());
        loop {
            let webhooks = self.burst(LARGEST).await;
            if webhooks.is_empty() {
                return self.told;
            }
            if !self.open(&mut connection).await {
                continue;
            }
            let (clock, line) = (self.post.clock, line());
            // The bridge begins with one when the former was answered.
            let mut begun = clock.now();
            let mut written = None;
            let mut answers = Vec::new();
            let all = connection.pipeline(
                &webhooks,
                || written = Some(clock.now()),
                |answer| answers.push((answer, clock.now())),
            );
            let _ = timeout(PATIENCE, all).await;
            let written = written.unwrap_or_else(|| clock.now());
            let mut answers = answers.into_iter();
            for (number, webhook) in webhooks.into_iter().enumerate() {
                let (answer, ended) = match answers.next() {
                    Some((answer, ended)) => (Some(answer), ended),
                    None => (None, clock.now()),
                };
                let attempt = Attempt {
                    opened: begun,
                    sent: begun,
                    written: written.max(begun),
                    ended: ended.max(written),
                    line: Some((line, number as u64)),
                    answer,
                };
                begun = attempt.ended;
                self.note(webhook, vec![attempt]);
            }
        }
    }

    /// Several at once over one connection, by HTTP/2.
    pub(super) async fn streams(mut self) -> Told {
        let mut connection = http2::Connection::new(self.post.clone());
        loop {
            let webhooks = self.burst(LARGEST_STREAM).await;
            if webhooks.is_empty() {
                return self.told;
            }
            if !self.open(&mut connection).await {
                continue;
            }
            let clock = self.post.clock;
            let mut reading = JoinSet::new();
            for webhook in webhooks {
                let sent = clock.now();
                let Some((taken, answer)) = connection.send(&webhook) else { break };
                let opened = connection.opened();
                reading.spawn(async move {
                    let answer = within(answer).await;
                    let ended = clock.now();
                    let written = taken.get().copied().unwrap_or(ended);
                    // Bodies share the connection's windows: their order is known as that of connections is.
                    (webhook, Attempt { opened, sent, written, ended, line: None, answer })
                });
                if self.random.one_in(2) {
                    sleep(self.random.about(BETWEEN)).await;
                }
            }
            for (webhook, attempt) in reading.join_all().await {
                self.note(webhook, vec![attempt]);
            }
        }
    }

    fn note(&mut self, webhook: Webhook, attempts: Vec<Attempt>) {
        for attempt in &attempts {
            self.post.counts.add(webhook.kind, attempt);
        }
        if !attempts.is_empty() {
            self.told.sent.push(Sent { webhook, attempts });
        }
    }

    /// Waits for somebody who listens; false when it was stopped before.
    async fn open(&mut self, connection: &mut impl Open) -> bool {
        while connection.open().await.is_err() {
            self.told.refused.push(self.post.clock.now());
            if self.post.counts.is_stopped() {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Some for the same key, when they are due.
    async fn burst(&mut self, largest: usize) -> Vec<Webhook> {
        let count = 2 + self.random.below(AT_ONCE - 1);
        let mut webhooks = self.next(count).await;
        if let Some(first) = webhooks.first() {
            let key = first.key;
            for webhook in &mut webhooks {
                (webhook.key, webhook.size) = (key, webhook.size.min(largest));
            }
        }
        webhooks
    }

    /// So many when they are due; none when it is to stop.
    async fn next(&mut self, count: usize) -> Vec<Webhook> {
        if self.post.counts.is_stopped() {
            return Vec::new();
        }
        sleep_until(self.due).await;
        self.due = (self.due + self.interval * count as u32).max(Instant::now());
        if self.post.counts.is_stopped() {
            return Vec::new();
        }
        (0..count).map(|_| self.webhook()).collect()
    }

    fn webhook(&mut self) -> Webhook {
        let random = &mut self.random;
        let kind = match random.below(100) {
            0..35 => Kind::Both,
            35..50 => Kind::Nats,
            50..65 => Kind::Kafka,
            65..75 => Kind::Pair,
            75..85 => Kind::Live,
            _ => Kind::Question,
        };
        let size = if random.one_in(25) {
            // From 1 to 500 KB, each magnitude as often as the others.
            let least = 1_000 << random.below(9);
            (least + random.below(least)).min(LARGEST)
        } else {
            random.below(1_500)
        };
        let (kind, size) = if self.shape.has_large_questions && random.one_in(6) {
            (Kind::Question, LARGE_QUESTION)
        } else {
            (kind, size)
        };
        Webhook {
            number: self.post.counts.next.fetch_add(1, Ordering::Relaxed),
            key: self.keys[random.below(self.keys.len())],
            kind,
            size,
            calls: if kind == Kind::Question { 1 + random.below(4) } else { 0 },
            is_compressed: random.one_in(10),
        }
    }
}

async fn attempt(post: &Post, connection: &mut Connection, webhook: &Webhook) -> Attempt {
    let sent = post.clock.now();
    let mut written = sent;
    let answer = within(async {
        connection.write(webhook).await?;
        written = post.clock.now();
        connection.read().await
    })
    .await;
    Attempt { opened: sent, sent, written, ended: post.clock.now(), line: None, answer }
}

async fn within(answer: impl Future<Output = io::Result<Answer>>) -> Option<Answer> {
    timeout(PATIENCE, answer).await.ok()?.ok()
}

/// A number that no other connection has.
fn line() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
