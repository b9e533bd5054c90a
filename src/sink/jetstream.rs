//! NATS JetStream: publish with a message id, wait for the PubAck in our own inbox.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::{DISCONNECTED, Error, Sending, Sink, cloudevents};
use crate::inbox::{Failure, Inbox, Request};
use crate::message::Event;
use crate::nats::header::insert;

/// How soon a publish is tried again when the stream wasn't there (ADR-22 has 250 ms).
const AGAIN: Duration = Duration::from_millis(250);

/// The tag of requests whose late replies are nobody's: a late PubAck.
pub const NOBODY: u32 = u32::MAX;

/// Stores events in whatever stream takes their subject.
pub struct JetStream {
    inbox: Arc<Inbox>,
}

impl JetStream {
    /// A sink whose PubAcks come to `inbox`.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }
}

impl Sink for JetStream {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let mut headers = cloudevents::nats(event);
            if event.dedupe {
                let id = format!("{}/{}/{name}", event.endpoint, event.id);
                // All three are visible ASCII, which every header takes.
                insert(&mut headers, "Nats-Msg-Id", id.parse().unwrap_or_default());
            }
            let request = Request {
                subject: name.to_owned(),
                headers,
                payload: event.payload.clone(),
                tag: NOBODY,
            };
            match self.inbox.request(request, deadline).await {
                Ok(message) => read(&message.payload),
                Err(failure) => Err(match failure {
                    Failure::Disconnected | Failure::Lost => {
                        Error::blip(DISCONNECTED, "there is no connection to NATS")
                    }
                    Failure::NoResponders => {
                        Error::blip("no-stream", "no stream takes this subject")
                    }
                    Failure::TooLarge => Error::reject(
                        "too-large",
                        "it is larger than max_payload of the NATS server",
                    ),
                    Failure::Timeout => Error::timeout(),
                }),
            }
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let link = self.inbox.link();
            if link.client().is_some() {
                tokio::time::sleep(AGAIN).await;
            }
            link.connected().await;
        })
    }

    fn give_up(&self) {
        self.inbox.lost();
    }
}

/// A PubAck: where the event was stored, or why not.
#[derive(Deserialize)]
struct PubAck<'a> {
    #[serde(borrow)]
    stream: Option<std::borrow::Cow<'a, str>>,
    seq: Option<u64>,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

fn read(payload: &Bytes) -> Result<(), Error> {
    match serde_json::from_slice::<PubAck<'_>>(payload) {
        Ok(PubAck { stream: Some(_), seq: Some(_), error: None }) => Ok(()),
        Ok(PubAck { error: Some(refused), .. }) => Err(sort(refused)),
        _ => Err(Error::retry("bad-ack", "somebody who is not JetStream answered the publish")),
    }
}

/// The server's error codes (`errors.json` of nats-server), sorted by whose fault they are.
fn sort(refused: Refused) -> Error {
    let Refused { code, err_code, description } = refused;
    match err_code {
        10_054 => Error::reject("too-large", description),
        10_097 => Error::reject("headers-too-large", description),
        10_077 => Error::retry("store-failed", description),
        10_109 => Error::retry("sealed", description),
        10_008 | 10_023 => Error::blip("unavailable", description),
        10_158 | 10_167 => Error::blip("busy", description),
        _ if code == 503 => Error::blip("unavailable", description),
        _ => Error::retry("refused", description),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Class;
    use super::*;

    #[test]
    fn an_ack_is_read_for_what_it_says() {
        let class = |text: &'static str| {
            read(&Bytes::from_static(text.as_bytes())).map_err(|error| error.class)
        };
        assert_eq!(class(r#"{"stream":"S","seq":7}"#), Ok(()));
        assert_eq!(class(r#"{"stream":"S","seq":7,"duplicate":true,"domain":"d"}"#), Ok(()));
        assert_eq!(
            class(
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#
            ),
            Err(Class::Retry)
        );
        assert_eq!(class(r#"{"error":{"code":503,"err_code":10008}}"#), Err(Class::Blip));
        assert_eq!(class(r#"{"error":{"code":400,"err_code":10054}}"#), Err(Class::Reject));
        assert_eq!(class(r#"{"ok":true}"#), Err(Class::Retry));
        assert_eq!(class("thanks"), Err(Class::Retry));
        assert_eq!(class(""), Err(Class::Retry));
    }
}
