//! Storing events: in order, within a budget, each destination for itself.
//!
//! For one key and one destination at most one event is unacknowledged at a time, and turns
//! are taken in the order in which [`begin`] is called. Everything else is pipelined.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use crate::message::{Event, Receipt, Refusal};
use crate::sink::{self, Class, Sink};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::template::{self, Vars};

/// A sink, and how long it may take.
#[derive(Clone)]
pub struct Timed {
    /// Where events are stored.
    pub sink: Arc<dyn Sink>,
    /// Within what time.
    pub ack_timeout: Duration,
}

/// The sinks that are configured.
#[derive(Clone, Default)]
pub struct Sinks {
    /// `kafka:`
    pub kafka: Option<Timed>,
    /// `nats:`
    pub jetstream: Option<Timed>,
    /// `nats-core:`
    pub nats_core: Option<Timed>,
}

/// All destinations of a process; equal texts share one.
pub struct Destinations {
    sinks: Sinks,
    most: usize,
    /// How many events each destination may have in flight: its part of `http.max_events`.
    share: Arc<AtomicUsize>,
    by_text: BTreeMap<String, Arc<Destination>>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Destinations {
    /// No destinations yet. `most` events are in flight at the most, over all of them.
    pub fn new(sinks: Sinks, most: usize, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self { sinks, most, share: Arc::default(), by_text: BTreeMap::new(), metrics, health }
    }

    /// The destination of this text.
    pub fn get(&mut self, text: &str) -> Result<Arc<Destination>, template::Error> {
        if let Some(known) = self.by_text.get(text) {
            return Ok(known.clone());
        }
        let name = template::Destination::parse(text)?;
        let timed = match &name {
            template::Destination::Kafka(_) => &self.sinks.kafka,
            template::Destination::Nats(_) => &self.sinks.jetstream,
            template::Destination::NatsCore(_) => &self.sinks.nats_core,
        };
        let Timed { sink, ack_timeout } = timed.clone().ok_or_else(|| template::Error {
            offset: 0,
            message: format!("`{text}` needs a broker that is not configured"),
            hint: Some("add a [nats] or a [kafka] table".to_owned()),
        })?;
        let destination = Arc::new(Destination {
            text: text.into(),
            name,
            sink,
            ack_timeout,
            lanes: Lanes::default(),
            share: self.share.clone(),
            in_flight: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
        });
        self.by_text.insert(text.to_owned(), destination.clone());
        // Equal parts, so that however many destinations are dead, there is room for those that live.
        self.share.store(self.most.div_ceil(self.by_text.len()), Ordering::Relaxed);
        Ok(destination)
    }
}

/// One configured destination: one queue, one share, one metric label.
pub struct Destination {
    text: Arc<str>,
    name: template::Destination,
    sink: Arc<dyn Sink>,
    ack_timeout: Duration,
    lanes: Lanes,
    share: Arc<AtomicUsize>,
    in_flight: AtomicUsize,
    failing: AtomicBool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Destination {
    /// The configured text, which is also the metric label.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The topic or subject for these values.
    pub fn name(&self, vars: &Vars<'_>) -> String {
        match &self.name {
            template::Destination::Kafka(topic) => topic.render_topic(vars),
            template::Destination::Nats(subject) | template::Destination::NatsCore(subject) => {
                subject.render_subject(vars)
            }
        }
    }

    /// Take a turn. What is called first is stored first.
    fn enter(self: &Arc<Self>, key: Option<&Arc<str>>) -> Result<Turn, Refusal> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut turn = Turn { destination: self.clone(), key: None, wait: None };
        if before >= self.share.load(Ordering::Relaxed) {
            self.metrics.publish_failed(&self.text, "overloaded");
            return Err(Refusal::Overloaded("events for one destination"));
        }
        if let Some(key) = key {
            turn.wait = self.lanes.enter(key);
            turn.key = Some(key.clone());
        }
        Ok(turn)
    }

    async fn store(
        &self,
        mut turn: Turn,
        name: &str,
        event: &Event,
        deadline: Instant,
    ) -> Result<(), sink::Error> {
        turn.wait(deadline).await?;
        let began = Instant::now();
        loop {
            match self.sink.send(name, event, deadline).await {
                Ok(()) => {
                    self.metrics.published(&self.text, began.elapsed());
                    self.works();
                    return Ok(());
                }
                Err(error) => {
                    self.metrics.publish_failed(&self.text, error.reason);
                    let blip = error.class == Class::Blip;
                    if !blip || timeout_at(deadline, self.sink.recovered()).await.is_err() {
                        self.fails(event, &error);
                        return Err(error);
                    }
                }
            }
        }
    }

    fn works(&self) {
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            self.health.clear(&self.text);
            info!(destination = %self.text, "stores events again");
        }
    }

    /// The first failure is a warning, the following ones are for those who look closely.
    fn fails(&self, event: &Event, error: &sink::Error) {
        if error.class == Class::Reject {
            warn!(destination = %self.text, id = %event.id, endpoint = %event.endpoint, %error, "an event can't be stored");
        } else if self.failing.swap(true, Ordering::Relaxed) {
            debug!(destination = %self.text, id = %event.id, endpoint = %event.endpoint, %error, "an event was not stored");
        } else {
            if error.reason != sink::DISCONNECTED {
                // That is what health says by itself, until the connection is back.
                self.health.report(&*self.text, error.to_string());
            }
            warn!(destination = %self.text, id = %event.id, endpoint = %event.endpoint, %error, "events are not stored");
        }
    }
}

/// An event with its turn taken at each of its destinations.
pub struct Publishing {
    event: Event,
    parts: Vec<(Turn, String)>,
    began: Instant,
}

/// Begin to store an event under the name that it has at each destination: take its turns, in the order of the calls.
pub fn begin(
    to: impl IntoIterator<Item = (Arc<Destination>, String)>,
    event: Event,
) -> Result<Publishing, Refusal> {
    let parts = to
        .into_iter()
        .map(|(destination, name)| Ok((destination.enter(event.key.as_ref())?, name)))
        .collect::<Result<_, Refusal>>()?;
    Ok(Publishing { event, parts, began: Instant::now() })
}

impl Publishing {
    /// Wait until every destination has stored the event, or one can't.
    pub async fn finish(self) -> Result<Receipt, Refusal> {
        let Self { event, mut parts, began } = self;
        let store = async |(turn, name): (Turn, String)| {
            let destination = turn.destination.clone();
            let deadline = began + destination.ack_timeout;
            destination.store(turn, &name, &event, deadline).await
        };
        match (parts.pop(), parts.is_empty()) {
            (None, _) => return Ok(Receipt::Dropped),
            (Some(only), true) => store(only).await,
            (Some(last), false) => {
                parts.push(last);
                join_all(parts.into_iter().map(store)).await.into_iter().collect()
            }
        }
        .map(|()| Receipt::Stored)
        .map_err(|error: sink::Error| Refusal::NotStored(error.reason))
    }
}

/// Those who wait for their turn, by key.
type Lines = Mutex<HashMap<Arc<str>, VecDeque<oneshot::Sender<()>>>>;

/// Who is next, for every key that has an event in flight. Bounded by what is in flight.
#[derive(Default)]
struct Lanes {
    shards: [Lines; 16],
    hasher: RandomState,
}

impl Lanes {
    fn shard(&self, key: &Arc<str>) -> &Lines {
        let hash = self.hasher.hash_one(key);
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    /// Stand in line; nothing to wait for means that it is our turn.
    fn enter(&self, key: &Arc<str>) -> Option<oneshot::Receiver<()>> {
        let mut lanes = self.shard(key).lock();
        if let Some(line) = lanes.get_mut(key) {
            let (sender, receiver) = oneshot::channel();
            line.push_back(sender);
            return Some(receiver);
        }
        lanes.insert(key.clone(), VecDeque::new());
        None
    }

    /// The turn is over: call the next one that is still waiting.
    fn leave(&self, key: &Arc<str>) {
        let mut lanes = self.shard(key).lock();
        if let Some(line) = lanes.get_mut(key) {
            while let Some(next) = line.pop_front() {
                if next.send(()).is_ok() {
                    return;
                }
            }
            lanes.remove(key);
        }
    }
}

/// A place at a destination, and in the line of its key; given up when it is dropped.
struct Turn {
    destination: Arc<Destination>,
    key: Option<Arc<str>>,
    wait: Option<oneshot::Receiver<()>>,
}

impl Turn {
    async fn wait(&mut self, deadline: Instant) -> Result<(), sink::Error> {
        let Some(wait) = &mut self.wait else {
            return Ok(());
        };
        // The one before calls us even when it fails: only the time can be an error.
        if timeout_at(deadline, wait).await.is_ok() {
            self.wait = None;
            if Instant::now() < deadline {
                return Ok(());
            }
        }
        let destination = &self.destination;
        destination.metrics.publish_failed(&destination.text, "queued");
        Err(sink::Error::retry("queued", "an earlier event of this key was not stored in time"))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.destination.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = &self.key {
            let is_our_turn = self.wait.as_mut().is_none_or(|wait| {
                // The call may come at this very moment; then it must be passed on.
                wait.close();
                wait.try_recv().is_ok()
            });
            if is_our_turn {
                self.destination.lanes.leave(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
