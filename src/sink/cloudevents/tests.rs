use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rdkafka::message::Headers as _;

use super::*;
use crate::trace::Trace;

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
        trace: Trace::new(Some("00-1-2-01".into()), Some("a=b c".into())),
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
            .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
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
