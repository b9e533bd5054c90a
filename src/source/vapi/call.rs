//! One tool call, as parts of the body.

use super::members::{Members, Part};
use crate::json::{Kind, Reader, content};

/// One call that is asked.
#[derive(Debug)]
pub(super) struct Call {
    /// `id` as received: raw JSON.
    pub(super) id: Option<Part>,
    /// `name` as received: raw JSON.
    pub(super) name: Option<Part>,
    pub(super) arguments: Arguments,
}

/// The arguments of a call as the JSON value that was meant.
#[derive(Debug)]
pub(super) enum Arguments {
    /// None were sent: an empty object.
    Empty,
    /// As received.
    Sent(Part),
    /// The object that a string held.
    Unwrapped(String),
}

impl Arguments {
    /// A string that holds an object is that object.
    pub(super) fn of(members: &Members, raw: Option<&str>) -> Self {
        let Some(raw) = raw else { return Self::Empty };
        if raw.starts_with('"')
            && let Some(text) = content(raw)
        {
            let mut reader = Reader::over(&text);
            if reader.peek() == Ok(Kind::Object) && reader.skip().is_ok() && reader.end().is_ok() {
                return Self::Unwrapped(text);
            }
        }
        Self::Sent(members.part(raw))
    }

    pub(super) fn bytes<'a>(&'a self, members: &'a Members) -> &'a [u8] {
        match self {
            Self::Empty => b"{}",
            Self::Sent(part) => members.bytes(part),
            Self::Unwrapped(text) => text.as_bytes(),
        }
    }

    /// What it takes beside the body, in bytes.
    pub(super) fn copied(&self) -> usize {
        match self {
            Self::Empty | Self::Sent(_) => 0,
            Self::Unwrapped(text) => text.len(),
        }
    }
}
