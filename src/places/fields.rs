//! The fields of a form or of a query (WHATWG URL, §5.1), found and decoded in one pass.

use std::borrow::Cow;

use memchr::{memchr2, memchr3};

use super::Error;

/// Fields that are read, more than any provider sends: each costs time, and a stranger may have written it.
pub const MAX_FIELDS: usize = 1_000;

/// The fields of an encoded text, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// Each is decoded where it stands: one that was written with escapes ends earlier, and what follows stays.
    text: Vec<u8>,
    fields: Vec<Span>,
    /// It is known that no two have the same name.
    are_distinct: bool,
}

/// A field, decoded.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    is_clean: bool,
}

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    name: usize,
    name_end: usize,
    value: usize,
    value_end: usize,
    is_clean: bool,
}

impl Form {
    /// That of a body. Fields behind the last one that is read would be passed on unseen: it may have no more of them.
    pub fn of(body: &[u8]) -> Result<Self, Error> {
        let (form, is_whole) = Self::read(body);
        if is_whole { Ok(form) } else { Err(Error::TooManyFields) }
    }

    /// That of a query: its first fields.
    pub fn of_query(query: &[u8]) -> Self {
        Self::read(query).0
    }

    /// The fields.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> + Clone {
        self.fields.iter().map(|span| {
            let part = |begin, end| self.text.get(begin..end).unwrap_or_default();
            let (name, value) = (part(span.name, span.name_end), part(span.value, span.value_end));
            Field { name, value, is_clean: span.is_clean }
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether it is known that no two have the same name.
    pub(super) const fn are_distinct(&self) -> bool {
        self.are_distinct
    }

    /// What was found out about that.
    pub(super) const fn set_distinct(&mut self, are_distinct: bool) {
        self.are_distinct = are_distinct;
    }

    /// How long all of it was as it was written.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The first fields, and whether those are all.
    fn read(written: &[u8]) -> (Self, bool) {
        // Many bytes at a time: it is best done with all of them.
        let mut text: Vec<u8> =
            written.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let is_clean = !written.iter().fold(false, |found, byte| found | is_special(*byte));
        let mut fields = Vec::with_capacity((written.len() / 16 + 1).min(MAX_FIELDS));
        let mut at = 0;
        while at < text.len() && fields.len() < MAX_FIELDS {
            let mut span = Span { name: at, name_end: at, value: at, value_end: at, is_clean };
            at = name_end(&text, at);
            span.name_end = at;
            if text.get(at) == Some(&b'%') {
                let rest = |rest: &[u8]| memchr3(b'%', b'&', b'=', rest);
                (span.name_end, at) = decode(&mut text, at, &mut span.is_clean, rest);
            }
            if text.get(at) == Some(&b'=') {
                let rest = |rest: &[u8]| memchr2(b'%', b'&', rest);
                span.value = at + 1;
                at = text.get(at + 1..).and_then(rest).map_or(text.len(), |length| at + 1 + length);
                span.value_end = at;
                if text.get(at) == Some(&b'%') {
                    (span.value_end, at) = decode(&mut text, at, &mut span.is_clean, rest);
                }
            }
            if at > span.name {
                fields.push(span);
            }
            at += 1;
        }
        let is_whole = text.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'&'));
        (Self { text, fields, are_distinct: false }, is_whole)
    }
}

/// Decodes from a `%` on up to the byte that `next` finds after it, but for another `%`. Returns where what was decoded
/// ends, and where it was written up to.
#[inline]
fn decode(
    text: &mut [u8],
    at: usize,
    is_clean: &mut bool,
    next: impl Fn(&[u8]) -> Option<usize>,
) -> (usize, usize) {
    let (mut end, mut from) = (at, at);
    while text.get(from) == Some(&b'%') {
        // Two hex digits are a byte; otherwise it stands for itself.
        let hex = |at: usize| char::from(*text.get(at)?).to_digit(16);
        let (byte, length) = match (hex(from + 1), hex(from + 2)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            _ => (b'%', 1),
        };
        *is_clean &= !is_special(byte);
        text[end] = byte;
        (end, from) = (end + 1, from + length);
        let rest = &text[from..];
        let plain = next(rest).unwrap_or(rest.len());
        text.copy_within(from..from + plain, end);
        (end, from) = (end + plain, from + plain);
    }
    (end, from)
}

/// Where a name ends that begins there, or the first escape in it.
#[inline]
fn name_end(text: &[u8], mut at: usize) -> usize {
    loop {
        // Eight bytes at a time: names are too short for anything wider.
        if let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*word);
            let found = zeros(word ^ all(b'=')) | zeros(word ^ all(b'&')) | zeros(word ^ all(b'%'));
            if found == 0 {
                at += 8;
                continue;
            }
            return at + (found.trailing_zeros() / 8) as usize;
        }
        match text.get(at) {
            None | Some(b'=' | b'&' | b'%') => return at,
            Some(_) => at += 1,
        }
    }
}

/// The same byte eight times.
const fn all(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// The top bit of each byte that is 0; above the lowest of them perhaps of others.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(all(1)) & !word & all(0x80)
}

/// A byte that may have to be escaped in JSON, or is a part of a character that may not be whole.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x80 || byte == b'"' || byte == b'\\'
}

impl<'a> Field<'a> {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// Its name.
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.name)
    }

    /// Its value.
    pub fn value(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.value)
    }

    /// The bytes of its name.
    pub(super) const fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// The bytes of its value.
    pub(super) const fn value_bytes(&self) -> &'a [u8] {
        self.value
    }

    /// Whether its bytes are ASCII, and mean the same between the quotes of a JSON string.
    pub(super) const fn is_clean(&self) -> bool {
        self.is_clean
    }
}

#[cfg(test)]
mod tests;
