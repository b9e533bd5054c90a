//! The fields of a form or of a query (WHATWG URL, §5.1), decoded only where somebody wants one.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

/// Fields that are read, more than any provider sends: each costs time, and a stranger may have written it.
pub const MAX_FIELDS: usize = 1_000;

/// The fields of an encoded text, in their order; no more than [`MAX_FIELDS`].
pub struct Fields<'a> {
    text: &'a [u8],
    at: usize,
    left: usize,
}

/// A field as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    name: &'a [u8],
    /// The name stands for itself: it is asked for again and again.
    is_plain: bool,
    value: &'a [u8],
}

/// Where the fields of a form stand in it, found once for all that read them.
#[derive(Debug, Clone, Default)]
pub struct Form(Vec<Span>);

/// Where a field stands.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: usize,
    /// Where its name ends.
    middle: usize,
    end: usize,
    is_plain: bool,
}

impl<'a> Fields<'a> {
    /// Those of an encoded text.
    pub fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, left: MAX_FIELDS }
    }

    /// Whether there are more than are read; to be asked at the end.
    pub fn has_more(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.left == 0 && rest.iter().any(|byte| *byte != b'&')
    }

    /// Where the next one stands.
    #[inline]
    fn span(&mut self) -> Option<Span> {
        loop {
            let begin = self.at;
            let rest = self.text.get(begin..).filter(|rest| !rest.is_empty() && self.left > 0)?;
            let (name, is_plain) = name(rest);
            let middle = begin + name;
            let end = match rest[name..].split_first() {
                Some((b'=', value)) => {
                    memchr(b'&', value).map_or(self.text.len(), |length| middle + 1 + length)
                }
                _ => middle,
            };
            self.at = end + 1;
            if end > begin {
                self.left -= 1;
                return Some(Span { begin, middle, end, is_plain });
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.span().map(|span| span.of(self.text))
    }
}

impl Form {
    /// That of a text; nothing where it has more fields than are read.
    pub fn of(text: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(text);
        let count = memchr_iter(b'&', text).count() + 1;
        let mut spans = Vec::with_capacity(count.min(MAX_FIELDS));
        while let Some(span) = fields.span() {
            spans.push(span);
        }
        (!fields.has_more()).then_some(Self(spans))
    }

    /// The fields in their order; `text` is the one that they were found in, or has them in the same places.
    pub fn fields<'a>(&self, text: &'a [u8]) -> impl ExactSizeIterator<Item = Field<'a>> {
        self.0.iter().map(|span| span.of(text))
    }
}

impl Span {
    #[inline]
    fn of(self, text: &[u8]) -> Field<'_> {
        let Self { begin, middle, end, is_plain } = self;
        let part = |begin, end| text.get(begin..end).unwrap_or_default();
        Field { name: part(begin, middle), is_plain, value: part(middle + 1, end) }
    }
}

/// How long the name at the beginning of a text is, and whether it stands for itself.
#[inline]
fn name(text: &[u8]) -> (usize, bool) {
    let (mut at, mut is_plain) = (0, true);
    loop {
        // Eight bytes at a time: names are too short for anything wider.
        if let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            let found = zeros(word ^ all(b'='))
                | zeros(word ^ all(b'&'))
                | zeros(word ^ all(b'%'))
                | zeros(word ^ all(b'+'));
            if found == 0 {
                at += 8;
                continue;
            }
            at += (found.trailing_zeros() / 8) as usize;
        }
        match text.get(at) {
            None | Some(b'=' | b'&') => return (at, is_plain),
            Some(b'%' | b'+') => is_plain = false,
            Some(_) => {}
        }
        at += 1;
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

impl<'a> Field<'a> {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        match self.is_plain {
            true => self.name == name.as_bytes(),
            // No byte is written in more than three.
            false => self.name.len() <= 3 * name.len() && self.name() == name,
        }
    }

    /// Its name, decoded.
    pub fn name(&self) -> Cow<'a, str> {
        text(self.name)
    }

    /// Its value, decoded.
    pub fn value(&self) -> Cow<'a, str> {
        text(self.value)
    }

    /// Whether its name is written as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Its name as it is written.
    pub(super) fn written_name(&self) -> &'a [u8] {
        self.name
    }

    /// Its value as it is written.
    pub(super) fn written_value(&self) -> &'a [u8] {
        self.value
    }

    /// The bytes of its name.
    pub(super) fn name_bytes(&self) -> Cow<'a, [u8]> {
        if self.is_plain { Cow::Borrowed(self.name) } else { Cow::Owned(decode(self.name)) }
    }
}

fn text(encoded: &[u8]) -> Cow<'_, str> {
    if memchr2(b'%', b'+', encoded).is_none() {
        return String::from_utf8_lossy(encoded);
    }
    Cow::Owned(match String::from_utf8(decode(encoded)) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// `+` is a blank, `%` and two hex digits are a byte, and everything else stands for itself.
fn decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    decode_into(&with_blanks(encoded), &mut decoded, |_| {});
    decoded
}

/// The same text with a blank for each `+`: many bytes at a time, so that a form is best done as a whole.
pub(super) fn with_blanks(encoded: &[u8]) -> Vec<u8> {
    encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
}

/// Decodes a text that has its blanks, and tells `each` byte that was written as another one.
#[inline]
pub(super) fn decode_into(mut text: &[u8], out: &mut Vec<u8>, mut each: impl FnMut(u8)) {
    while let Some(at) = memchr(b'%', text) {
        out.extend_from_slice(&text[..at]);
        let hex = |at: usize| char::from(*text.get(at)?).to_digit(16);
        let (byte, length) = match (hex(at + 1), hex(at + 2)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            _ => (b'%', 1),
        };
        out.push(byte);
        each(byte);
        text = &text[at + length..];
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests;
