//! NATS core: sent to current subscribers, stored nowhere. For live views.

use std::pin::Pin;
use std::sync::Arc;

use async_nats::Subject;
use tokio::time::Instant;

use super::jetstream::too_large;
use super::{DISCONNECTED, Error, Sending, Sink, cloudevents};
use crate::message::Event;
use crate::nats::{Connection, Unsent};

/// Publishes events without waiting for anything.
pub struct NatsCore {
    connection: Arc<Connection>,
}

impl NatsCore {
    /// A sink on the given connection.
    pub fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

impl Sink for NatsCore {
    fn send<'a>(&'a self, name: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            let headers = || cloudevents::nats(event);
            let subject = Subject::from(name);
            let sent =
                self.connection.send(subject, None, headers, event.payload.clone(), deadline);
            sent.await.map_err(|unsent| match unsent {
                Unsent::Disconnected | Unsent::NotPermitted => {
                    Error::transient(DISCONNECTED, "there is no connection to NATS")
                }
                Unsent::TooLarge(limit) => too_large(limit),
                Unsent::Late => Error::timeout(),
            })
        })
    }

    fn reasons(&self) -> &'static [&'static str] {
        &["not-permitted"]
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.connection.connected())
    }
}
