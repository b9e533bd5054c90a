//! What the brokers hold.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::history::Stored;
use crate::support::{Kafka, Nats};

/// How long a broker may say nothing while it still has something.
const SILENCE: Duration = Duration::from_secs(20);

/// All messages of a stream, in its order.
pub(crate) async fn nats(nats: &Nats, stream: &str) -> Vec<Stored> {
    let stream = nats.jetstream().await.get_stream(stream).await.unwrap();
    let count = stream.get_info().await.unwrap().state.messages;
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut all = Vec::new();
    while (all.len() as u64) < count {
        let message = timeout(SILENCE, messages.next()).await.expect("all messages of the stream");
        let message = message.unwrap().unwrap();
        let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id"));
        all.push(Stored {
            partition: 0,
            position: message.info().unwrap().stream_sequence,
            id: id.map(ToString::to_string).unwrap_or_default(),
            payload: message.payload.to_vec(),
        });
    }
    all
}

/// All records of a topic, partition by partition.
pub(crate) async fn kafka(kafka: &Kafka, topic: &str) -> Vec<Stored> {
    let stored = |record: crate::support::kafka::Record| Stored {
        partition: record.partition,
        position: record.offset as u64,
        id: record.header("ce_id").unwrap_or_default().to_owned(),
        payload: record.payload.unwrap_or_default(),
    };
    kafka.records(topic, 0).await.into_iter().map(stored).collect()
}
