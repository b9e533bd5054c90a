//! Pulling messages, one request at a time: what comes is in the order of the stream, and no more than was asked for.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;

use super::streams::Error;

/// How long one request stays with the server, also when the connection that it came through is gone and the server
/// hasn't noticed.
pub(super) const EXPIRES: Duration = Duration::from_secs(10);

/// How often the server says that it still knows the request.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// Without a word for so long the server has forgotten it.
const SILENCE: Duration = Duration::from_secs(9);

/// A message of a stream.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) subject: Subject,
    /// Where it is acknowledged.
    pub(super) reply: Subject,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// How often it was handed out.
    pub(super) delivered: u64,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All came, or its time is over.
    Served,
    /// The next message is larger than what was asked for.
    TooLarge,
}

/// The way from a consumer to here.
pub(super) struct Pull {
    context: Context,
    client: Client,
    subject: String,
    inbox: String,
    messages: Subscriber,
}

impl Pull {
    pub(super) async fn new(client: &Client, subject: String) -> Result<Self, Error> {
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await.map_err(Error::other)?;
        let context = jetstream::new(client.clone());
        Ok(Self { context, client: client.clone(), subject, inbox, messages })
    }

    /// Ask for so many messages of so many bytes together, and hand each over as it comes.
    pub(super) async fn ask(
        &mut self,
        count: usize,
        bytes: Option<usize>,
        each: impl AsyncFn(Message),
    ) -> Result<Ended, Error> {
        let mut request = json!({
            "batch": count,
            "expires": EXPIRES.as_nanos() as u64,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
        });
        if let Some(bytes) = bytes {
            request["max_bytes"] = bytes.into();
        }
        let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
        let sent = self.client.publish_with_reply(subject, inbox, request.to_string().into());
        sent.await.map_err(Error::other)?;
        let mut left = count;
        while left > 0 {
            let Ok(next) = timeout(SILENCE, self.messages.next()).await else {
                return Err(Error::other("the consumer is silent"));
            };
            let Some(message) = next else {
                return Err(Error::other("the connection to NATS is gone"));
            };
            let Some(status) = message.status else {
                left -= 1;
                if let Some(message) = self.read(message) {
                    each(message).await;
                }
                continue;
            };
            let description = message.description.unwrap_or_default();
            match status.as_u16() {
                100 => {}
                404 | 408 => return Ok(Ended::Served),
                409 if description.contains("MaxBytes") => return Ok(Ended::TooLarge),
                409 if description.contains("Batch Completed") => return Ok(Ended::Served),
                503 => return Err(Error::other("the consumer is gone, or has no leader")),
                _ => return Err(Error::Other(format!("the consumer ended: {description}"))),
            }
        }
        Ok(Ended::Served)
    }

    fn read(&self, message: async_nats::Message) -> Option<Message> {
        let message = jetstream::Message { message, context: self.context.clone() };
        let info = message.info().ok()?;
        let (sequence, delivered) = (info.stream_sequence, info.delivered);
        let delivered = u64::try_from(delivered).unwrap_or(1);
        let async_nats::Message { subject, reply, headers, payload, .. } = message.message;
        Some(Message { subject, reply: reply?, headers, payload, sequence, delivered })
    }
}
