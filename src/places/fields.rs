//! The fields of a form or of a query (WHATWG URL, §5.1), decoded only where somebody wants one.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Fields that are read, more than any provider sends: each costs time, and a stranger may have written it.
pub const MAX_FIELDS: usize = 1_000;

/// The fields of an encoded text, in their order; no more than [`MAX_FIELDS`].
pub struct Fields<'a> {
    rest: &'a [u8],
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

impl<'a> Fields<'a> {
    /// Those of an encoded text.
    pub fn of(text: &'a [u8]) -> Self {
        Self { rest: text, left: MAX_FIELDS }
    }

    /// Whether there are more than are read; to be asked at the end.
    pub fn has_more(self) -> bool {
        self.left == 0 && self.rest.iter().any(|byte| *byte != b'&')
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            if self.rest.is_empty() || self.left == 0 {
                return None;
            }
            let end = memchr(b'&', self.rest);
            let (field, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            if field.is_empty() {
                continue;
            }
            self.left -= 1;
            let (name, value) = match memchr(b'=', field) {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &b""[..]),
            };
            return Some(Field { name, is_plain: is_plain(name), value });
        }
    }
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

    /// The same, decoded in a buffer that is used again.
    pub fn value_in<'b>(&self, buffer: &'b mut Vec<u8>) -> Cow<'b, str> {
        buffer.clear();
        decode(self.value, buffer);
        String::from_utf8_lossy(buffer)
    }
}

/// The fields of a form in the order in which some providers sign them: sorted by name, those of one name by value, each
/// once.
pub struct Sorted {
    /// All names and values, decoded.
    decoded: Vec<u8>,
    /// Where each name begins, where its value does, and where that ends.
    fields: Vec<(usize, usize, usize)>,
}

impl Sorted {
    /// Those of a form.
    pub fn of(form: &[u8]) -> Self {
        let (mut decoded, mut fields) = (Vec::with_capacity(form.len()), Vec::new());
        for field in Fields::of(form) {
            let begin = decoded.len();
            decode(field.name, &mut decoded);
            let middle = decoded.len();
            decode(field.value, &mut decoded);
            fields.push((begin, middle, decoded.len()));
        }
        let pair = |&(begin, middle, end): &(usize, usize, usize)| {
            (&decoded[begin..middle], &decoded[middle..end])
        };
        fields.sort_unstable_by(|one, other| pair(one).cmp(&pair(other)));
        fields.dedup_by(|one, other| pair(one) == pair(other));
        Self { decoded, fields }
    }

    /// Each name with its value behind it.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|(begin, _, end)| &self.decoded[*begin..*end])
    }
}

fn is_plain(encoded: &[u8]) -> bool {
    memchr2(b'%', b'+', encoded).is_none()
}

fn text(encoded: &[u8]) -> Cow<'_, str> {
    if is_plain(encoded) {
        return String::from_utf8_lossy(encoded);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    decode(encoded, &mut decoded);
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// `+` is a blank, `%` and two hex digits are a byte, and everything else stands for itself.
fn decode(mut encoded: &[u8], into: &mut Vec<u8>) {
    while let Some(at) = memchr(b'%', encoded) {
        blanks(&encoded[..at], into);
        let hex = |at: usize| char::from(*encoded.get(at)?).to_digit(16);
        let (byte, length) = match (hex(at + 1), hex(at + 2)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            _ => (b'%', 1),
        };
        into.push(byte);
        encoded = &encoded[at + length..];
    }
    blanks(encoded, into);
}

/// Text without `%`: many bytes at a time.
fn blanks(encoded: &[u8], into: &mut Vec<u8>) {
    let begin = into.len();
    into.extend_from_slice(encoded);
    for byte in &mut into[begin..] {
        *byte = if *byte == b'+' { b' ' } else { *byte };
    }
}

#[cfg(test)]
mod tests;
