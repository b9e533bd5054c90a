//! NATS core: sent to whoever listens now, stored nowhere. For live views.

use std::pin::Pin;
use std::sync::Arc;

use async_nats::client::PublishErrorKind;
use tokio::time::{Instant, timeout_at};

use super::{DISCONNECTED, Error, Sending, Sink, cloudevents};
use crate::message::Event;
use crate::nats::Link;

/// Publishes events without waiting for anything.
pub struct NatsCore {
    link: Arc<Link>,
}

impl NatsCore {
    /// A sink on the given connection.
    pub fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

impl Sink for NatsCore {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let gone = || Error::blip(DISCONNECTED, "there is no connection to NATS");
            let client = self.link.client().ok_or_else(gone)?;
            let publish = client.publish_with_headers(
                name.to_owned(),
                cloudevents::nats(event),
                event.payload.clone(),
            );
            match timeout_at(deadline, publish).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Err(
                    Error::reject("too-large", "it is larger than max_payload of the NATS server"),
                ),
                Ok(Err(_)) => Err(gone()),
                Err(_) => Err(Error::timeout()),
            }
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.link.connected())
    }
}
