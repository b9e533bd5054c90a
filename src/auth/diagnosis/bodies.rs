//! Forms that a body may have had before something on its way changed it.

use std::borrow::Cow;

use crate::json::{self, Reader};

/// Writes a document in another way.
type Rewrite = fn(&str) -> String;

/// Larger bodies are not written anew.
const MAX_JSON_BYTES: usize = 1 << 20;

/// A body as it may have been, and what that is in words.
pub(super) type Form<'a> = (Cow<'a, [u8]>, &'static str);

/// The likely forms, each made when it is asked for.
pub(super) fn forms(body: &[u8]) -> impl Iterator<Item = Form<'_>> {
    line_breaks(body).chain(written_anew(body).into_iter().flatten())
}

fn line_breaks(body: &[u8]) -> impl Iterator<Item = Form<'_>> {
    let bare = body.trim_ascii_end();
    let is_trimmed = bare.len() < body.len();
    let with = |end: &[u8]| Cow::Owned([bare, end].concat());
    let trimmed = is_trimmed.then_some((Cow::Borrowed(bare), "without the line break at its end"));
    let all = [
        (with(b"\n"), "with a line break (LF) at its end"),
        (with(b"\r\n"), "with a line break (CR LF) at its end"),
    ];
    let lines = std::str::from_utf8(body).ok().filter(|text| text.contains('\n')).map(|text| {
        let bare = text.replace("\r\n", "\n");
        match bare.len() == text.len() {
            true => (bare.replace('\n', "\r\n"), "with CR LF as its line breaks"),
            false => (bare, "with LF as its line breaks"),
        }
    });
    let lines = lines.map(|(text, what)| (Cow::Owned(text.into_bytes()), what));
    trimmed.into_iter().chain(all).chain(lines).filter(move |(form, _)| **form != *body)
}

/// JSON as libraries write it; values and the order of members stay.
fn written_anew(body: &[u8]) -> Option<impl Iterator<Item = Form<'_>>> {
    let mut reader = Reader::new(body).ok().filter(|_| body.len() <= MAX_JSON_BYTES)?;
    let value = reader.skip().ok()?;
    reader.end().ok()?;
    let compact = json::compact(value);
    let all: [(Rewrite, &str); 7] = [
        (str::to_owned, "written without blanks (compact JSON)"),
        (|json| spaced(json, 0), "written with a blank behind `:` and `,`"),
        (|json| spaced(json, 2), "written with two blanks of indentation (pretty JSON)"),
        (|json| spaced(json, 4), "written with four blanks of indentation (pretty JSON)"),
        (ascii, "written in ASCII, other characters as `\\u` escapes"),
        (|json| json.replace('/', "\\/"), "written with `\\/` for each slash"),
        (|json| json.replace("\\/", "/"), "written with `/` for each `\\/`"),
    ];
    let all = all.into_iter().map(move |(write, what)| (write(&compact), what));
    let all = all.map(|(text, what)| (Cow::Owned(text.into_bytes()), what));
    Some(all.filter(move |(form, _): &Form<'_>| **form != *body))
}

/// Compact JSON with as many blanks as this for each level; without any, on one line with a blank behind `:` and `,`.
fn spaced(compact: &str, indent: usize) -> String {
    // No sender writes JSON that is nested so deep that it grows more than this.
    let most = 8 * compact.len();
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    let mut rest = compact.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        if indent > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    while let Some(char) = rest.next().filter(|_| out.len() < most) {
        if is_quoted {
            out.push(char);
            is_quoted = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        let is_empty = matches!(rest.peek(), Some('}' | ']'));
        match char {
            '{' | '[' if is_empty => {
                out.push(char);
                out.extend(rest.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(char);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(char);
            }
            ',' if indent > 0 => {
                out.push(char);
                line(&mut out, depth);
            }
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            _ => {
                is_quoted = char == '"';
                out.push(char);
            }
        }
    }
    out
}

/// JSON whose characters beyond ASCII are escapes: they stand in strings only.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match char.is_ascii() {
            true => out.push(char),
            false => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
