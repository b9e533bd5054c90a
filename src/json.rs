//! JSON read where it lies: one pass over a body, no tree.
//!
//! A [`Reader`] walks a document and hands out slices of it. Whatever it passes is checked against RFC 8259 to the last
//! byte, so that a document read to its [`end`](Reader::end) is known to be valid as a whole. Numbers are kept as they
//! are written: 2^53 + 1 and 1e400 come out as they went in.
//!
//! Nothing here recurses: nesting costs one bit a level, so that a body of brackets is as harmless as any other.

pub mod edit;
mod grammar;
mod nesting;
mod pointers;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::ops::Range;

pub use pointers::{Found, Pointers};
pub use text::{Text, compact, content, quote, quote_into};

/// Why a document isn't JSON, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The offset of the offending byte, from the start of what the reader was given.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Error {}

/// What a value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A cursor in a JSON text.
#[derive(Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts on a document as it was received. Refuses what isn't UTF-8, and a byte order mark.
    pub fn new(input: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(input)
            .map_err(|error| Error { at: error.valid_up_to(), what: "not UTF-8" })?;
        if text.starts_with('\u{feff}') {
            return Err(Error { at: 0, what: "a byte order mark" });
        }
        Ok(Self::over(text))
    }

    /// Starts on a part of a document, such as [`skip`](Self::skip) returned it.
    pub fn over(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What the next value is. Only its first byte is looked at.
    pub fn peek(&mut self) -> Result<Kind, Error> {
        self.space();
        match self.text.as_bytes().get(self.at) {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => wrong(self.text.as_bytes(), self.at, "expected a value"),
        }
    }

    /// Passes one value of any kind and depth. Returns its text, without the white space around it.
    pub fn skip(&mut self) -> Result<&'a str, Error> {
        self.space();
        let start = self.at;
        self.at = grammar::value(self.text.as_bytes(), start)?;
        Ok(&self.text[start..self.at])
    }

    /// Reads an object: `each` is called with every key in turn, the cursor on its value. A value that `each` leaves
    /// untouched is skipped. A key that occurs twice comes twice; where the last one counts, overwrite the first.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.expect(b'{', "expected an object")?;
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            let key = self.quoted("expected a key")?;
            self.expect(b':', "expected `:`")?;
            self.entry(|reader| each(reader, key))?;
            if self.next_is(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `}`")?;
        }
    }

    /// Reads an array: `each` is called with the cursor on every element in turn. An element that `each` leaves
    /// untouched is skipped.
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.expect(b'[', "expected an array")?;
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            self.entry(&mut each)?;
            if self.next_is(b']') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `]`")?;
        }
    }

    /// Moves to the next element of an array that is read step by step; false at its end. The cursor stands before the
    /// array, or, with `is_begun`, which is set then, behind the element before.
    pub fn element(&mut self, is_begun: &mut bool) -> Result<bool, Error> {
        if !std::mem::replace(is_begun, true) {
            self.expect(b'[', "expected an array")?;
            return Ok(!self.next_is(b']'));
        }
        if self.next_is(b']') {
            return Ok(false);
        }
        self.expect(b',', "expected `,` or `]`")?;
        Ok(true)
    }

    /// The offset of the cursor, from the start of what the reader was given.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Runs `read` on the next value, and returns the text of that value. What `read` leaves untouched is skipped.
    pub fn slice(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<&'a str, Error> {
        self.space();
        let start = self.at;
        self.entry(read)?;
        Ok(&self.text[start..self.at])
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Text<'a>, Error> {
        self.quoted("expected a string")
    }

    /// Ends a document: only white space may follow.
    pub fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at < self.text.len() {
            return Err(self.error("something after the document"));
        }
        Ok(())
    }

    /// An error at the cursor, for a caller that finds another kind of value than it needs.
    pub fn error(&self, what: &'static str) -> Error {
        Error { at: self.at, what }
    }

    fn entry(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.space();
        let start = self.at;
        read(self)?;
        if self.at == start {
            self.skip()?;
        }
        Ok(())
    }

    fn quoted(&mut self, what: &'static str) -> Result<Text<'a>, Error> {
        self.expect(b'"', what)?;
        let start = self.at;
        let (end, escaped) = grammar::string(self.text.as_bytes(), start)?;
        self.at = end;
        Ok(Text::of(&self.text[start..end - 1], escaped))
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Error> {
        if self.next_is(byte) {
            return Ok(());
        }
        wrong(self.text.as_bytes(), self.at, what)
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        let next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(next);
        next
    }

    fn space(&mut self) {
        self.at = scan::space(self.text.as_bytes(), self.at);
    }
}

/// The element of a valid array that follows a position: 0 for the first one, else where the one before ends. For those
/// who can't read an array to its end in one go; the bytes of all elements are passed once.
pub fn element(array: &[u8], after: usize) -> Option<Range<usize>> {
    let at = scan::space(array, after);
    if !matches!((after, scan::byte(array, at)), (0, b'[') | (1.., b',')) {
        return None;
    }
    let start = scan::space(array, at + 1);
    let end = grammar::value(array, start).ok()?;
    Some(start..end)
}

/// What is wrong at a position, unless it is that the input ends there.
#[cold]
fn wrong<T>(bytes: &[u8], at: usize, what: &'static str) -> Result<T, Error> {
    let what = if at < bytes.len() { what } else { "the document ends too early" };
    Err(Error { at, what })
}
