//! Strings: what is written, what is meant, and back. And JSON without its white space.

use std::borrow::Cow;

use super::{Reader, scan};

/// A string or a key as it is written between its quotes.
///
/// Equality with a `str` is by what the string means: `"\u0074ype"` equals `type`. To match on it, use
/// [`unescape`](Self::unescape), which costs nothing where there are no escapes.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    pub(super) fn of(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// What stands between the quotes of a valid string.
    pub fn over(raw: &'a str) -> Self {
        Self::of(raw, raw.contains('\\'))
    }

    /// What is between the quotes, byte for byte.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it is written with escapes.
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// Whether there are no characters in it.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// What the string means. The escaped halves of a surrogate pair become one character, a half that stands alone
    /// becomes U+FFFD.
    pub fn unescape(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        // No byte of a text is written in more than six. A long key is not worth more than a look at its length.
        match self.escaped {
            true => self.raw.len() <= 6 * other.len() && unescape(self.raw) == other,
            false => self.raw == other,
        }
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// A valid value without the white space outside its strings; numbers and strings stay byte for byte.
pub fn compact(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = String::with_capacity(value.len());
    let mut at = 0;
    while at < bytes.len() {
        let start = scan::space(bytes, at);
        at = start;
        while let Some(byte) = bytes.get(at)
            && !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
        {
            at += 1;
            if *byte == b'"' {
                at = past_quote(bytes, at);
            }
        }
        out.push_str(&value[start..at]);
    }
    out
}

/// The position after the closing quote of a valid string.
fn past_quote(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = scan::plain(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// What a JSON string means; nothing where the text is something else.
pub fn content(raw: &str) -> Option<String> {
    let text = Reader::over(raw).string().ok()?;
    Some(text.unescape().into_owned())
}

/// A text as a JSON string, quotes included.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(text, &mut out);
    out
}

/// The same, behind what is there already.
pub fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(scan::plain(rest.as_bytes(), 0));
        out.push_str(plain);
        let mut characters = tail.chars();
        match characters.next() {
            None => break,
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => out.push_str(&format!("\\u{:04x}", u32::from(control))),
        }
        rest = characters.as_str();
    }
    out.push('"');
}

fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, tail) = unicode(characters.as_str());
                out.push(character);
                rest = tail;
                continue;
            }
            // A quote, a backslash or a slash stands for itself.
            other => out.extend(other),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out
}

/// The character that the digits after a `\u` mean, and what follows it.
fn unicode(digits: &str) -> (char, &str) {
    let (unit, rest) = code_unit(digits);
    if let 0xd800..0xdc00 = unit
        && let Some(digits) = rest.strip_prefix("\\u")
        && let (low @ 0xdc00..0xe000, rest) = code_unit(digits)
    {
        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest);
    }
    (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

/// Four hexadecimal digits, which the grammar has promised.
fn code_unit(digits: &str) -> (u32, &str) {
    let (digits, rest) = digits.split_at_checked(4).unwrap_or((digits, ""));
    (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), rest)
}
