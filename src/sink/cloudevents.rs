//! CloudEvents 1.0 in binary mode.
//!
//! Kafka as in the Kafka protocol binding 1.0.2: `ce_…` and `content-type`, UTF-8 as it is.
//! NATS as in the NATS protocol binding 1.0.3-wip: `ce-…` and `ce-datacontenttype`, values
//! percent-encoded as in the HTTP binding.

use async_nats::HeaderMap;
use rdkafka::message::{Header, OwnedHeaders};

use crate::message::Event;
use crate::nats::header::{encoded, insert};

/// The headers of an event on NATS.
pub(super) fn nats(event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name, value| insert(&mut headers, name, value);
    insert("ce-specversion", encoded("1.0"));
    insert("ce-id", encoded(&event.id));
    insert("ce-source", encoded(&source(event)));
    insert("ce-type", encoded(&event.kind));
    insert("ce-time", encoded(&time(event)));
    insert("ce-datacontenttype", encoded(&event.content_type));
    if let Some(subject) = &event.subject {
        insert("ce-subject", encoded(subject));
    }
    // Trace headers follow a specification of their own: as they came, which is visible ASCII.
    for (name, value) in [("traceparent", &event.trace.parent), ("tracestate", &event.trace.state)]
    {
        if let Some(value) = value {
            insert(name, value.parse().unwrap_or_default());
        }
    }
    headers
}

/// The headers of an event on Kafka.
pub(super) fn kafka(event: &Event) -> OwnedHeaders {
    let headers = [
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(&*event.id)),
        ("ce_source", Some(&*source(event))),
        ("ce_type", Some(&*event.kind)),
        ("ce_time", Some(&*time(event))),
        ("content-type", Some(&*event.content_type)),
        ("ce_subject", event.subject.as_deref()),
        ("traceparent", event.trace.parent.as_deref()),
        ("tracestate", event.trace.state.as_deref()),
    ];
    let present = headers.iter().filter(|(_, value)| value.is_some());
    present.fold(OwnedHeaders::new_with_capacity(headers.len()), |headers, &(key, value)| {
        headers.insert(Header { key, value })
    })
}

fn source(event: &Event) -> String {
    ["/hookbus/", &event.endpoint].concat()
}

fn time(event: &Event) -> String {
    humantime::format_rfc3339_millis(event.time).to_string()
}

#[cfg(test)]
mod tests;
