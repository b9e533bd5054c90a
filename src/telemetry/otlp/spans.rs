//! Spans as messages.
//!
//! Written byte by byte, as a webhook has two or more of them with a dozen attributes each: as structs of their own, each
//! measured before it is written, they cost a third of the whole webhook.

use super::resource::{Resource, nanoseconds};
use super::wire::{BYTES, FIXED_32, FIXED_64, VARINT, bytes, field_size, key, varint, varint_size};
use crate::trace::{Ended, Kind, Value};

/// The remote part of a span's flags: whether its parent is known to be elsewhere, and that it is.
const HAS_REMOTE_PARENT: u32 = 0x300;
/// The same: that it is here.
const HAS_LOCAL_PARENT: u32 = 0x100;
/// It is recorded, so it is sampled.
const SAMPLED: u32 = 1;

/// Enough for most spans.
const USUAL_BYTES: usize = 1 << 10;

pub(super) fn request(resource: &Resource, spans: Vec<Ended>) -> Vec<u8> {
    super::request::request(resource, spans.into_iter().map(|ended| span(&ended)).collect())
}

/// `opentelemetry.proto.trace.v1.Span`.
pub(super) fn span(ended: &Ended) -> Vec<u8> {
    let Ended { ids, parent, state, kind, name, start, took, attributes, error } = ended;
    let mut out = Vec::with_capacity(USUAL_BYTES);
    bytes(&mut out, 1, &ids.trace);
    bytes(&mut out, 2, &ids.span);
    if let Some(state) = state {
        bytes(&mut out, 3, state.as_bytes());
    }
    if let Some(parent) = parent {
        bytes(&mut out, 4, parent);
    }
    bytes(&mut out, 5, name.as_bytes());
    let (kind, flags) = match kind {
        Kind::Server => (2, HAS_REMOTE_PARENT),
        Kind::Client => (3, HAS_LOCAL_PARENT),
        Kind::Producer => (4, HAS_LOCAL_PARENT),
    };
    out.extend([key(6, VARINT), kind]);
    for (number, time) in [(7, *start), (8, *start + *took)] {
        out.push(key(number, FIXED_64));
        out.extend(nanoseconds(time).to_le_bytes());
    }
    for (name, value) in attributes {
        attribute(&mut out, name, value);
    }
    if let Some(error) = error {
        attribute(&mut out, "error.type", &Value::Text((*error).into()));
        // A status with the code of an error.
        bytes(&mut out, 15, &[key(3, VARINT), 2]);
    }
    // The key of field 16 takes two bytes.
    out.extend([0x80 | FIXED_32, 1]);
    out.extend((SAMPLED | if parent.is_some() { flags } else { 0 }).to_le_bytes());
    out
}

/// `opentelemetry.proto.common.v1.KeyValue`, as one of a span's.
fn attribute(out: &mut Vec<u8>, name: &str, value: &Value) {
    let size = match value {
        Value::Text(text) => field_size(text.len()),
        Value::Number(number) => 1 + varint_size(number.cast_unsigned()),
        Value::Is(_) => 2,
    };
    out.push(key(9, BYTES));
    varint(out, (field_size(name.len()) + field_size(size)) as u64);
    bytes(out, 1, name.as_bytes());
    out.push(key(2, BYTES));
    varint(out, size as u64);
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Is(is) => out.extend([key(2, VARINT), u8::from(*is)]),
        Value::Number(number) => {
            out.push(key(3, VARINT));
            varint(out, number.cast_unsigned());
        }
    }
}
