//! Kafka: one idempotent producer for the whole process, and its delivery reports.
//!
//! What our own timer gave up must not be sent afterwards: `message.timeout.ms` is below
//! `ack_timeout` by more than the second between librdkafka's looks at it. A full queue is
//! an answer, never a wait. A fatal error of the idempotent producer (which can never send
//! again) makes a new producer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use rdkafka::statistics::Statistics;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::{Error, Sending, Sink, cloudevents};
use crate::config::{self, Topic};
use crate::message::Event;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Name of this broker in health and metrics.
pub const BROKER: &str = "kafka";

/// librdkafka looks for timed-out messages once a second; a little more than that.
const LOOK: Duration = Duration::from_millis(1_200);

/// Room for headers and key on top of a body.
const OVERHEAD: usize = 64 << 10;

type Delivery = oneshot::Sender<Result<(), KafkaError>>;
type Producer = ThreadedProducer<Context>;

/// Stores events in topics.
pub struct Kafka {
    config: ClientConfig,
    context: Arc<Shared>,
    producer: ArcSwap<Producer>,
    rebuilding: Arc<AtomicBool>,
}

/// What all producers of this process, one after the other, report to.
struct Shared {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    up: AtomicBool,
    /// The last error and what it said, which comes again with each attempt.
    complaint: Mutex<(Option<RDKafkaErrorCode>, String)>,
}

impl Shared {
    /// Say why there is no connection, once for each reason. While one broker of several is gone there is one: what it
    /// said is kept for when the last is gone too, since librdkafka doesn't soon repeat itself.
    fn complain(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        let mut complaint = self.complaint.lock();
        let is_up = self.up.load(Ordering::Relaxed);
        let follows = code == Some(RDKafkaErrorCode::AllBrokersDown);
        if follows || (complaint.0 == code && !is_up) {
            return;
        }
        *complaint = (code, reason.to_owned());
        if !is_up {
            self.say(reason);
        }
    }

    fn set_up(&self, up: bool) {
        self.metrics.set_connected(BROKER, self.health.set_connected(BROKER, "producer", up));
        if self.up.swap(up, Ordering::Relaxed) == up {
            return;
        }
        let mut complaint = self.complaint.lock();
        if up {
            *complaint = Default::default();
            self.health.clear(BROKER);
            info!("connected to Kafka");
        } else {
            warn!("the connection to Kafka is gone; connecting again");
            if complaint.0.is_some() {
                self.say(&complaint.1);
            }
        }
    }

    fn say(&self, reason: &str) {
        warn!(reason, "not connected to Kafka; trying on");
        self.health.report(BROKER, reason);
    }
}

struct Context(Arc<Shared>);

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.0.set_up(up);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
        self.0.complain(error.rdkafka_error_code(), reason);
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
                if !self.0.up.load(Ordering::Relaxed) {
                    self.0.set_up(true);
                }
                Ok(())
            }
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever waited may have stopped: its timer was faster.
        let _ = delivery.send(result);
    }
}

impl Kafka {
    /// A producer for the configured cluster; it connects by itself. `max_body` and
    /// `max_in_flight` (bytes) bound what it has to hold.
    pub fn new(
        settings: &config::Kafka,
        max_body: usize,
        max_in_flight: usize,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KafkaError> {
        let mut config = client_config(settings);
        let timeout = settings.ack_timeout.get();
        let timeout = timeout.saturating_sub(LOOK).max(timeout / 4);
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", timeout.as_millis().to_string())
            .set(
                "queue.buffering.max.kbytes",
                (max_in_flight / 1_024).clamp(1, 2_097_151).to_string(),
            )
            .set("statistics.interval.ms", "1000")
            .set("reconnect.backoff.max.ms", "1000");
        let mut default = |name: &str, value: String| {
            if !settings.properties.contains_key(name) {
                config.set(name, value);
            }
        };
        default("partitioner", "murmur2_random".to_owned());
        default("linger.ms", "0".to_owned());
        default("message.max.bytes", (max_body + OVERHEAD).to_string());
        default("socket.keepalive.enable", "true".to_owned());
        default("socket.nagle.disable", "true".to_owned());
        health.expect(BROKER, "producer");
        metrics.set_connected(BROKER, false);
        let context = Arc::new(Shared {
            health,
            metrics,
            up: AtomicBool::new(false),
            complaint: Mutex::default(),
        });
        let producer = config.create_with_context(Context(context.clone()))?;
        Ok(Self {
            config,
            context,
            producer: ArcSwap::from_pointee(producer),
            rebuilding: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Wait for the reports of all that was sent, for at most `limit`. Blocks its thread.
    pub fn flush(&self, limit: Duration) {
        if let Err(error) = self.producer.load().flush(limit) {
            warn!(%error, "not everything sent to Kafka was acknowledged before the end");
        }
    }

    fn sort(&self, error: &KafkaError) -> Error {
        let detail = error.to_string();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Error::reject("too-large", detail),
            Some(RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidMessage) => {
                Error::reject("invalid-record", detail)
            }
            Some(RDKafkaErrorCode::MessageTimedOut) => Error::timeout(),
            Some(RDKafkaErrorCode::QueueFull) => Error::retry("queue-full", detail),
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition,
            ) => Error::retry("unknown-topic", detail),
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => Error::retry("unauthorized", detail),
            Some(
                RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::PurgeQueue
                | RDKafkaErrorCode::PurgeInflight,
            ) => {
                self.rebuild_if_fatal();
                Error::retry("producer-restarted", detail)
            }
            _ => {
                self.rebuild_if_fatal();
                Error::retry("refused", detail)
            }
        }
    }

    /// An idempotent producer that met a fatal error never sends again.
    fn rebuild_if_fatal(&self) {
        let old = self.producer.load_full();
        let Some((code, reason)) = old.client().fatal_error() else {
            return;
        };
        if self.rebuilding.swap(true, Ordering::Relaxed) {
            return;
        }
        warn!(%code, reason, "the Kafka producer met a fatal error; making a new one");
        match self.config.create_with_context(Context(self.context.clone())) {
            Ok(producer) => {
                self.producer.store(Arc::new(producer));
                let rebuilding = self.rebuilding.clone();
                // Dropping a producer purges it and waits, which is not for this thread.
                tokio::task::spawn_blocking(move || {
                    drop(old);
                    rebuilding.store(false, Ordering::Relaxed);
                });
            }
            Err(error) => {
                warn!(%error, "no new Kafka producer could be made");
                self.rebuilding.store(false, Ordering::Relaxed);
            }
        }
    }
}

impl Sink for Kafka {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let (delivery, report) = oneshot::channel();
            let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(name, Box::new(delivery))
                .payload(&event.payload)
                .headers(cloudevents::kafka(event));
            if let Some(key) = &event.key {
                record = record.key(key.as_bytes());
            }
            if let Err((error, _)) = self.producer.load().send(record) {
                return Err(self.sort(&error));
            }
            match timeout_at(deadline, report).await {
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(Ok(Err(error))) => Err(self.sort(&error)),
                Ok(Err(_)) => Err(Error::retry("producer-restarted", "the producer went away")),
                Err(_) => Err(Error::timeout()),
            }
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // librdkafka retries by itself and reports no blips.
        Box::pin(std::future::ready(()))
    }

    fn give_up(&self) {
        self.producer.load().purge(PurgeConfig::default().queue().inflight());
    }
}

/// The part of the client configuration that producers and administration share.
pub fn client_config(settings: &config::Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &settings.properties {
        config.set(name, value.expose());
    }
    config.set("bootstrap.servers", settings.brokers.join(","));
    config
}

/// Create the declared topics that are missing. Returns what could not be done, one text a topic;
/// `Err` when the cluster could not be asked.
pub async fn ensure(settings: &config::Kafka, limit: Duration) -> Result<Vec<String>, KafkaError> {
    if settings.topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin: AdminClient<DefaultClientContext> = client_config(settings).create()?;
    let topics: Vec<NewTopic<'_>> = settings.topics.iter().map(declared).collect();
    let options = AdminOptions::new().operation_timeout(Some(limit)).request_timeout(Some(limit));
    let results = admin.create_topics(&topics, &options).await?;
    let mut failed = Vec::new();
    for result in results {
        match result {
            Ok(name) => info!(topic = name, "created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                failed.push(format!("topic `{name}` could not be created: {code}"))
            }
        }
    }
    Ok(failed)
}

/// -1 leaves the number to the broker (since Kafka 2.4).
fn declared(topic: &Topic) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(topic.replication_factor.unwrap_or(-1));
    let new = NewTopic::new(&topic.name, topic.partitions.unwrap_or(-1), replication);
    let settings: &BTreeMap<String, String> = &topic.config;
    settings.iter().fold(new, |new, (name, value)| new.set(name, value))
}
