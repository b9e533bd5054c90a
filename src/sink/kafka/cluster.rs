//! What librdkafka says of the brokers: which are connected, and what went wrong last with those that aren't.
//!
//! librdkafka tries on by itself, and in the end says of an event only that its time is over. The reason stands in
//! what it reported of the broker that leads the event's partition, some time before and once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::{Broker, Statistics, Topic};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{BROKER, address};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::tls::peer;

/// The caller that waits for the report of an event.
pub(super) type Delivery = oneshot::Sender<Result<(), KafkaError>>;

/// How many brokers are remembered with their last error; more than any cluster has.
const MAX_BROKERS: usize = 1_024;

/// librdkafka's name of the state in which a broker takes requests.
const UP: &str = "UP";

/// What all producers of this process report to.
pub(super) struct Cluster {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    up: AtomicBool,
    known: Mutex<Known>,
    /// Where a certificate is looked at: librdkafka calls back on threads of its own.
    runtime: Option<Handle>,
    is_looking: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// What was reported last of each broker that isn't connected, by librdkafka's name of it.
    faults: BTreeMap<String, String>,
    /// Why events of a topic may not be stored.
    topics: HashMap<String, String>,
    /// Topics that exist, of those that are written to.
    existing: HashSet<String>,
    /// The last error, which comes again with each attempt.
    last: (Option<RDKafkaErrorCode>, String),
}

impl Known {
    fn add_fault(&mut self, broker: &str, reason: &str) {
        if self.faults.len() < MAX_BROKERS || self.faults.contains_key(broker) {
            self.faults.insert(broker.to_owned(), reason.to_owned());
        }
    }
}

impl Cluster {
    pub(super) fn new(health: Arc<Health>, metrics: Arc<Metrics>) -> Self {
        health.expect(BROKER, "producer");
        metrics.set_connected(BROKER, false);
        Self {
            health,
            metrics,
            up: AtomicBool::new(false),
            known: Mutex::default(),
            runtime: Handle::try_current().ok(),
            is_looking: AtomicBool::new(false),
        }
    }

    /// Why events of this topic aren't stored in time, as far as the brokers' state says it.
    pub(super) fn explain(&self, topic: &str) -> Option<String> {
        let known = self.known.lock();
        let why = known.topics.get(topic);
        let why =
            why.or_else(|| (!self.is_up() && !known.last.1.is_empty()).then_some(&known.last.1));
        why.cloned()
    }

    /// Whether this topic isn't known to exist, although a broker could be asked.
    pub(super) fn may_be_missing(&self, topic: &str) -> bool {
        self.is_up() && !self.known.lock().existing.contains(topic)
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Something went wrong. While there is no connection, each reason is logged once.
    fn failed(self: &Arc<Self>, code: Option<RDKafkaErrorCode>, reason: &str) {
        // That all are down follows from what was reported of each.
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        let (broker, reason) = address::parts(reason);
        if let Some(broker) = broker.filter(|_| address::is_about_certificate(reason)) {
            return self.look_at_certificate(code, broker, reason);
        }
        self.note(code, broker, reason);
    }

    fn note(&self, code: Option<RDKafkaErrorCode>, broker: Option<&str>, reason: &str) {
        let mut known = self.known.lock();
        if let Some(broker) = broker {
            known.add_fault(broker, reason);
        }
        let is_news = known.last.0 != code;
        if is_news || self.is_up() {
            known.last = (code, reason.to_owned());
        }
        if is_news && !self.is_up() {
            self.say(reason);
        }
    }

    /// A certificate isn't trusted: see whether its dates say why, one certificate at a time.
    fn look_at_certificate(
        self: &Arc<Self>,
        code: Option<RDKafkaErrorCode>,
        broker: &str,
        reason: &str,
    ) {
        let address = address::of(broker).map(|(host, port)| (host.to_owned(), port));
        let (Some((host, port)), Some(runtime)) = (address, &self.runtime) else {
            return self.note(code, Some(broker), reason);
        };
        if self.is_looking.swap(true, Ordering::Relaxed) {
            // What is looked at will be said, and says more.
            return self.known.lock().add_fault(broker, reason);
        }
        let (cluster, broker, reason) = (self.clone(), broker.to_owned(), reason.to_owned());
        runtime.spawn(async move {
            let problem = peer::date_problem(&host, port).await;
            let reason = match problem {
                Some(problem) => address::with_cause(&reason, &problem),
                None => reason,
            };
            cluster.note(code, Some(&broker), &reason);
            cluster.is_looking.store(false, Ordering::Relaxed);
        });
    }

    fn look(&self, statistics: &Statistics) {
        let mut known = self.known.lock();
        let brokers = &statistics.brokers;
        known.faults.retain(|name, _| brokers.get(name).is_some_and(|broker| broker.state != UP));
        known.topics = topics(&known.faults, statistics);
        // One that librdkafka doesn't know has a partition of number -1, for what waits.
        let exists = |topic: &&Topic| topic.partitions.keys().any(|partition| *partition >= 0);
        let existing = statistics.topics.values().filter(exists);
        known.existing = existing.map(|topic| topic.topic.clone()).collect();
        let is_up = is_up(&known.faults, brokers);
        drop(known);
        self.set_up(is_up);
    }

    fn set_up(&self, up: bool) {
        self.metrics.set_connected(BROKER, self.health.set_connected(BROKER, "producer", up));
        if self.up.swap(up, Ordering::Relaxed) == up {
            return;
        }
        let mut known = self.known.lock();
        if up {
            known.last = Default::default();
            self.health.clear(BROKER);
            info!("connected to Kafka");
        } else {
            warn!("the connection to Kafka is gone; connecting again");
            if known.last.0.is_some() {
                self.say(&known.last.1);
            }
        }
    }

    fn say(&self, reason: &str) {
        warn!(reason, "not connected to Kafka; retrying");
        self.health.report(BROKER, reason);
    }
}

/// Whether events can be stored, as far as is known. The addresses of the configuration only tell which brokers there
/// are: if one that leads a partition in use can't be reached, it helps nobody that those can.
fn is_up(faults: &BTreeMap<String, String>, brokers: &HashMap<String, Broker>) -> bool {
    let is_up = |broker: &Broker| broker.state == UP;
    let is_lost = |broker: &Broker| !broker.toppars.is_empty() && faults.contains_key(&broker.name);
    let members = || brokers.values().filter(|broker| broker.nodeid >= 0);
    members().any(is_up) || !members().any(is_lost) && brokers.values().any(is_up)
}

/// Why events of a topic may not be stored: a broker that leads a part of it is gone, or none leads it.
fn topics(faults: &BTreeMap<String, String>, statistics: &Statistics) -> HashMap<String, String> {
    let mut why = HashMap::new();
    for (name, topic) in &statistics.topics {
        let orphan = topic.partitions.values().find(|part| part.partition >= 0 && part.leader < 0);
        if let Some(part) = orphan {
            why.insert(
                name.clone(),
                format!("partition {} of `{name}` has no leader", part.partition),
            );
        }
    }
    for (name, fault) in faults {
        let led =
            statistics.brokers.get(name).into_iter().flat_map(|broker| broker.toppars.values());
        for part in led {
            why.insert(part.topic.clone(), fault.clone());
        }
    }
    why
}

/// Hands over what librdkafka calls back with.
pub(super) struct Context(pub(super) Arc<Cluster>);

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.0.look(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
        self.0.failed(error.rdkafka_error_code(), reason);
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "librdkafka");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let result = match result {
            Ok(_) => {
                // It shows before the next statistics do.
                if !self.0.is_up() {
                    self.0.set_up(true);
                }
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        // The waiter may be gone: its timer was faster.
        let _ = delivery.send(result);
    }
}

#[cfg(test)]
mod tests;
