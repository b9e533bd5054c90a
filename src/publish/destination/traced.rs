//! The span of storing an event at one destination, by the semantic conventions of messaging.

use super::Destination;
use crate::message::{Event, Receipt, Refusal};
use crate::template;
use crate::trace::{Kind, Span};

impl Destination {
    /// The span of storing an event under this name, and the event with its context, where it is recorded.
    pub(in crate::publish) fn trace(
        &self,
        name: &str,
        event: &Event,
    ) -> (Span, Option<Box<Event>>) {
        let text = || self.text.split_once(':').map_or(&*self.text, |(_, text)| text);
        let mut span = event.trace.child(Kind::Producer, || ["send ", text()].concat());
        let Some(trace) = span.context() else { return (span, None) };
        span.describe(|it| {
            let system = match self.name {
                template::Destination::Kafka(_) => "kafka",
                template::Destination::Nats(_) | template::Destination::NatsCore(_) => "nats",
            };
            it.add("messaging.system", system)
                .add("messaging.operation.type", "send")
                .add("messaging.operation.name", "send")
                .add("messaging.destination.name", name.to_owned())
                .add("messaging.message.id", &event.id)
                .add("messaging.message.body.size", event.payload.len());
            if self.name.template().has_variables() {
                it.add("messaging.destination.template", text().to_owned());
            }
        });
        (span, Some(Box::new(Event { trace, ..event.clone() })))
    }
}

/// What became of it. What waits on the disk is published below this span too, later.
pub(in crate::publish) fn stored(mut span: Span, stored: &Result<Receipt, Refusal>) {
    span.describe(|it| {
        if let Ok(receipt) = stored {
            it.add("hookbus.receipt", receipt.as_str());
        }
    });
    span.end(stored.as_ref().err().map(Refusal::reason));
}
