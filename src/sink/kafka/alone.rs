//! Sending events one by one, where Kafka refuses whole batches.
//!
//! A broker has one verdict for a batch: too large, or a record in it that the topic doesn't take. librdkafka gives
//! that verdict to each event of the batch, so it says nothing of any of them. What was refused that way is sent
//! again by a second producer, in a batch of its own; its verdict counts. A topic that refused a batch gets all its
//! events that way for a while, so that few of them are sent twice.
//!
//! The order of a key holds, since its next event isn't sent before this one is stored or judged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::info;

use super::cluster::Cluster;
use super::producer::Producer;

/// How long a topic's events go one by one after a batch was refused: its limit may be raised meanwhile.
const REMEMBER_TIME: Duration = Duration::from_secs(600);

/// How many topics are remembered. An event that another one refuses is sent twice, no more.
const MAX_TOPICS: usize = 1_024;

/// The second producer, and the topics that need it.
pub(super) struct Alone {
    config: ClientConfig,
    cluster: Arc<Cluster>,
    /// Made when it is needed first.
    producer: OnceCell<Producer>,
    /// Until when.
    topics: RwLock<HashMap<String, Instant>>,
    /// There are some.
    is_used: AtomicBool,
}

impl Alone {
    pub(super) fn new(config: ClientConfig, cluster: Arc<Cluster>) -> Self {
        Self {
            config,
            cluster,
            producer: OnceCell::new(),
            topics: RwLock::default(),
            is_used: AtomicBool::new(false),
        }
    }

    /// Whether the events of this topic go one by one.
    pub(super) fn takes(&self, topic: &str) -> bool {
        // Most clusters never refuse a batch: no lock, no clock.
        if !self.is_used.load(Ordering::Relaxed) {
            return false;
        }
        self.topics.read().get(topic).is_some_and(|until| Instant::now() < *until)
    }

    /// This topic has just refused a batch.
    pub(super) fn add(&self, topic: &str, error: &KafkaError) {
        let now = Instant::now();
        let mut topics = self.topics.write();
        topics.retain(|_, until| now < *until);
        if topics.len() >= MAX_TOPICS {
            return;
        }
        if topics.insert(topic.to_owned(), now + REMEMBER_TIME).is_none() {
            info!(topic, %error, "a batch was refused; events for this topic are sent one by one for a while");
        }
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// The second producer.
    pub(super) async fn producer(&self) -> Result<&Producer, KafkaError> {
        let make = async || {
            let (config, cluster) = (self.config.clone(), self.cluster.clone());
            // It reads files and starts threads.
            let made = tokio::task::spawn_blocking(move || Producer::new(config, cluster)).await;
            made.unwrap_or(Err(KafkaError::Canceled))
        };
        self.producer.get_or_try_init(make).await
    }

    /// The same, where there is one already.
    pub(super) fn get(&self) -> Option<&Producer> {
        self.producer.get()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_refused_a_batch_gets_its_events_one_by_one_for_a_while() {
        let cluster = Arc::new(Cluster::new(Arc::default(), Arc::default()));
        let alone = Alone::new(ClientConfig::new(), cluster);
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(!alone.takes("a"));
        alone.add("a", &error);
        assert!(alone.takes("a") && !alone.takes("b"));
        advance(REMEMBER_TIME / 2).await;
        alone.add("b", &error);
        advance(REMEMBER_TIME / 2 - Duration::from_millis(1)).await;
        assert!(alone.takes("a") && alone.takes("b"));
        advance(Duration::from_millis(1)).await;
        assert!(!alone.takes("a") && alone.takes("b"));
        // What is over makes room, and what isn't is bounded.
        for topic in 0..MAX_TOPICS {
            alone.add(&topic.to_string(), &error);
        }
        assert_eq!(alone.topics.read().len(), MAX_TOPICS);
        assert!(alone.takes("b") && alone.takes("0"));
        assert!(alone.takes(&(MAX_TOPICS - 2).to_string()));
        assert!(!alone.takes(&(MAX_TOPICS - 1).to_string()));
    }
}
