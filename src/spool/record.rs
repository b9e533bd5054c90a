//! What the spool keeps of an event: all that is needed to publish it later, unchanged.
//!
//! Numbers are little endian, a text is its length (4 bytes) and its bytes:
//!
//! ```text
//! record   1 | flags | seconds (8) | nanoseconds (4) | name, id, endpoint, kind, content type
//!            | key, subject, traceparent, tracestate: those that the flags name | payload, up to the end
//! letter   2 | destination, reason, detail | record
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};

use crate::message::Event;
use crate::trace::Trace;

const RECORD: u8 = 1;
const DEAD_LETTER: u8 = 2;

const DEDUPE: u8 = 1;
const KEY: u8 = 1 << 1;
const SUBJECT: u8 = 1 << 2;
const PARENT: u8 = 1 << 3;
const STATE: u8 = 1 << 4;

/// An event on its way to one destination.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic or subject, as it was rendered.
    pub name: Arc<str>,
    /// The event.
    pub event: Event,
}

/// A record that its destination will never take as it is, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The configured text of the destination.
    pub destination: Arc<str>,
    /// One word, the metric label.
    pub reason: Arc<str>,
    /// What the broker said.
    pub detail: Arc<str>,
    /// What was refused.
    pub record: Record,
}

/// What a log can hold: bytes of its own, followed by a payload that is shared rather than copied.
pub trait Stored: Sized + Send + 'static {
    /// All but the payload.
    fn head(&self) -> Vec<u8>;
    /// The payload.
    fn payload(&self) -> &Bytes;
    /// Both together, read again; nothing if it isn't one of these.
    fn read(bytes: Bytes) -> Option<Self>;
}

impl Stored for Record {
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
    }

    fn payload(&self) -> &Bytes {
        &self.event.payload
    }

    fn read(mut bytes: Bytes) -> Option<Self> {
        let bytes = &mut bytes;
        if bytes.try_get_u8().ok()? != RECORD {
            return None;
        }
        let flags = bytes.try_get_u8().ok()?;
        let seconds = Duration::from_secs(bytes.try_get_u64_le().ok()?);
        let nanoseconds = Duration::from_nanos(bytes.try_get_u32_le().ok()?.into());
        let time = SystemTime::UNIX_EPOCH.checked_add(seconds)?.checked_add(nanoseconds)?;
        let name = text(bytes)?;
        let (id, endpoint) = (text(bytes)?, text(bytes)?);
        let (kind, content_type) = (text(bytes)?, text(bytes)?);
        let mut optional = |flag| match flags & flag {
            0 => Some(None),
            _ => text(bytes).map(Some),
        };
        let (key, subject) = (optional(KEY)?, optional(SUBJECT)?);
        let (parent, state) = (optional(PARENT)?, optional(STATE)?);
        let event = Event {
            id,
            endpoint,
            kind,
            key,
            subject,
            time,
            content_type,
            payload: bytes.split_off(0),
            trace: Trace::new(parent, state),
            dedupe: flags & DEDUPE != 0,
        };
        Some(Self { name, event })
    }
}

impl Record {
    fn write(&self, out: &mut Vec<u8>) {
        let event = &self.event;
        let optional = [
            (KEY, &event.key),
            (SUBJECT, &event.subject),
            (PARENT, &event.trace.parent),
            (STATE, &event.trace.state),
        ];
        let mut flags = if event.dedupe { DEDUPE } else { 0 };
        for (flag, text) in &optional {
            flags |= if text.is_some() { *flag } else { 0 };
        }
        let time = event.time.duration_since(SystemTime::UNIX_EPOCH);
        let time = time.unwrap_or_default();
        out.extend([RECORD, flags]);
        out.extend(time.as_secs().to_le_bytes());
        out.extend(time.subsec_nanos().to_le_bytes());
        for text in [&self.name, &event.id, &event.endpoint, &event.kind, &event.content_type] {
            put(out, text);
        }
        for text in optional.iter().filter_map(|(_, text)| text.as_ref()) {
            put(out, text);
        }
    }
}

impl Stored for DeadLetter {
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.push(DEAD_LETTER);
        for text in [&self.destination, &self.reason, &self.detail] {
            put(&mut out, text);
        }
        self.record.write(&mut out);
        out
    }

    fn payload(&self) -> &Bytes {
        &self.record.event.payload
    }

    fn read(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != DEAD_LETTER {
            return None;
        }
        Some(Self {
            destination: text(&mut bytes)?,
            reason: text(&mut bytes)?,
            detail: text(&mut bytes)?,
            record: Record::read(bytes)?,
        })
    }
}

/// A text is never near 4 GiB: bodies and header values are bounded, and so is what brokers say.
fn put(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend(length.to_le_bytes());
    out.extend(&text.as_bytes()[..length as usize]);
}

fn text(bytes: &mut Bytes) -> Option<Arc<str>> {
    let length = bytes.try_get_u32_le().ok()? as usize;
    if length > bytes.len() {
        return None;
    }
    let text = bytes.split_to(length);
    std::str::from_utf8(&text).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
