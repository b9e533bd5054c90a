//! RFC 8259, without recursion: where a value ends, if it is one.
//!
//! The functions take the position of the first byte and return the position after the last one.

use super::nesting::Nesting;
use super::{Error, scan};

/// Any value. It starts at `at`, without white space.
pub(super) fn value(bytes: &[u8], mut at: usize) -> Result<usize, Error> {
    let mut open = Nesting::default();
    loop {
        at = match bytes.get(at) {
            Some(b'"') => string(bytes, at + 1)?.0,
            Some(b'{') => {
                open.open(true);
                at = scan::space(bytes, at + 1);
                match bytes.get(at) {
                    Some(b'}') => at,
                    _ => {
                        at = key(bytes, at)?;
                        continue;
                    }
                }
            }
            Some(b'[') => {
                open.open(false);
                at = scan::space(bytes, at + 1);
                match bytes.get(at) {
                    Some(b']') => at,
                    _ => continue,
                }
            }
            Some(b'-' | b'0'..=b'9') => number(bytes, at)?,
            Some(b't') => literal(bytes, at, b"true")?,
            Some(b'f') => literal(bytes, at, b"false")?,
            Some(b'n') => literal(bytes, at, b"null")?,
            _ => return wrong(bytes, at, "expected a value"),
        };
        loop {
            if open.is_empty() {
                return Ok(at);
            }
            at = scan::space(bytes, at);
            match (bytes.get(at), open.in_object()) {
                (Some(b','), true) => {
                    at = key(bytes, scan::space(bytes, at + 1))?;
                    break;
                }
                (Some(b','), false) => {
                    at = scan::space(bytes, at + 1);
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    open.close();
                    at += 1;
                }
                (_, true) => return wrong(bytes, at, "expected `,` or `}`"),
                (_, false) => return wrong(bytes, at, "expected `,` or `]`"),
            }
        }
    }
}

/// A string whose opening quote stands before `at`. Also says whether there are escapes in it.
pub(super) fn string(bytes: &[u8], mut at: usize) -> Result<(usize, bool), Error> {
    let mut escaped = false;
    loop {
        at = scan::plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => at = escape(bytes, at)?,
            _ => return wrong(bytes, at, "a control character in a string"),
        }
        escaped = true;
    }
}

/// A key and its colon; ends where the value starts.
fn key(bytes: &[u8], at: usize) -> Result<usize, Error> {
    if bytes.get(at) != Some(&b'"') {
        return wrong(bytes, at, "expected a key");
    }
    let (end, _) = string(bytes, at + 1)?;
    let at = scan::space(bytes, end);
    if bytes.get(at) != Some(&b':') {
        return wrong(bytes, at, "expected `:`");
    }
    Ok(scan::space(bytes, at + 1))
}

/// One escape. A `\u` that is half a surrogate pair is a valid escape of no character: the grammar allows it.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Error> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match (at + 2..at + 6)
            .find(|&digit| !bytes.get(digit).is_some_and(u8::is_ascii_hexdigit))
        {
            None => Ok(at + 6),
            Some(digit) => wrong(bytes, digit, "expected four hexadecimal digits after `\\u`"),
        },
        _ => wrong(bytes, at + 1, "no such escape"),
    }
}

fn number(bytes: &[u8], mut at: usize) -> Result<usize, Error> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at) {
        // No digit may follow a leading zero, so that the caller stumbles over it.
        Some(b'0') => at + 1,
        _ => some_digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = some_digits(bytes, at)?;
    }
    Ok(at)
}

fn some_digits(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let end = scan::digits(bytes, at);
    if end == at {
        return wrong(bytes, at, "expected a digit");
    }
    Ok(end)
}

fn literal(bytes: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Error> {
    if bytes[at..].starts_with(word) {
        return Ok(at + word.len());
    }
    Err(Error {
        at,
        what: "expected a value",
    })
}

/// What is wrong at a position, unless it is that the input ends there.
#[cold]
pub(super) fn wrong<T>(bytes: &[u8], at: usize, what: &'static str) -> Result<T, Error> {
    let what = if at < bytes.len() {
        what
    } else {
        "the document ends too early"
    };
    Err(Error { at, what })
}
