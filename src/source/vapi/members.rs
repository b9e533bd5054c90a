//! The members of a message, as places in the body.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::json::{Reader, Text};

/// Members that are remembered. A real message has some two dozen.
const REMEMBERED: usize = 64;

/// A real message has less, or not many more.
const USUAL: usize = 24;

/// A part of the body.
pub(super) type Part = Range<usize>;

/// Where the members of a message stand: all of them unless there are more than anybody sends.
#[derive(Debug)]
pub(super) struct Places {
    known: Vec<Member>,
    is_complete: bool,
}

/// A key without its quotes, and its value.
#[derive(Debug, Clone)]
struct Member {
    key: Part,
    is_escaped: bool,
    value: Part,
}

impl Default for Places {
    fn default() -> Self {
        Self { known: Vec::new(), is_complete: true }
    }
}

impl Places {
    /// The next member; both are parts of `body`.
    pub(super) fn add(&mut self, body: &[u8], key: Text<'_>, value: &str) {
        if self.is_complete && self.known.len() < REMEMBERED {
            if self.known.is_empty() {
                self.known.reserve(USUAL);
            }
            let is_escaped = key.is_escaped();
            let (key, value) = (part(body, key.raw()), part(body, value));
            self.known.push(Member { key, is_escaped, value });
        } else {
            self.is_complete = false;
        }
    }

    /// They aren't needed, as far as it looks: if they are all the same, they are read again.
    pub(super) fn forget(&mut self) {
        self.is_complete = false;
    }
}

/// The members of a message, in their order.
#[derive(Debug)]
pub(super) struct Members {
    body: Bytes,
    /// The message, braces included.
    message: Part,
    places: Places,
}

impl Members {
    /// Of `message`, which is a part of `body` and was found to be valid. `places` are its members.
    pub(super) fn new(body: &Bytes, message: &str, places: Places) -> Self {
        Self { body: body.clone(), message: part(body, message), places }
    }

    /// Goes through all of them once.
    pub(super) fn each<'a>(&'a self, mut each: impl FnMut(Key<'a>, &'a [u8])) {
        if self.places.is_complete {
            for Member { key, is_escaped, value } in &self.places.known {
                each(Key { raw: self.bytes(key), is_escaped: *is_escaped }, self.bytes(value));
            }
            return;
        }
        // It was valid as a whole, so that nothing fails.
        let _ = Reader::over(text(self.bytes(&self.message))).object(|reader, key| {
            let key = Key { raw: key.raw().as_bytes(), is_escaped: key.is_escaped() };
            each(key, reader.skip()?.as_bytes());
            Ok(())
        });
    }

    /// Whether they are few, so that those with one name can be told apart.
    pub(super) fn are_few(&self) -> bool {
        self.places.is_complete
    }

    /// Size of the message, in bytes.
    pub(super) fn size(&self) -> usize {
        self.message.len()
    }

    /// Where this stands, which is a part of the body.
    pub(super) fn part(&self, text: &str) -> Part {
        part(&self.body, text)
    }

    /// A part of the body.
    pub(super) fn bytes(&self, part: &Part) -> &[u8] {
        self.body.get(part.clone()).unwrap_or_default()
    }

    /// The same, sharing its memory.
    pub(super) fn share(&self, part: &Part) -> Bytes {
        self.body.slice_ref(self.bytes(part))
    }
}

/// A key as it is written between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) raw: &'a [u8],
    is_escaped: bool,
}

impl<'a> Key<'a> {
    /// Whether it means this.
    pub(super) fn is(&self, name: &str) -> bool {
        match self.is_escaped {
            false => self.raw == name.as_bytes(),
            true => Text::over(text(self.raw)) == *name,
        }
    }

    /// What it means.
    pub(super) fn unescape(&self) -> Cow<'a, [u8]> {
        match self.is_escaped {
            false => Cow::Borrowed(self.raw),
            true => match Text::over(text(self.raw)).unescape() {
                Cow::Borrowed(plain) => Cow::Borrowed(plain.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        }
    }
}

/// The body was checked as a whole, and is only cut between characters.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Where a part of the body stands in it.
fn part(body: &[u8], part: &str) -> Part {
    let start = (part.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
    start..start.wrapping_add(part.len())
}
