//! Secrets in bodies that are shown: the values of members and fields whose names say that they are secret.
//!
//! A body is cut before it is shown, and may be no document at all: it is read as far as it is JSON, or else as a form.
//! Where quotes are out of step nobody can tell a name from a value; then the rest is left out. What is in another form,
//! such as XML, stays as it is.

use form_urlencoded::byte_serialize;
use percent_encoding::percent_decode_str;

use crate::json::{self, Text};
use crate::template::glob;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// What stands for everything behind a place where JSON isn't JSON any more.
const REST: &str = "[redacted: not JSON from here on]";

/// JSON in strings of JSON is looked at down to this level; what is below it is left out.
const MAX_DEPTH: usize = 4;

/// Patterns of names.
#[derive(Debug, Default)]
pub(super) struct Redaction(Vec<String>);

impl Redaction {
    /// For names that fit one of these patterns, whatever their case, hyphens and underscores.
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| plain(pattern)).collect())
    }

    fn is_secret(&self, name: &str) -> bool {
        let name = plain(name);
        self.0.iter().any(|pattern| glob::matches(pattern, &name))
    }

    /// A body, or its beginning, without secrets.
    pub(super) fn apply(&self, text: String) -> String {
        if self.0.is_empty() {
            return text;
        }
        let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        match start.starts_with(['{', '[', '"']) {
            true => self.json(&text, 0),
            false => self.form(&text),
        }
    }

    /// JSON that may end anywhere.
    fn json(&self, text: &str, depth: usize) -> String {
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        // What is before `copied` is in `out`.
        let (mut copied, mut at) = (0, 0);
        while let Some(quote) = find(bytes, at, b"\"") {
            let end = past_string(bytes, quote);
            let string = &text[quote + 1..end.map_or(text.len(), |end| end - 1)];
            let next = space(bytes, end.unwrap_or(text.len()));
            if bytes.get(next) == Some(&b':') {
                at = space(bytes, next + 1);
                if !self.is_secret(&Text::over(string).unescape()) {
                    continue;
                }
                out.push_str(&text[copied..at]);
                json::quote_into(REDACTED, &mut out);
                at = past_value(bytes, at);
                copied = at;
            } else {
                at = end.unwrap_or(text.len());
                let meant = Text::over(string).unescape();
                if let Some(redacted) = self.nested(&meant, end.is_some(), depth) {
                    out.push_str(&text[copied..quote]);
                    json::quote_into(&redacted, &mut out);
                    copied = at;
                }
            }
            // Behind a value nothing else may stand.
            if !matches!(bytes.get(space(bytes, at)), None | Some(b',' | b'}' | b']')) {
                out.push_str(&text[copied..at]);
                out.push_str(REST);
                return out;
            }
        }
        out.push_str(&text[copied..]);
        out
    }

    /// A text in a string or a field, of which only the beginning may be there; nothing where it isn't JSON, or holds no
    /// secret.
    fn nested(&self, text: &str, is_whole: bool, depth: usize) -> Option<String> {
        if !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        // What only looks like it is text.
        let mut reader = json::Reader::over(text);
        if is_whole && reader.skip().and_then(|_| reader.end()).is_err() {
            return None;
        }
        let redacted = match depth < MAX_DEPTH {
            true => self.json(text, depth + 1),
            false => REDACTED.to_owned(),
        };
        (redacted != text).then_some(redacted)
    }

    /// The fields of a form; the last one may be cut. In another text nothing looks like one, mostly.
    fn form(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut fields = text.split('&').peekable();
        while let Some(field) = fields.next() {
            let is_whole = fields.peek().is_some();
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let redacted = match self.is_secret(decoded(name).trim()) {
                true => Some(REDACTED.to_owned()).filter(|_| name.len() < field.len()),
                false => {
                    let nested = self.nested(&decoded(value), is_whole, 0);
                    nested.map(|text| byte_serialize(text.as_bytes()).collect())
                }
            };
            match redacted {
                Some(value) => out.extend([name, "=", &value]),
                None => out.push_str(field),
            }
            out.push_str(if is_whole { "&" } else { "" });
        }
        out
    }
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// A part of a form as it is meant.
fn decoded(part: &str) -> String {
    percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The first position from `at` on that holds one of these bytes.
fn find(bytes: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes.get(at..)?.iter().position(|byte| wanted.contains(byte))?;
    Some(at + found)
}

fn space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let found = rest.iter().position(|byte| !byte.is_ascii_whitespace());
    found.map_or(bytes.len(), |found| at + found)
}

/// The position after the string that begins here, if it ends.
fn past_string(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        let found = find(bytes, at, b"\"\\")?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// The position after the value that begins here.
fn past_value(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => past_string(bytes, at).unwrap_or(bytes.len()),
        Some(b'{' | b'[') => past_brackets(bytes, at),
        _ => find(bytes, at, b",}] \t\r\n").unwrap_or(bytes.len()),
    }
}

fn past_brackets(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(found) = find(bytes, at, b"\"{}[]") {
        at = found + 1;
        match bytes[found] {
            b'"' => at = past_string(bytes, found).unwrap_or(bytes.len()),
            b'{' | b'[' => depth += 1,
            _ => depth -= 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
