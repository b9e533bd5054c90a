//! Spans as messages.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::resource::{Resource, attribute, boolean, nanoseconds, number, text};
use crate::trace::{Ended, Kind, Value};

/// The remote part of a span's flags: whether its parent is known to be elsewhere, and that it is.
const HAS_REMOTE_PARENT: u32 = 0x300;
/// The same: that it is here.
const HAS_LOCAL_PARENT: u32 = 0x100;

pub(super) fn request(resource: &Resource, spans: Vec<Ended>) -> Vec<u8> {
    super::request::request(resource, spans.into_iter().map(span))
}

fn span(ended: Ended) -> Span {
    let Ended { ids, parent, state, kind, name, start, took, attributes, error } = ended;
    let mut attributes: Vec<_> = attributes
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Text(it) => text(it),
                Value::Number(it) => number(it),
                Value::Is(is) => boolean(is),
            };
            attribute(name, value)
        })
        .collect();
    attributes.extend(error.map(|error| attribute("error.type", text(error))));
    let (kind, flags) = match kind {
        Kind::Server => (SpanKind::Server, HAS_REMOTE_PARENT),
        Kind::Client => (SpanKind::Client, HAS_LOCAL_PARENT),
        Kind::Producer => (SpanKind::Producer, HAS_LOCAL_PARENT),
    };
    Span {
        trace_id: ids.trace.into(),
        span_id: ids.span.into(),
        trace_state: state.map(|state| state.to_string()).unwrap_or_default(),
        parent_span_id: parent.map(Into::into).unwrap_or_default(),
        // It is recorded, so it is sampled.
        flags: 1 | if parent.is_some() { flags } else { 0 },
        name,
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(start),
        end_time_unix_nano: nanoseconds(start + took),
        attributes,
        status: error.map(|_| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}
