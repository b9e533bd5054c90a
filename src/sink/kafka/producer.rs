//! One producer of librdkafka at a time: an idempotent one that met a fatal error is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer};
use tracing::warn;

use super::cluster::{Cluster, Context, Delivery};

/// A producer that sends again after a fatal error.
pub(super) struct Producer {
    config: ClientConfig,
    cluster: Arc<Cluster>,
    current: ArcSwap<ThreadedProducer<Context>>,
    is_renewing: Arc<AtomicBool>,
}

impl Producer {
    pub(super) fn new(config: ClientConfig, cluster: Arc<Cluster>) -> Result<Self, KafkaError> {
        let producer = config.create_with_context(Context(cluster.clone()))?;
        let current = ArcSwap::from_pointee(producer);
        Ok(Self { config, cluster, current, is_renewing: Arc::default() })
    }

    /// Hand a record over. Never waits.
    pub(super) fn send(
        &self,
        record: BaseRecord<'_, [u8], [u8], Box<Delivery>>,
    ) -> Result<(), KafkaError> {
        self.current.load().send(record).map_err(|(error, _)| error)
    }

    /// What the brokers say is wrong with a topic, such as that there is none. Blocks its thread.
    pub(super) fn problem(&self, topic: &str, limit: Duration) -> Option<KafkaError> {
        let producer = self.current.load_full();
        let metadata = producer.client().fetch_metadata(Some(topic), limit).ok()?;
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        found.error().map(|code| KafkaError::MessageProduction(code.into()))
    }

    /// Wait for all reports, for at most `limit`. Blocks its thread.
    pub(super) fn flush(&self, limit: Duration) {
        if let Err(error) = self.current.load().flush(limit) {
            warn!(%error, "not everything sent to Kafka was acknowledged before the end");
        }
    }

    /// Let everything that waits fail now.
    pub(super) fn purge(&self) {
        self.current.load().purge(PurgeConfig::default().queue().inflight());
    }

    /// An idempotent producer that met a fatal error never sends again.
    pub(super) fn renew_if_dead(&self, error: &KafkaError) {
        // These come by the thousand, and say nothing of the producer.
        let is_usual = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::QueueFull)
        );
        if is_usual {
            return;
        }
        let old = self.current.load_full();
        let Some((code, reason)) = old.client().fatal_error() else {
            return;
        };
        if self.is_renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        warn!(%code, reason, "the Kafka producer met a fatal error; making a new one");
        match self.config.create_with_context(Context(self.cluster.clone())) {
            Ok(producer) => {
                self.current.store(Arc::new(producer));
                let is_renewing = self.is_renewing.clone();
                // Dropping a producer purges it and waits, which is not for this thread.
                tokio::task::spawn_blocking(move || {
                    drop(old);
                    is_renewing.store(false, Ordering::Relaxed);
                });
            }
            Err(error) => {
                warn!(%error, "no new Kafka producer could be made");
                self.is_renewing.store(false, Ordering::Relaxed);
            }
        }
    }
}
