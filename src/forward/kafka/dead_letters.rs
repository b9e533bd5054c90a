//! Records that were given up: written to a topic of their own before they are done with.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::sleep;

use super::assignment::Ticket;
use crate::forward::report::Reporter;
use crate::nats::backoff::Backoff;

/// How long a record may wait for room in the producer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where dead letters go.
pub(super) struct DeadLetters {
    topic: String,
    producer: FutureProducer,
}

/// A record as it is stored.
pub(super) struct Original {
    key: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
    payload: Bytes,
}

impl Original {
    pub(super) fn new(record: &BorrowedMessage<'_>, payload: Bytes) -> Self {
        let headers = record.headers().map(|headers| headers.detach());
        Self { key: record.key().map(<[u8]>::to_vec), headers, payload }
    }
}

/// A record that was given up.
pub(super) struct Letter<'a> {
    pub(super) original: Original,
    pub(super) topic: &'a str,
    pub(super) ticket: &'a Ticket,
    /// The status of the last answer.
    pub(super) status: Option<u16>,
    pub(super) reason: String,
}

impl fmt::Display for Letter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, ticket, reason, .. } = self;
        let (partition, offset) = (ticket.partition(), ticket.offset());
        write!(f, "topic {topic}, partition {partition}, offset {offset}: {reason}")
    }
}

impl DeadLetters {
    pub(super) fn new(topic: &str, producer: &ClientConfig) -> Result<Self, KafkaError> {
        Ok(Self { topic: topic.to_owned(), producer: producer.create()? })
    }

    /// Store one, for as long as it takes.
    pub(super) async fn keep(&self, letter: &Letter<'_>, reporter: &dyn Reporter) {
        let mut backoff = Backoff::default();
        let mut is_said = false;
        loop {
            let headers = headers(letter);
            let Original { key, payload, .. } = &letter.original;
            let mut record = FutureRecord::to(&self.topic).payload(&**payload).headers(headers);
            if let Some(key) = key {
                record = record.key(key.as_slice());
            }
            let Err((error, _)) = self.producer.send(record, QUEUE_TIMEOUT).await else { break };
            if !std::mem::replace(&mut is_said, true) {
                reporter.say(format!("a dead letter can't be stored, trying on: {error}"));
            }
            sleep(backoff.next_delay()).await;
        }
        reporter.given_up(&letter.to_string(), Some(&self.topic));
    }
}

/// What it came with, where it stands, and why it was given up.
fn headers(letter: &Letter<'_>) -> OwnedHeaders {
    let Letter { original, topic, ticket, status, reason } = letter;
    let (partition, offset) = (ticket.partition().to_string(), ticket.offset().to_string());
    let status = status.map(|status| status.to_string());
    let own = [
        ("hookbus-reason", Some(&**reason)),
        ("hookbus-topic", Some(*topic)),
        ("hookbus-partition", Some(&*partition)),
        ("hookbus-offset", Some(&*offset)),
        ("hookbus-status", status.as_deref()),
    ];
    let own = own.into_iter().filter(|(_, value)| value.is_some());
    own.fold(original.headers.clone().unwrap_or_default(), |headers, (key, value)| {
        headers.insert(Header { key, value })
    })
}
