//! What is said of a value that is wrong: a message, and a hint.

use std::net::SocketAddr;

use serde_json::Value as Json;

use super::tables::{has_tables, is_secret};
use crate::config::load::schema::{self, Format, Shape};
use crate::config::load::tree::Value;
use crate::config::units::{RATE_HINT, Rate, SIZE_HINT, Size, TIME_HINT, Time};
use crate::template::nearest;

/// Where a value stands, in words.
#[derive(Clone, Copy)]
pub(super) struct Location<'a> {
    /// The key that it belongs to.
    pub(super) key: &'a str,
    /// Names of the tables around it and its own, with dots.
    pub(super) path: &'a str,
    /// Whether it is an item of a list.
    pub(super) is_item: bool,
}

impl Location<'_> {
    /// As in "`key` must be …".
    pub(super) fn subject(&self) -> String {
        if self.is_item {
            format!("each item of `{}`", self.key)
        } else {
            format!("`{}`", self.key)
        }
    }
}

pub(super) fn wrong_type(
    root: &Json,
    schema: &Json,
    shape: &Shape<'_>,
    value: &Value,
    place: Location<'_>,
) -> (String, String) {
    let key = place.key;
    let message =
        format!("{} must be {}, not {}", place.subject(), shape.describe(root), kind(value));
    let hint = match (shape, value) {
        (Shape::List(items), Value::Table(_)) if has_tables(root, items) => {
            format!("write `[[{}]]`, with two brackets, for each of them", place.path)
        }
        (Shape::Table(_), Value::List(_)) => {
            format!("write `[{}]`, with one bracket; there is one of them", place.path)
        }
        (Shape::Table(_) | Shape::Tables(_) | Shape::Texts, _) => {
            format!("write `[{}]` and its keys below", place.path)
        }
        (Shape::List(items), Value::Text { text, written: None }) if !is_secret(root, items) => {
            format!("write `{key} = [{text:?}]`")
        }
        (Shape::Text(Format::Time), Value::Integer(Some(number))) if *number >= 0 => {
            format!("write it with a unit, such as `\"{number}s\"`")
        }
        (Shape::Text(Format::Time), _) => TIME_HINT.to_owned(),
        (Shape::Text(Format::Size), _) => SIZE_HINT.to_owned(),
        (Shape::Text(Format::Rate), Value::Integer(Some(number))) if *number > 0 => {
            format!("write it with a unit, such as `\"{number}/s\"`")
        }
        (Shape::Text(Format::Rate), _) => RATE_HINT.to_owned(),
        (Shape::Text(Format::Address), Value::Integer(Some(number)))
            if (1..65_536).contains(number) =>
        {
            format!("write `{key} = \"127.0.0.1:{number}\"`")
        }
        (Shape::Text(Format::Plain), Value::Integer(Some(number))) => {
            format!("put it in quotes: `\"{number}\"`")
        }
        (Shape::Integer { .. } | Shape::Number { .. }, Value::Text { text, written: None })
            if text.parse::<i64>().is_ok()
                || (matches!(shape, Shape::Number { .. }) && text.parse::<f64>().is_ok()) =>
        {
            format!("write `{key} = {text}`, without quotes")
        }
        (Shape::Boolean, _) => format!("write `{key} = true` or `{key} = false`"),
        _ if place.is_item => "put each item in quotes".to_owned(),
        _ => format!("write it like `{key} = {}`", schema::example(root, schema)),
    };
    (message, hint)
}

pub(super) fn wrong_text(
    format: Format,
    text: &str,
    written: Option<&str>,
    place: Location<'_>,
) -> Option<(String, String)> {
    let (is_right, what, hint) = match format {
        Format::Plain | Format::Secret | Format::File => return None,
        Format::Time => (text.parse::<Time>().map(drop), "a time", TIME_HINT),
        Format::Size => (text.parse::<Size>().map(drop), "a size", SIZE_HINT),
        Format::Rate => (text.parse::<Rate>().map(drop), "a rate", RATE_HINT),
        Format::Address => (
            text.parse::<SocketAddr>()
                .map(drop)
                .map_err(|_| format!("`{text}` is not an address with a port")),
            "an address with a port",
            "write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"",
        ),
    };
    let message = is_right.err()?;
    Some(match written {
        None => (format!("{}: {message}", place.subject()), hint.to_owned()),
        // The value may be a secret in the wrong place.
        Some(written) => (
            format!("{}: the value of `{written}` is not {what}", place.subject()),
            hint.to_owned(),
        ),
    })
}

pub(super) fn wrong_choice(
    words: &[&str],
    text: &str,
    written: Option<&str>,
    place: Location<'_>,
) -> Option<(String, String)> {
    if words.contains(&text) {
        return None;
    }
    let all = match words {
        [word] => format!("write `{} = {word:?}`", place.key),
        _ => format!("write {}", schema::listed(words, '"', "or")),
    };
    if let Some(written) = written {
        return Some((format!("`{}` can't be the value of `{written}`", place.key), all));
    }
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => all,
    };
    Some((format!("`{}` can't be {text:?}", place.key), hint))
}

pub(super) fn wrong_number(
    number: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    place: Location<'_>,
) -> Option<(String, String)> {
    let (least, most) = (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
    if number.is_some_and(|number| (least..=most).contains(&number)) {
        return None;
    }
    let range = match (min, max) {
        (Some(min), Some(max)) if max < i64::from(i32::MAX) => {
            format!("a number from {min} to {max}")
        }
        (Some(min), _) if number.is_some_and(|number| number < min) => {
            format!("a number not below {min}")
        }
        _ => "a smaller number".to_owned(),
    };
    let message = match number {
        Some(number) => format!("{} can't be {number}", place.subject()),
        None => format!("{} is a number beyond all bounds", place.subject()),
    };
    Some((message, format!("write {range}")))
}

/// The same for a number that may have a fraction.
pub(super) fn wrong_fraction(
    value: &Value,
    min: f64,
    max: f64,
    place: Location<'_>,
) -> Option<(String, String)> {
    let number = match value {
        Value::Integer(number) => number.map_or(f64::NAN, |number| number as f64),
        Value::Float(number) => *number,
        _ => return None,
    };
    if (min..=max).contains(&number) {
        return None;
    }
    let message = format!("{} can't be {number}", place.subject());
    Some((message, format!("write a number from {min} to {max}")))
}

/// What a value that is handed on as JSON holds that JSON can't.
pub(super) fn wrong_anything(value: &Value) -> Option<&'static str> {
    match value {
        Value::Float(number) if !number.is_finite() => Some("infinity or no number"),
        Value::Integer(None) => Some("a number beyond all bounds"),
        Value::List(list) => list.iter().find_map(|tree| wrong_anything(&tree.value)),
        Value::Table(table) => table.values().find_map(|tree| wrong_anything(&tree.value)),
        _ => None,
    }
}

/// What a value is, as in "…, not a list".
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text { .. } => "a text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(true) => "`true`",
        Value::Boolean(false) => "`false`",
        Value::Date(_) => "a date",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
        Value::Placeholder(_) => "nothing",
    }
}

/// A key as a message shows it: not too long, no control characters.
pub(super) fn shown(key: &str) -> String {
    let short: String = key.chars().take(80).collect();
    short.escape_debug().to_string()
}
