//! What the cluster is made of, and what went wrong on the way to its brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataBroker, MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;

use super::settings::METADATA_TIMEOUT;
use crate::sink::kafka::address;
use crate::tls::peer;

/// What the ids of librdkafka's mock clusters begin with (`rdkafka_mock.c`).
const MOCK_PREFIX: &str = "mockCluster";

/// Time to connect to all brokers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Remembers which brokers are connected, and what went wrong.
#[derive(Default)]
struct Listener(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    connected: BTreeSet<i32>,
    /// The last error of all.
    last: Option<String>,
    /// The last one of each broker, by its address.
    errors: BTreeMap<String, String>,
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn stats(&self, statistics: Statistics) {
        let brokers = statistics.brokers.values();
        let connected = brokers.filter(|broker| broker.state == "UP").map(|broker| broker.nodeid);
        self.0.lock().connected.extend(connected);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down follows from what was reported before.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        let (broker, reason) = address::parts(reason);
        let mut seen = self.0.lock();
        if let Some((host, port)) = broker.and_then(address::of) {
            seen.errors.insert(format!("{host}:{port}"), reason.to_owned());
        }
        seen.last = Some(reason.to_owned());
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What the cluster is made of.
pub(super) struct Cluster {
    id: Option<String>,
    pub(super) brokers: Vec<Broker>,
    pub(super) topics: BTreeMap<String, Topic>,
    /// The topics that this user may not see.
    pub(super) hidden: Vec<String>,
}

/// A broker as the cluster names it to clients.
pub(super) struct Broker {
    pub(super) id: i32,
    address: String,
    /// Why there is no connection to it.
    pub(super) fault: Option<String>,
}

/// A topic, by its worst partition.
pub(super) struct Topic {
    /// The fewest replicas.
    pub(super) copies: usize,
    /// The fewest replicas in sync.
    pub(super) in_sync: usize,
    /// A partition that no broker leads.
    pub(super) orphan: Option<i32>,
}

impl Topic {
    fn new(topic: &MetadataTopic) -> Self {
        let partitions = topic.partitions();
        let fewest = |count: fn(&MetadataPartition) -> usize| {
            partitions.iter().map(count).min().unwrap_or_default()
        };
        Self {
            copies: fewest(|partition| partition.replicas().len()),
            in_sync: fewest(|partition| partition.isr().len()),
            orphan: partitions.iter().find(|part| part.leader() < 0).map(|part| part.id()),
        }
    }
}

/// Why the cluster doesn't answer.
pub(super) struct Unreachable {
    pub(super) error: KafkaError,
    /// What librdkafka reported meanwhile, which says more.
    pub(super) reason: Option<String>,
}

impl Cluster {
    /// Connect to all brokers, and ask for everything. Blocks its thread.
    pub(super) fn fetch(mut config: ClientConfig, wanted: &[String]) -> Result<Self, Unreachable> {
        // Otherwise it connects only to the brokers that it needs just then.
        config.set("enable.sparse.connections", "false").set("statistics.interval.ms", "100");
        let made: Result<BaseProducer<Listener>, KafkaError> =
            config.create_with_context(Listener::default());
        let producer = made.map_err(|error| Unreachable { error, reason: None })?;
        let client = producer.client();
        let metadata = client.fetch_metadata(None, METADATA_TIMEOUT).map_err(|error| {
            producer.poll(Duration::from_millis(100));
            Unreachable { error, reason: client.context().0.lock().last.take() }
        })?;
        let mut cluster = Self::new(&metadata, client.fetch_cluster_id(METADATA_TIMEOUT));
        for topic in wanted {
            // Those that a user may not see are left out of the list of all.
            if !cluster.topics.contains_key(topic)
                && let Ok(metadata) = client.fetch_metadata(Some(topic), METADATA_TIMEOUT)
                && metadata.topics().iter().any(is_refused)
            {
                cluster.hidden.push(topic.clone());
            }
        }
        cluster.connect(&producer);
        Ok(cluster)
    }

    /// Wait until all brokers are connected, and note what is wrong with those that aren't.
    fn connect(&mut self, producer: &BaseProducer<Listener>) {
        let seen = &producer.client().context().0;
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        loop {
            producer.poll(Duration::from_millis(20));
            let connected = seen.lock().connected.clone();
            let is_complete = self.brokers.iter().all(|broker| connected.contains(&broker.id));
            if is_complete || Instant::now() > deadline {
                break;
            }
        }
        let seen = seen.lock();
        for broker in &mut self.brokers {
            if !seen.connected.contains(&broker.id) {
                let error = seen.errors.get(&broker.address).cloned();
                let silent = || format!("{}: no connection in time", broker.address);
                broker.fault = Some(error.unwrap_or_else(silent));
            }
        }
    }

    fn new(metadata: &Metadata, id: Option<String>) -> Self {
        // One that is known, with parts that have no leader just now, says so.
        let is_there = |topic: &&MetadataTopic| {
            matches!(
                topic.error(),
                None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
            )
        };
        let topics = metadata.topics().iter().filter(is_there);
        let broker = |broker: &MetadataBroker| Broker {
            id: broker.id(),
            address: format!("{}:{}", broker.host(), broker.port()),
            fault: None,
        };
        Self {
            id,
            brokers: metadata.brokers().iter().map(broker).collect(),
            topics: topics.map(|topic| (topic.name().to_owned(), Topic::new(topic))).collect(),
            hidden: Vec::new(),
        }
    }

    /// Whether it is librdkafka's, which lives in the memory of a process.
    pub(super) fn is_mock(&self) -> bool {
        self.id.as_deref().is_some_and(|id| id.starts_with(MOCK_PREFIX))
    }

    pub(super) fn name(&self) -> String {
        let addresses: Vec<&str> = self.brokers.iter().map(|broker| &*broker.address).collect();
        format!("cluster `{}` ({})", self.id.as_deref().unwrap_or("unknown"), addresses.join(", "))
    }
}

fn is_refused(topic: &MetadataTopic) -> bool {
    topic.error() == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
}

/// An error of a broker, with what its certificate's dates say if that isn't trusted.
pub(super) async fn explained(reason: String) -> String {
    let address = address::parts(&reason).0.and_then(address::of);
    let Some((host, port)) = address.filter(|_| address::is_about_certificate(&reason)) else {
        return reason;
    };
    match peer::date_problem(host, port).await {
        Some(problem) => address::with_cause(&reason, &problem),
        None => reason,
    }
}
