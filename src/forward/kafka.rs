//! Events from Kafka: read as one of a group, posted in order per partition, their offsets committed after a 2xx.
//!
//! An offset is stored when its record is done with, and the client commits what is stored: every second, when a
//! partition goes to another member of the group, and at the end. Before a partition goes, what is being posted of it
//! is finished, within a limit; nothing else of it is posted here any more.
//!
//! A partition whose records wait is paused, so that the client goes on hearing of the group while a server is down.

mod assignment;
mod dead_letters;
mod start;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tokio::sync::mpsc;

use self::assignment::{Assignment, Context, Ticket};
use self::dead_letters::{DeadLetters, Letter};
use super::about::About;
use super::delivery::{Delivery, DeliveryResult};
use super::lanes::{Handle, Lanes};
use super::request::{Dialect, Request};
use super::stop::Stop;
use crate::nats::header::encoded;

/// Partitions that may ask to be read again at the same time.
const MAX_RESUMED: usize = 4_096;

/// Which events are read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How to reach the cluster.
    pub client: ClientConfig,
    /// How to write to it.
    pub producer: ClientConfig,
    /// The topic.
    pub topic: String,
    /// The group that remembers what was posted.
    pub group: String,
    /// Where a new group begins; nothing: with what comes from now on.
    pub since: Option<SystemTime>,
    /// The topic of events that are given up.
    pub dead_letters: Option<String>,
    /// At the end, how long to wait for what is being posted.
    pub drain: Duration,
}

/// Why events can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such topic.
    #[error("there is no topic `{0}`")]
    NoTopic(String),
    /// Something that Kafka says.
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
}

/// Posts the events of a topic.
pub struct Events {
    plan: Plan,
    dialect: Dialect,
    delivery: Arc<Delivery>,
}

/// One record, on its way.
struct Taken {
    /// Its place in its partition, for as long as that is ours.
    ticket: Ticket,
    about: About,
    request: Request,
    original: dead_letters::Original,
}

impl Events {
    /// Of this plan, through `delivery`.
    pub fn new(plan: Plan, dialect: Dialect, delivery: Arc<Delivery>) -> Self {
        Self { plan, dialect, delivery }
    }

    /// Post until the end; then finish what is being posted, unless `hurry` ends before. `ready` hears what was found.
    pub async fn run(
        &self,
        ready: impl Fn(&str),
        hurry: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let Plan { topic, group, .. } = &self.plan;
        let stop = &self.delivery.stop;
        let plan = self.plan.clone();
        let began = tokio::task::spawn_blocking(move || start::begin(&plan));
        // It doesn't panic; if it did, the group would begin as it is configured.
        began.await.unwrap_or(Ok(()))?;
        let (resume, mut resumed) = mpsc::channel(MAX_RESUMED);
        let assignment = Assignment::new(resume);
        let consumer: StreamConsumer<Context> = self
            .plan
            .client
            .clone()
            .set("group.id", group)
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("enable.auto.offset.store", "false")
            // The group has offsets for all partitions that there were at the begin: others hold only what is new.
            .set("auto.offset.reset", "earliest")
            .create_with_context(Context(assignment.clone()))?;
        let consumer = Arc::new(consumer);
        consumer.subscribe(&[topic])?;
        ready(&format!("events from topic `{topic}`, group `{group}`"));
        let dead_letters = self.plan.dead_letters.as_ref();
        let dead_letters =
            dead_letters.map(|topic| DeadLetters::new(topic, &self.plan.producer)).transpose()?;
        let (delivery, topic) = (self.delivery.clone(), topic.clone());
        let poster = Poster { topic, delivery, consumer: consumer.clone(), dead_letters };
        let lanes = Lanes::new(poster);
        let mut logged = String::new();
        loop {
            tokio::select! {
                () = stop.begun() => break,
                Some(partition) = resumed.recv() => {
                    // One that went to another member meanwhile can't be resumed, and needn't be.
                    let _ = consumer.resume(&self.list(partition));
                }
                record = consumer.recv() => match record {
                    Ok(record) => self.take(&consumer, &assignment, &lanes, &record),
                    Err(error) => {
                        let text = error.to_string();
                        if text != logged {
                            ready(&format!("Kafka: {text}; trying on"));
                            logged = text;
                        }
                    }
                },
            }
        }
        assignment.stop_all();
        lanes.finish(self.plan.drain, hurry).await;
        // To leave the group may take a moment, and commits what is stored.
        let leaving = tokio::task::spawn_blocking(move || drop((lanes, consumer)));
        let _ = leaving.await;
        Ok(())
    }

    fn take(
        &self,
        consumer: &StreamConsumer<Context>,
        assignment: &Arc<Assignment>,
        lanes: &Lanes<Taken, Poster>,
        record: &BorrowedMessage<'_>,
    ) {
        let payload = Bytes::copy_from_slice(record.payload().unwrap_or_default());
        let (partition, offset) = (record.partition(), record.offset());
        let taken = assignment.take(partition, offset, payload.len());
        // What belongs to another member by now is read by that.
        let Some((ticket, is_full)) = taken else { return };
        if is_full {
            // Without a pause more comes than should wait, and nothing else happens.
            let _ = consumer.pause(&self.list(partition));
        }
        let (about, request) = self.request(record, &payload);
        let original = dead_letters::Original::new(record, payload);
        let taken = Taken { ticket, about, request, original };
        lanes.push(Some(&partition.to_string()), taken);
    }

    /// What is posted of a record: its headers are those of the Kafka binding.
    fn request(&self, record: &BorrowedMessage<'_>, payload: &Bytes) -> (About, Request) {
        let mut said = Vec::new();
        for header in record.headers().into_iter().flat_map(|headers| headers.iter()) {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
            let name = match header.key.to_ascii_lowercase() {
                name if name == "content-type" => "ce-datacontenttype".to_owned(),
                name => match name.strip_prefix("ce_") {
                    Some(attribute) => format!("ce-{attribute}"),
                    None => {
                        said.push((name, value.into_owned()));
                        continue;
                    }
                },
            };
            said.push((name, encoded(&value).as_str().to_owned()));
        }
        let has_subject = said.iter().any(|(name, _)| name == "ce-subject");
        if let Some(key) = record.key().filter(|_| !has_subject) {
            let key = encoded(&String::from_utf8_lossy(key)).as_str().to_owned();
            said.push(("ce-subject".to_owned(), key));
        }
        let said = said.iter().map(|(name, value)| (name.clone(), value.as_str()));
        self.dialect.cloud_event(None, said, payload)
    }

    fn list(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.plan.topic, partition);
        list
    }
}

/// Posts what comes through a lane.
struct Poster {
    topic: String,
    delivery: Arc<Delivery>,
    consumer: Arc<StreamConsumer<Context>>,
    dead_letters: Option<DeadLetters>,
}

impl Handle<Taken> for Poster {
    async fn handle(&self, taken: Taken) {
        let Taken { ticket, about, request, original } = taken;
        let stop = ticket.stop();
        match self.delivery.deliver(&about, request, 0, stop).await {
            DeliveryResult::Stopped => return,
            DeliveryResult::Taken => {}
            DeliveryResult::GivenUp { status, reason } => {
                let topic = &*self.topic;
                let letter = Letter { original, topic, ticket: &ticket, status, reason };
                if !self.give_up(&letter, stop).await {
                    return;
                }
            }
        }
        let (partition, offset) = (ticket.partition(), ticket.offset());
        // It fails where the partition went to another member, which reads the record once more.
        let _ = self.consumer.store_offset(&self.topic, partition, offset);
    }
}

impl Poster {
    /// Returns whether the record is done with.
    async fn give_up(&self, letter: &Letter<'_>, stop: &Stop) -> bool {
        let Some(dead_letters) = &self.dead_letters else {
            self.delivery.reporter.given_up(&letter.to_string(), None);
            return true;
        };
        tokio::select! {
            () = dead_letters.keep(letter, &*self.delivery.reporter) => true,
            () = stop.begun() => false,
        }
    }
}
