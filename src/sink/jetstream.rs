//! NATS JetStream: publish with a message id, wait for the PubAck in our own inbox.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Class, DISCONNECTED, Error, Examining, Sending, Sink, cloudevents};
use crate::inbox::{Failure, Inbox, Request};
use crate::message::Event;
use crate::nats::Receive as _;
use crate::nats::header::insert;
use crate::nats::stream_lookup::{StreamLookup, StreamOf};

/// Pause before a publish is tried again when the stream wasn't there (250 ms in ADR-22).
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Longer than any PubAck.
const MAX_ACK_BYTES: usize = 4_096;

/// The members of a PubAck, any of which may come first.
const ACK_MEMBERS: [&[u8]; 8] =
    [b"stream", b"seq", b"error", b"domain", b"duplicate", b"val", b"batch", b"count"];

/// The reason where a permission is missing.
const NOT_PERMITTED: &str = "not-permitted";

/// The inbox of PubAcks.
pub type Acks = Inbox<Result<(), Error>>;

/// Stores events in whatever stream takes their subject.
pub struct JetStream {
    acks: Arc<Acks>,
    streams: StreamLookup,
}

impl JetStream {
    /// A sink whose PubAcks come to `acks`, for the streams of this JetStream domain.
    pub fn new(acks: Arc<Acks>, domain: Option<&str>) -> Self {
        Self { acks, streams: StreamLookup::new(domain) }
    }
}

impl Sink for JetStream {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let headers = || {
                let mut headers = cloudevents::nats(event);
                if event.dedupe {
                    let id = [&event.endpoint, "/", &event.id, "/", name].concat();
                    // All three are visible ASCII, which every header takes.
                    insert(&mut headers, "Nats-Msg-Id", id.parse().unwrap_or_default());
                }
                headers
            };
            let payload = event.payload.clone();
            let request = Request { subject: name.to_owned(), headers, payload, number: None };
            let acked = self.acks.request(request, deadline).await;
            acked.unwrap_or_else(|failure| {
                Err(match failure {
                    Failure::Disconnected | Failure::Lost => {
                        Error::transient(DISCONNECTED, "there is no connection to NATS")
                    }
                    Failure::NoResponders => {
                        Error::transient("no-stream", "no stream takes this subject").of_name()
                    }
                    // With a connection it hears of acknowledgements: it may not publish to this subject.
                    Failure::NotPermitted if self.acks.connection().is_connected() => Error::unavailable(
                        NOT_PERMITTED,
                        "the NATS server doesn't permit this user to publish to this subject",
                    )
                    .of_name(),
                    Failure::NotPermitted => Error::unavailable(
                        NOT_PERMITTED,
                        "the NATS server doesn't permit this user to hear of acknowledgements",
                    ),
                    Failure::TooLarge(limit) => too_large(limit),
                    Failure::Timeout => Error::timeout(),
                    Failure::Strange => Error::unavailable(
                        "bad-ack",
                        "something other than JetStream replied, and no acknowledgement came in time",
                    ),
                })
            })
        })
    }

    fn reasons(&self) -> &'static [&'static str] {
        &[
            "no-stream",
            NOT_PERMITTED,
            "bad-ack",
            "unavailable",
            "busy",
            "store-failed",
            "sealed",
            "headers-too-large",
            "refused",
        ]
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let connection = self.acks.connection();
            if connection.is_connected() {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            connection.connected().await;
        })
    }

    fn examine<'a>(&'a self, name: &'a str, error: Error, deadline: Instant) -> Examining<'a> {
        Box::pin(async move {
            let Some(client) = self.acks.connection().client() else { return error };
            match self.streams.of(&client, name, deadline).await {
                StreamOf::None => Error { class: Class::Unavailable, ..error },
                StreamOf::NoJetStream => {
                    Error::transient("no-stream", "the server has no JetStream for this account")
                }
                StreamOf::Stream | StreamOf::Unknown => error,
            }
        })
    }

    fn give_up(&self) {
        self.acks.lost();
    }
}

/// An event that is larger than a server takes, which was asked just before.
pub(super) fn too_large(limit: usize) -> Error {
    Error::permanent(
        "too-large",
        format!(
            "with its headers it is larger than the NATS server takes: max_payload is {limit} bytes"
        ),
    )
}

/// A PubAck: where the event was stored, or why not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PubAck<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
    error: Option<Refused>,
    /// What else nat-server may say (`JSPubAckResponse`), and nobody here needs.
    #[serde(rename = "domain", borrow)]
    _domain: Option<Cow<'a, str>>,
    #[serde(rename = "duplicate")]
    _duplicate: Option<bool>,
    #[serde(rename = "val", borrow)]
    _value: Option<Cow<'a, str>>,
    #[serde(rename = "batch", borrow)]
    _batch: Option<Cow<'a, str>>,
    #[serde(rename = "count")]
    _count: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Refused {
    /// A status of HTTP, and a number of the server's own list.
    fn is_jetstreams(&self) -> bool {
        (400..600).contains(&self.code) && (10_000..20_000).contains(&self.err_code)
    }
}

/// What a PubAck says; nothing for a message that is none.
fn parse(message: &Message) -> Option<Result<(), Error>> {
    match serde_json::from_slice(&message.payload).ok()? {
        PubAck { error: Some(refused), .. } => refused.is_jetstreams().then(|| Err(sort(refused))),
        PubAck { stream: Some(stream), seq: Some(1..), .. } if !stream.is_empty() => Some(Ok(())),
        _ => None,
    }
}

/// Reads the replies to published events. Other subscribers of their subjects may reply too.
#[expect(clippy::result_large_err, reason = "the message itself is handed back")]
pub fn read(message: Message) -> Result<Result<(), Error>, Message> {
    parse(&message).ok_or(message)
}

/// Whether a reply is a PubAck, which says that a stream has stored what it replies to.
pub fn is_ack(message: &Message) -> bool {
    // Answers of workers are of any length, and most of them begin differently.
    let first = || message.payload.strip_prefix(b"{\"")?.split(|byte| *byte == b'"').next();
    message.headers.is_none()
        && message.payload.len() < MAX_ACK_BYTES
        && first().is_some_and(|member| ACK_MEMBERS.contains(&member))
        && parse(message).is_some()
}

/// The server's error codes (`errors.json` of nats-server), sorted by whose fault they are.
fn sort(refused: Refused) -> Error {
    let Refused { code, err_code, description } = refused;
    match err_code {
        10_054 => Error::permanent("too-large", description),
        10_097 => Error::permanent("headers-too-large", description),
        10_077 => Error::unavailable("store-failed", description),
        10_109 => Error::unavailable("sealed", description),
        10_008 | 10_023 => Error::transient("unavailable", description),
        10_158 | 10_167 => Error::transient("busy", description),
        _ if code == 503 => Error::transient("unavailable", description),
        _ => Error::unavailable("refused", description),
    }
}

#[cfg(test)]
mod tests;
