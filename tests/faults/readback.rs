//! What the brokers hold.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::history::{Clock, Stored};
use crate::subscriber;
use crate::support::kafka::Record;
use crate::support::{Kafka, Nats};

/// How long a broker may say nothing while it still has something.
const SILENCE: Duration = Duration::from_secs(20);

/// All messages of a stream, in its order.
pub(crate) async fn nats(nats: &Nats, stream: &str, clock: Clock) -> Vec<Stored> {
    let stream = nats.jetstream().await.get_stream(stream).await.unwrap();
    let count = stream.get_info().await.unwrap().state.messages;
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut all = Vec::new();
    while (all.len() as u64) < count {
        let message = timeout(SILENCE, messages.next()).await.expect("all messages of the stream");
        let message = message.unwrap().unwrap();
        let info = message.info().unwrap();
        let milliseconds = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000);
        let (position, time) = (info.stream_sequence, clock.at(milliseconds.unwrap_or_default()));
        all.push(subscriber::stored(&message.message, position, time));
    }
    all
}

/// All records of a topic, partition by partition.
pub(crate) async fn kafka(kafka: &Kafka, topic: &str, clock: Clock) -> Vec<Stored> {
    let stored = |record: Record| Stored {
        partition: record.partition,
        position: record.offset as u64,
        name: topic.to_owned(),
        key: String::from_utf8(record.key.clone().unwrap_or_default()).unwrap_or_default(),
        id: record.header("ce_id").unwrap_or_default().to_owned(),
        time: clock.at(record.time),
        payload: record.payload.unwrap_or_default(),
    };
    kafka.records(topic, 0).await.into_iter().map(stored).collect()
}
