//! Creating the declared topics.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::info;

use crate::config::{self, Topic, librdkafka};

/// Create the declared topics that are missing. Returns what could not be done, one text a topic;
/// `Err` when the cluster could not be asked.
pub async fn ensure(settings: &config::Kafka, limit: Duration) -> Result<Vec<String>, KafkaError> {
    if settings.topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin: AdminClient<DefaultClientContext> = librdkafka::client(settings).create()?;
    // A user that may write to a topic sees it, but may not be allowed to create any: a topic that exists needs no permission.
    let look = move || {
        let metadata = admin.inner().fetch_metadata(None, limit)?;
        let topics = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
        let names: Vec<String> = topics.map(|topic| topic.name().to_owned()).collect();
        Ok((admin, names))
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let (admin, existing) = looked.unwrap_or(Err(KafkaError::Canceled))?;
    let missing = settings.topics.iter().filter(|topic| !existing.contains(&topic.name));
    let topics: Vec<NewTopic<'_>> = missing.map(declared).collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
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
