//! Whether the file has the shape that the types ask for: every unknown key, every wrong value.
//!
//! It walks the file beside the JSON Schema of the types, so that a new key needs no code here.

mod messages;
mod tables;

use std::collections::BTreeMap;
use std::mem;

use serde_json::Value as Json;

use self::messages::{
    Location, kind, shown, wrong_anything, wrong_choice, wrong_fraction, wrong_number, wrong_text,
    wrong_type,
};
use self::tables::{tables_with, title};
use super::schema::{self, Shape};
use super::tree::{Tree, Value};
use crate::config::problem::Problems;
use crate::template::nearest;

/// Problems what is wrong, and replace it by something that fits.
///
/// With `is_partial` a part of the file could not be read, and nothing is said to be missing.
pub(super) fn check(root: &Json, tree: &mut Tree, is_partial: bool, report: &mut Problems<'_>) {
    let mut walk = Walk { root, is_partial, report };
    walk.table(root, tree, "");
}

struct Walk<'a, 'r, 't> {
    root: &'a Json,
    is_partial: bool,
    report: &'r mut Problems<'t>,
}

impl<'a> Walk<'a, '_, '_> {
    fn value(&mut self, schema: &'a Json, tree: &mut Tree, place: Location<'_>, is_needed: bool) {
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
            let (message, hint) = wrong_type(self.root, schema, &shape, &tree.value, place);
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
            (Shape::Number { min, max }, value) => wrong_fraction(value, *min, *max, place),
            (Shape::List(items), Value::List(list)) => {
                for item in list {
                    let place = Location { is_item: true, ..place };
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
            Shape::Tables(schema) => self.tables(schema, tree, place),
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
                let place = Location { key, path: &path, is_item: false };
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
        // `pth` was meant to be `path`: it isn't missing then, and its value is unknown.
        for key in stand_ins {
            let is_needed = schema::required(schema).any(|needed| needed == key);
            let shape = schema::property(schema, key).map(|schema| Shape::new(self.root, schema));
            let placeholder = shape.filter(|_| is_needed).map(|shape| shape.placeholder(self.root));
            let missing = || Tree::missing(span.clone(), placeholder);
            table.entry(key.to_owned()).or_insert_with(missing);
        }
    }

    /// Problems a key that isn't known, and say which one was meant.
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
                format!("it belongs in {}", schema::listed(&elsewhere, '`', "or"))
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

    /// A table with any keys, of tables with known ones.
    fn tables(&mut self, schema: &'a Json, tree: &mut Tree, place: Location<'_>) {
        let Value::Table(table) = &mut tree.value else {
            return;
        };
        for (key, child) in table {
            let path = format!("{}.{key}", place.path);
            let place = Location { key, path: &path, is_item: false };
            self.value(schema, child, place, true);
        }
    }

    /// A table with any keys. `a.b = 1` is a table in a table to TOML, but meant as the key `a.b`.
    fn texts(&mut self, tree: &mut Tree, place: Location<'_>) {
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
        place: Location<'_>,
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
                let place = Location { key: tag, path: place.path, is_item: false };
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
        Shape::Number { .. } => text.trim().parse().ok().map(Value::Float),
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
            | (Shape::Number { .. }, Value::Integer(_) | Value::Float(_))
            | (Shape::Boolean, Value::Boolean(_))
            | (Shape::List(_), Value::List(_))
            | (
                Shape::Texts | Shape::Table(_) | Shape::Tables(_) | Shape::Tagged { .. },
                Value::Table(_)
            )
    )
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
