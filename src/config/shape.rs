//! Whether the file has the shape that the types ask for: every unknown key, every wrong value.
//!
//! It walks the file beside the JSON Schema of the types, so that a new key needs no code here.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;

use serde_json::Value as Json;

use super::problem::Report;
use super::schema::{self, Format, Shape};
use super::tree::{Tree, Value};
use super::units::{RATE_HINT, Rate, SIZE_HINT, Size, TIME_HINT, Time};
use crate::template::nearest;

/// Values that later versions will have, so that nobody looks for a mistake.
const LATER_VALUES: [(&str, &[&str]); 1] =
    [("source", &["stripe", "slack", "twilio", "standard-webhooks", "generic"])];

/// Report what is wrong, and replace it by something that fits.
///
/// With `is_partial` a part of the file could not be read, and nothing is said to be missing.
pub(super) fn check(root: &Json, tree: &mut Tree, is_partial: bool, report: &mut Report<'_>) {
    let mut walk = Walk { root, is_partial, report };
    walk.table(root, tree, "");
}

struct Walk<'a, 'r, 't> {
    root: &'a Json,
    is_partial: bool,
    report: &'r mut Report<'t>,
}

/// Where a value stands, in words.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The key that it belongs to.
    key: &'a str,
    /// Names of the tables around it and its own, with dots.
    path: &'a str,
    /// Whether it is an item of a list.
    is_item: bool,
}

impl Place<'_> {
    /// As in "`key` must be …".
    fn subject(&self) -> String {
        if self.is_item {
            format!("each item of `{}`", self.key)
        } else {
            format!("`{}`", self.key)
        }
    }
}

impl<'a> Walk<'a, '_, '_> {
    fn value(&mut self, schema: &'a Json, tree: &mut Tree, place: Place<'_>, is_needed: bool) {
        let mut shape = Shape::new(self.root, schema);
        if let Shape::Either(options) = &shape {
            let fitting = options.iter().map(|option| Shape::new(self.root, option));
            if let Some(option) = fitting.into_iter().find(|option| fits(option, &tree.value)) {
                shape = option;
            }
        }
        let placeholder = is_needed.then(|| shape.placeholder(self.root));
        if tree.is_broken {
            tree.replace(placeholder);
            return;
        }
        take_from_text(&shape, tree);
        if !fits(&shape, &tree.value) {
            let (message, hint) = self.wrong_type(schema, &shape, &tree.value, place);
            self.report.error(tree.span.start, message, hint);
            tree.replace(placeholder);
            return;
        }
        let wrong = match (&shape, &mut tree.value) {
            (Shape::Text(format), Value::Text { text, written }) => {
                wrong_text(*format, text, written.as_deref(), place)
            }
            (Shape::Choice(words), Value::Text { text, written }) => {
                wrong_choice(words, text, written.as_deref(), place)
            }
            (Shape::Integer { min, max }, Value::Integer(number)) => {
                wrong_number(*number, *min, *max, place)
            }
            (Shape::List(items), Value::List(list)) => {
                for item in list {
                    let place = Place { is_item: true, ..place };
                    self.value(items, item, place, true);
                }
                None
            }
            (Shape::Any, value) => wrong_anything(value).map(|what| {
                (
                    format!("{} holds {what}, which JSON can't", place.subject()),
                    "write a text instead".to_owned(),
                )
            }),
            _ => None,
        };
        if let Some((message, hint)) = wrong {
            self.report.error(tree.span.start, message, hint);
            tree.replace(placeholder);
            return;
        }
        match shape {
            Shape::Texts => self.texts(tree, place),
            Shape::Table(schema) => self.table(schema, tree, &title(place.path, place.is_item)),
            Shape::Tagged { tag, tables } => self.tagged(tag, &tables, tree, place),
            _ => {}
        }
    }

    /// A table with known keys.
    fn table(&mut self, schema: &'a Json, tree: &mut Tree, title: &str) {
        let span = tree.span.clone();
        let Value::Table(table) = &mut tree.value else {
            return;
        };
        let needed: Vec<&str> = schema::required(schema).collect();
        let path = title.trim_matches(['[', ']']);
        let mut stand_ins = Vec::new();
        for (key, child) in table.iter_mut() {
            if let Some(schema) = schema::property(schema, key) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let place = Place { key, path: &path, is_item: false };
                self.value(schema, child, place, needed.contains(&key.as_str()));
            } else {
                let meant = self.unknown(schema, key, child, title);
                child.replace(None);
                stand_ins.extend(meant);
            }
        }
        for key in needed {
            if table.contains_key(key) || stand_ins.contains(&key) || self.is_partial {
                continue;
            }
            let example =
                schema::property(schema, key).map(|schema| schema::example(self.root, schema));
            self.report.error(
                span.start,
                format!("`{key}` is missing in `{title}`"),
                format!("add `{key} = {}`", example.unwrap_or_default()),
            );
            stand_ins.push(key);
        }
        if self.is_partial {
            stand_ins.extend(schema::properties(schema).map(|(key, _)| key));
        }
        // Whoever wrote `pth` meant `path`: nothing is missing then, and what it says is unknown.
        for key in stand_ins {
            let is_needed = schema::required(schema).any(|needed| needed == key);
            let shape = schema::property(schema, key).map(|schema| Shape::new(self.root, schema));
            let placeholder = shape.filter(|_| is_needed).map(|shape| shape.placeholder(self.root));
            let missing = || Tree::missing(span.clone(), placeholder);
            table.entry(key.to_owned()).or_insert_with(missing);
        }
    }

    /// Report a key that isn't known, and say which one was meant.
    fn unknown(
        &mut self,
        schema: &'a Json,
        key: &str,
        tree: &Tree,
        title: &str,
    ) -> Option<&'a str> {
        let at = tree.key.unwrap_or(tree.span.start);
        let known: Vec<&str> = schema::properties(schema).map(|(key, _)| key).collect();
        let meant = nearest(key, known.iter().copied());
        let elsewhere = tables_with(self.root, key);
        let elsewhere: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if !elsewhere.is_empty() => {
                format!("it belongs into {}", schema::listed(&elsewhere, '`', "or"))
            }
            None if title.is_empty() => {
                format!("the tables are {}", schema::listed(&known, '`', "and"))
            }
            None => format!("`{title}` takes {}", schema::listed(&known, '`', "and")),
        };
        let message = if title.is_empty() {
            format!("unknown key `{}`", shown(key))
        } else {
            format!("unknown key `{}` in `{title}`", shown(key))
        };
        self.report.error(at, message, hint);
        meant
    }

    /// A table with any keys. `a.b = 1` is a table in a table to TOML, but meant as the key `a.b`.
    fn texts(&mut self, tree: &mut Tree, place: Place<'_>) {
        let Value::Table(table) = &mut tree.value else {
            return;
        };
        let mut flat = BTreeMap::new();
        flatten(String::new(), mem::take(table), &mut flat);
        for (key, tree) in &mut flat {
            if tree.is_broken {
                tree.replace(None);
                continue;
            }
            let text = match &tree.value {
                Value::Text { .. } => continue,
                Value::Integer(Some(number)) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Boolean(is) => is.to_string(),
                other => {
                    self.report.error(
                        tree.span.start,
                        format!(
                            "`{}` in `[{}]` must be a text, not {}",
                            shown(key),
                            place.path,
                            kind(other)
                        ),
                        format!("write `{key} = \"...\"`"),
                    );
                    tree.replace(None);
                    continue;
                }
            };
            tree.value = Value::Text { text, written: None };
        }
        *table = flat;
    }

    /// A table whose keys depend on one of them.
    fn tagged(
        &mut self,
        tag: &str,
        tables: &[(&'a str, &'a Json)],
        tree: &mut Tree,
        place: Place<'_>,
    ) {
        let title = title(place.path, place.is_item);
        let words: Vec<&str> = tables.iter().map(|(word, _)| *word).collect();
        let span = tree.span.clone();
        let stand_in = Shape::Tagged { tag: "", tables: tables.to_vec() }.placeholder(self.root);
        let Value::Table(table) = &mut tree.value else {
            return;
        };
        let wrong = match table.get(tag) {
            Some(Tree { is_broken: true, .. }) => None,
            Some(Tree { value: Value::Text { text, written }, span, .. }) => {
                if let Some((_, schema)) = tables.iter().find(|(word, _)| word == text) {
                    self.table(schema, tree, &title);
                    return;
                }
                let place = Place { key: tag, path: place.path, is_item: false };
                wrong_choice(&words, text, written.as_deref(), place)
                    .map(|(message, hint)| (span.start, message, hint))
            }
            Some(child) => Some((
                child.span.start,
                format!("`{tag}` must be a text, not {}", kind(&child.value)),
                format!("write {}", schema::listed(&words, '"', "or")),
            )),
            None if self.is_partial => None,
            None => {
                let near = table.keys().find(|key| nearest(key, [tag]).is_some());
                let at = near.and_then(|key| table.get(key)?.key).unwrap_or(span.start);
                Some(match near {
                    Some(key) => (
                        at,
                        format!("unknown key `{}` in `{title}`", shown(key)),
                        format!("did you mean `{tag}`?"),
                    ),
                    None => (
                        at,
                        format!("`{tag}` is missing in `{title}`"),
                        format!("add `{tag} = {:?}`", words.first().copied().unwrap_or_default()),
                    ),
                })
            }
        };
        if let Some((at, message, hint)) = wrong {
            self.report.error(at, message, hint);
        }
        tree.replace(Some(stand_in));
    }

    fn wrong_type(
        &self,
        schema: &Json,
        shape: &Shape<'_>,
        value: &Value,
        place: Place<'_>,
    ) -> (String, String) {
        let key = place.key;
        let message = format!(
            "{} must be {}, not {}",
            place.subject(),
            shape.describe(self.root),
            kind(value)
        );
        let hint = match (shape, value) {
            (Shape::List(items), Value::Table(_)) if has_tables(self.root, items) => {
                format!("write `[[{}]]`, with two brackets, for each of them", place.path)
            }
            (Shape::Table(_), Value::List(_)) => {
                format!("write `[{}]`, with one bracket; there is one of them", place.path)
            }
            (Shape::Table(_) | Shape::Texts, _) => {
                format!("write `[{}]` and its keys below", place.path)
            }
            (Shape::List(items), Value::Text { text, written: None })
                if !is_secret(self.root, items) =>
            {
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
            (Shape::Integer { .. }, Value::Text { text, written: None })
                if text.parse::<i64>().is_ok() =>
            {
                format!("write `{key} = {text}`, without quotes")
            }
            (Shape::Boolean, _) => format!("write `{key} = true` or `{key} = false`"),
            _ if place.is_item => "put each item in quotes".to_owned(),
            _ => format!("write it like `{key} = {}`", schema::example(self.root, schema)),
        };
        (message, hint)
    }
}

/// A number or a boolean can come from the environment too, although it stands in quotes then.
fn take_from_text(shape: &Shape<'_>, tree: &mut Tree) {
    let Value::Text { text, written: Some(_) } = &tree.value else {
        return;
    };
    let taken = match shape {
        Shape::Integer { .. } => {
            text.trim().parse().ok().map(|number| Value::Integer(Some(number)))
        }
        Shape::Boolean => text.trim().parse().ok().map(Value::Boolean),
        _ => None,
    };
    if let Some(taken) = taken {
        tree.value = taken;
    }
}

fn fits(shape: &Shape<'_>, value: &Value) -> bool {
    matches!(
        (shape, value),
        (Shape::Any, _)
            | (_, Value::Placeholder(_))
            | (Shape::Text(_) | Shape::Choice(_), Value::Text { .. })
            | (Shape::Integer { .. }, Value::Integer(_))
            | (Shape::Boolean, Value::Boolean(_))
            | (Shape::List(_), Value::List(_))
            | (Shape::Texts | Shape::Table(_) | Shape::Tagged { .. }, Value::Table(_))
    )
}

fn wrong_text(
    format: Format,
    text: &str,
    written: Option<&str>,
    place: Place<'_>,
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

fn wrong_choice(
    words: &[&str],
    text: &str,
    written: Option<&str>,
    place: Place<'_>,
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
    let is_later =
        LATER_VALUES.iter().any(|(key, later)| *key == place.key && later.contains(&text));
    if is_later {
        return Some((format!("`{} = {text:?}` is not supported yet", place.key), all));
    }
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => all,
    };
    Some((format!("`{}` can't be {text:?}", place.key), hint))
}

fn wrong_number(
    number: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    place: Place<'_>,
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

/// What a value that is handed on as JSON holds that JSON can't.
fn wrong_anything(value: &Value) -> Option<&'static str> {
    match value {
        Value::Float(number) if !number.is_finite() => Some("infinity or no number"),
        Value::Integer(None) => Some("a number beyond all bounds"),
        Value::List(list) => list.iter().find_map(|tree| wrong_anything(&tree.value)),
        Value::Table(table) => table.values().find_map(|tree| wrong_anything(&tree.value)),
        _ => None,
    }
}

fn flatten(prefix: String, table: BTreeMap<String, Tree>, flat: &mut BTreeMap<String, Tree>) {
    for (key, tree) in table {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match tree.value {
            Value::Table(table) => flatten(name, table, flat),
            value => {
                flat.insert(name, Tree { value, ..tree });
            }
        }
    }
}

/// What a value is, as in "…, not a list".
fn kind(value: &Value) -> &'static str {
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
fn shown(key: &str) -> String {
    let short: String = key.chars().take(80).collect();
    short.escape_debug().to_string()
}

fn title(path: &str, is_item: bool) -> String {
    if is_item { format!("[[{path}]]") } else { format!("[{path}]") }
}

fn has_tables(root: &Json, items: &Json) -> bool {
    matches!(Shape::new(root, items), Shape::Table(_) | Shape::Tagged { .. })
}

fn is_secret(root: &Json, items: &Json) -> bool {
    matches!(Shape::new(root, items), Shape::Text(Format::Secret))
}

/// The tables that have this key.
fn tables_with(root: &Json, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect_tables(root, root, "", false, &mut |title, schema| {
        if schema::property(schema, key).is_some() && !title.is_empty() && !found.contains(&title) {
            found.push(title);
        }
    });
    found
}

fn collect_tables(
    root: &Json,
    schema: &Json,
    path: &str,
    is_item: bool,
    found: &mut dyn FnMut(String, &Json),
) {
    match Shape::new(root, schema) {
        Shape::Table(table) => {
            found(if path.is_empty() { String::new() } else { title(path, is_item) }, table);
            for (key, schema) in schema::properties(table) {
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                collect_tables(root, schema, &path, false, found);
            }
        }
        Shape::Tagged { tables, .. } => {
            for (_, table) in tables {
                found(title(path, is_item), table);
            }
        }
        Shape::List(items) => collect_tables(root, items, path, true, found),
        _ => {}
    }
}
