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
    if let Some(parent) = &event.trace.parent {
        insert("traceparent", encoded(parent));
    }
    if let Some(state) = &event.trace.state {
        // A trace header follows its own specification: as it came, which is visible ASCII.
        insert("tracestate", state.parse().unwrap_or_default());
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
    format!("/hookbus/{}", event.endpoint)
}

fn time(event: &Event) -> String {
    humantime::format_rfc3339_millis(event.time).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::message::Trace;

    #[test]
    fn what_is_known_stands_in_the_headers() {
        let mut event = Event {
            id: "1 a".into(),
            endpoint: "vapi".into(),
            kind: "ai.vapi.hang".into(),
            key: None,
            subject: Some("call \u{e9}".into()),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            content_type: "application/json; charset=utf-8".into(),
            payload: Bytes::new(),
            trace: Trace { parent: Some("00-1-2-01".into()), state: Some("a=b c".into()) },
            dedupe: true,
        };
        let on_kafka = |event: &Event| {
            let headers = kafka(event);
            let all = headers.iter().map(|header| {
                let value = String::from_utf8_lossy(header.value.unwrap_or_default());
                format!("{}: {value}", header.key)
            });
            all.collect::<Vec<_>>()
        };
        let on_nats = |event: &Event| {
            let mut all: Vec<_> = nats(event)
                .iter()
                .flat_map(|(name, values)| {
                    values.iter().map(move |value| format!("{name}: {value}"))
                })
                .collect();
            all.sort();
            all
        };
        let time = "2023-11-14T22:13:20.123Z";
        assert_eq!(
            on_kafka(&event),
            [
                "ce_specversion: 1.0",
                "ce_id: 1 a",
                "ce_source: /hookbus/vapi",
                "ce_type: ai.vapi.hang",
                &format!("ce_time: {time}"),
                "content-type: application/json; charset=utf-8",
                "ce_subject: call \u{e9}",
                "traceparent: 00-1-2-01",
                "tracestate: a=b c",
            ]
        );
        assert_eq!(
            on_nats(&event),
            [
                "ce-datacontenttype: application/json;%20charset=utf-8",
                "ce-id: 1%20a",
                "ce-source: /hookbus/vapi",
                "ce-specversion: 1.0",
                "ce-subject: call%20%C3%A9",
                &format!("ce-time: {time}"),
                "ce-type: ai.vapi.hang",
                "traceparent: 00-1-2-01",
                "tracestate: a=b c",
            ]
        );
        (event.subject, event.trace) = (None, Trace::default());
        assert_eq!((on_kafka(&event).len(), on_nats(&event).len()), (6, 6));
    }
}
