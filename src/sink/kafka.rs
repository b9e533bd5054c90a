//! Kafka: one idempotent producer for the whole process, and its delivery reports.
//!
//! What our own timer gave up must not be sent afterwards: `message.timeout.ms` is below
//! `ack_timeout` by more than the second between librdkafka's looks at it. A full queue is
//! an answer, never a wait. A fatal error of the idempotent producer (which can never send
//! again) makes a new producer.
//!
//! librdkafka sends batches, and a broker refuses a whole batch for one record in it. So what
//! was refused is sent once more by itself, and only then it is the event's fault (see `alone`). Events of one key that
//! wait for each other are sent in runs (see `pipeline`).

pub mod address;
mod alone;
mod cluster;
mod pipeline;
mod producer;
mod topics;
mod verdict;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::BaseRecord;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use self::alone::Alone;
use self::cluster::{Cluster, Delivery};
use self::pipeline::Pipeline;
use self::producer::Producer;
pub use self::topics::ensure;
use super::{Acknowledged, Error, Pipelining, Scope, Sending, Sink, cloudevents};
use crate::config::{self, librdkafka};
use crate::message::Event;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Name of this broker in health and metrics.
pub const BROKER: &str = "kafka";

/// Topics that are looked up at the same time.
const MAX_LOOKUPS: usize = 8;

/// Stores events in topics.
pub struct Kafka {
    cluster: Arc<Cluster>,
    producer: Arc<Producer>,
    alone: Alone,
    pipeline: Arc<Pipeline>,
    /// For those who ask the brokers about a topic.
    asking: Semaphore,
}

/// Why an event wasn't stored.
enum Failure {
    /// librdkafka didn't take it.
    Refused(KafkaError),
    /// Its report says so.
    Reported(KafkaError),
    /// There was no report in time.
    TimedOut,
    ProducerGone,
}

impl Kafka {
    /// A producer for the configured cluster; it connects by itself. `http` bounds what it has to hold.
    pub fn new(
        settings: &config::Kafka,
        http: &config::Http,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KafkaError> {
        let config = librdkafka::producer(settings, http);
        let cluster = Arc::new(Cluster::new(health, metrics));
        let alone = Alone::new(librdkafka::alone(&config), cluster.clone());
        let pipeline = Pipeline::new(librdkafka::pipeline(&config), cluster.clone());
        let producer = Arc::new(Producer::new(config, cluster.clone())?);
        let pipeline = Arc::new(pipeline);
        Ok(Self { cluster, producer, alone, pipeline, asking: Semaphore::new(MAX_LOOKUPS) })
    }

    /// Wait for the reports of all that was sent, for at most `limit`. Blocks its thread.
    pub fn flush(&self, limit: Duration) {
        self.producer.flush(limit);
        if let Some(alone) = self.alone.get() {
            alone.flush(limit);
        }
    }

    async fn store(&self, topic: &str, event: &Event, deadline: Instant) -> Result<(), Error> {
        if !self.alone.takes(topic) {
            match attempt(&self.producer, topic, event, deadline).await {
                Ok(()) => return Ok(()),
                Err(Failure::Reported(error)) if verdict::is_of_a_batch(&error) => {
                    self.alone.add(topic, &error);
                }
                Err(failure) => return Err(self.judge(topic, failure, deadline).await),
            }
        }
        let producer = self.alone.producer().await.map_err(|error| verdict::of(&error))?;
        match attempt(producer, topic, event, deadline).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.judge(topic, failure, deadline).await),
        }
    }

    async fn judge(&self, topic: &str, failure: Failure, deadline: Instant) -> Error {
        let error = match failure {
            Failure::Refused(error) | Failure::Reported(error) => verdict::of(&error),
            Failure::TimedOut => Error::timeout(),
            Failure::ProducerGone => {
                Error::unavailable("producer-restarted", "the producer went away")
            }
        };
        if !verdict::is_unexplained(&error) {
            return error;
        }
        match self.cluster.explain(topic) {
            Some(why) => Error::unavailable("unreachable", why),
            None if self.cluster.may_be_missing(topic) => {
                self.problem(topic, deadline).await.unwrap_or(error)
            }
            None => error,
        }
    }

    /// What is wrong with a topic. librdkafka waits half a minute for one that there isn't, and says only that the time
    /// of its events is over.
    async fn problem(&self, topic: &str, deadline: Instant) -> Option<Error> {
        let _permit = timeout_at(deadline, self.asking.acquire()).await.ok()?.ok()?;
        let limit = deadline.checked_duration_since(Instant::now())?;
        let (producer, topic) = (self.producer.clone(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || producer.problem(&topic, limit));
        let error = timeout_at(deadline, asked).await.ok()?.ok()??;
        Some(verdict::of(&error)).filter(|error| error.scope == Scope::Name)
    }
}

/// An event as a record, and who waits for its report.
fn record<'a>(
    topic: &'a str,
    event: &'a Event,
    delivery: Delivery,
) -> BaseRecord<'a, [u8], [u8], Box<Delivery>> {
    let record = BaseRecord::with_opaque_to(topic, Box::new(delivery))
        .payload(&*event.payload)
        .headers(cloudevents::kafka(event));
    match &event.key {
        Some(key) => record.key(key.as_bytes()),
        None => record,
    }
}

/// Send an event by this producer, and wait for the report.
async fn attempt(
    producer: &Producer,
    topic: &str,
    event: &Event,
    deadline: Instant,
) -> Result<(), Failure> {
    let (delivery, report) = oneshot::channel();
    if let Err(error) = producer.send(record(topic, event, delivery)) {
        producer.renew_if_dead(&error);
        return Err(Failure::Refused(error));
    }
    match timeout_at(deadline, report).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => {
            producer.renew_if_dead(&error);
            Err(Failure::Reported(error))
        }
        Ok(Err(_)) => Err(Failure::ProducerGone),
        Err(_) => Err(Failure::TimedOut),
    }
}

impl Sink for Kafka {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(self.store(name, event, deadline))
    }

    fn reasons(&self) -> &'static [&'static str] {
        &[
            "unknown-topic",
            "unauthorized",
            "not-enough-replicas",
            "unreachable",
            "queue-full",
            "invalid-record",
            "refused",
        ]
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // librdkafka retries by itself and reports no blips.
        Box::pin(std::future::ready(()))
    }

    fn give_up(&self) {
        self.producer.purge();
        if let Some(alone) = self.alone.get() {
            alone.purge();
        }
        self.pipeline.give_up();
    }

    fn pipeline(&self) -> Option<&dyn super::Pipeline> {
        Some(self)
    }
}

impl super::Pipeline for Kafka {
    fn max(&self, topic: &str) -> usize {
        // One verdict for several says nothing of any of them.
        if self.alone.takes(topic) { 1 } else { self.pipeline.max(topic) }
    }

    fn send<'a>(
        &'a self,
        topic: &'a str,
        events: &'a [&'a Event],
        deadline: Instant,
        acknowledged: Acknowledged<'a>,
    ) -> Pipelining<'a> {
        Box::pin(async move {
            let sent = self.pipeline.send(topic, events, deadline, acknowledged).await;
            if let Some(error) = sent.error.filter(verdict::is_of_a_batch) {
                self.alone.add(topic, &error);
            }
            sent.stored
        })
    }
}
