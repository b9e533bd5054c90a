//! RFC 8259, without recursion: where a value ends, if it is one.
//!
//! The functions take the position of the first byte and return the position after the last one. The input is UTF-8.

use super::nesting::Nesting;
use super::scan::{byte, digits, plain, space};
use super::{Error, wrong};

/// Any value. It starts at `at`, without white space.
pub(super) fn value(bytes: &[u8], at: usize) -> Result<usize, Error> {
    match byte(bytes, at) {
        b'{' | b'[' => nested(bytes, at),
        _ => scalar(bytes, at),
    }
}

/// An object or an array.
fn nested(bytes: &[u8], mut at: usize) -> Result<usize, Error> {
    let mut open = Nesting::default();
    loop {
        // Here a value begins.
        match byte(bytes, at) {
            b'{' => {
                open.object();
                at = space(bytes, at + 1);
                if byte(bytes, at) != b'}' {
                    at = key(bytes, at)?;
                    continue;
                }
            }
            b'[' => {
                open.array();
                at = space(bytes, at + 1);
                if byte(bytes, at) != b']' {
                    continue;
                }
            }
            _ => at = space(bytes, scalar(bytes, at)?),
        }
        // Here one has ended, or an empty bracket is about to.
        loop {
            match byte(bytes, at) {
                b',' => {
                    at = space(bytes, at + 1);
                    if open.in_object() {
                        at = key(bytes, at)?;
                    }
                    break;
                }
                b'}' if open.in_object() => {}
                b']' if !open.in_object() => {}
                _ if open.in_object() => return wrong(bytes, at, "expected `,` or `}`"),
                _ => return wrong(bytes, at, "expected `,` or `]`"),
            }
            at += 1;
            open.close();
            if open.is_empty() {
                return Ok(at);
            }
            at = space(bytes, at);
        }
    }
}

/// A key and its colon; ends where the value starts.
#[inline(always)]
fn key(bytes: &[u8], at: usize) -> Result<usize, Error> {
    if byte(bytes, at) != b'"' {
        return wrong(bytes, at, "expected a key");
    }
    let (end, _) = string(bytes, at + 1)?;
    let at = space(bytes, end);
    if byte(bytes, at) != b':' {
        return wrong(bytes, at, "expected `:`");
    }
    Ok(space(bytes, at + 1))
}

#[inline(always)]
fn scalar(bytes: &[u8], at: usize) -> Result<usize, Error> {
    match byte(bytes, at) {
        b'"' => Ok(string(bytes, at + 1)?.0),
        b'-' | b'0'..=b'9' => number(bytes, at),
        b't' => literal(bytes, at, b"true"),
        b'f' => literal(bytes, at, b"false"),
        b'n' => literal(bytes, at, b"null"),
        _ => wrong(bytes, at, "expected a value"),
    }
}

/// A string whose opening quote stands before `at`. Also says whether there are escapes in it.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize) -> Result<(usize, bool), Error> {
    let end = plain(bytes, at);
    if byte(bytes, end) == b'"' {
        return Ok((end + 1, false));
    }
    Ok((escaped(bytes, end)?, true))
}

/// The rest of a string, from its first escape on.
#[inline(never)]
fn escaped(bytes: &[u8], mut at: usize) -> Result<usize, Error> {
    loop {
        match byte(bytes, at) {
            b'"' => return Ok(at + 1),
            b'\\' => at = plain(bytes, escape(bytes, at)?),
            _ => return wrong(bytes, at, "a control character in a string"),
        }
    }
}

/// One escape. A `\u` that is half a surrogate pair is a valid escape of no character: the grammar allows it.
#[inline(always)]
fn escape(bytes: &[u8], at: usize) -> Result<usize, Error> {
    match byte(bytes, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match (at + 2..at + 6).find(|&digit| !byte(bytes, digit).is_ascii_hexdigit()) {
            None => Ok(at + 6),
            Some(digit) => wrong(bytes, digit, "expected four hexadecimal digits after `\\u`"),
        },
        _ => wrong(bytes, at + 1, "no such escape"),
    }
}

#[inline(always)]
fn number(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let at = at + usize::from(byte(bytes, at) == b'-');
    let end = digits(bytes, at);
    if end == at {
        return wrong(bytes, at, "expected a digit");
    }
    if byte(bytes, at) == b'0' && end > at + 1 {
        return wrong(bytes, at + 1, "a digit after a leading zero");
    }
    match byte(bytes, end) {
        b'.' | b'e' | b'E' => fraction(bytes, end),
        _ => Ok(end),
    }
}

/// What may follow the whole part of a number.
#[inline(always)]
fn fraction(bytes: &[u8], mut at: usize) -> Result<usize, Error> {
    if byte(bytes, at) == b'.' {
        at = some_digits(bytes, at + 1)?;
    }
    if let b'e' | b'E' = byte(bytes, at) {
        at += 1;
        if let b'+' | b'-' = byte(bytes, at) {
            at += 1;
        }
        at = some_digits(bytes, at)?;
    }
    Ok(at)
}

#[inline(always)]
fn some_digits(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let end = digits(bytes, at);
    if end == at {
        return wrong(bytes, at, "expected a digit");
    }
    Ok(end)
}

#[inline(always)]
fn literal(bytes: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Error> {
    let end = at + word.len();
    if bytes.get(at..end) != Some(word) {
        return wrong(bytes, at, "expected a value");
    }
    Ok(end)
}
