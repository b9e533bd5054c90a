//! The file as a tree in which every value knows where it stands.
//!
//! The search for problems goes on behind the first one: a value that is wrong is reported, then
//! taken out or replaced, so that the rest can be looked at. What was touched that way is marked,
//! and nothing more is said about it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;
use toml::de::DeValue;

use super::variables::{self, Surroundings};
use crate::config::problem::Problems;

/// One value of the file.
#[derive(Debug)]
pub(in crate::config) struct Tree {
    /// Where the value stands; for a table its header.
    pub(in crate::config) span: Range<usize>,
    /// Where its key stands.
    pub(in crate::config) key: Option<usize>,
    pub(in crate::config) value: Value,
    /// Something about it is wrong, and has been said.
    pub(in crate::config) is_broken: bool,
}

#[derive(Debug)]
pub(in crate::config) enum Value {
    /// Text with its variables replaced; as it was written, if it had any.
    Text {
        text: String,
        written: Option<String>,
    },
    /// Nothing when it is beyond every range.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Date(String),
    List(Vec<Tree>),
    Table(BTreeMap<String, Tree>),
    /// Stands for something wrong or missing; nothing when the default does.
    Placeholder(Option<Json>),
}

impl Tree {
    /// Take over what the parser read, with the variables replaced.
    pub(in crate::config) fn new(
        value: &DeValue<'_>,
        span: Range<usize>,
        surroundings: Surroundings<'_>,
        report: &mut Problems<'_>,
    ) -> Self {
        let mut is_broken = false;
        let value = match value {
            DeValue::String(text) => match variables::expand(text, surroundings) {
                Ok(Some(replaced)) => {
                    Value::Text { text: replaced, written: Some(text.to_string()) }
                }
                Ok(None) => Value::Text { text: text.to_string(), written: None },
                Err(errors) => {
                    is_broken = true;
                    for error in errors {
                        let offset = inside(report.text(), &span, text, error.offset);
                        report.error(offset, error.message, error.hint);
                    }
                    Value::Text { text: text.to_string(), written: None }
                }
            },
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(is) => Value::Boolean(*is),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(list) => Value::List(
                list.iter()
                    .map(|item| Self::new(item.get_ref(), item.span(), surroundings, report))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(
                table
                    .iter()
                    .map(|(key, value)| {
                        let mut tree =
                            Self::new(value.get_ref(), value.span(), surroundings, report);
                        tree.key = Some(key.span().start);
                        (key.get_ref().to_string(), tree)
                    })
                    .collect(),
            ),
        };
        Self { span, key: None, value, is_broken }
    }

    /// Something that was said to be missing in the table at this place.
    pub(in crate::config) fn missing(span: Range<usize>, placeholder: Option<Json>) -> Self {
        Self { span, key: None, value: Value::Placeholder(placeholder), is_broken: true }
    }

    /// Put a placeholder in the place of something wrong.
    pub(in crate::config) fn replace(&mut self, placeholder: Option<Json>) {
        self.is_broken = true;
        self.value = Value::Placeholder(placeholder);
    }

    /// Where a character of this text stands, if it stands in the file as it is.
    pub(in crate::config) fn inside(&self, file: &str, offset: usize) -> usize {
        match &self.value {
            Value::Text { text, written: None } => inside(file, &self.span, text, offset),
            _ => self.span.start,
        }
    }

    /// The value without its places.
    pub(in crate::config) fn to_json(&self) -> Option<Json> {
        Some(match &self.value {
            Value::Text { text, .. } | Value::Date(text) => Json::String(text.clone()),
            Value::Integer(number) => (*number)?.into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
            Value::Boolean(is) => Json::Bool(*is),
            Value::List(list) => list.iter().filter_map(Self::to_json).collect(),
            Value::Table(table) => Json::Object(
                table
                    .iter()
                    .filter_map(|(key, tree)| Some((key.clone(), tree.to_json()?)))
                    .collect(),
            ),
            Value::Placeholder(json) => json.clone()?,
        })
    }
}

/// The place of a byte of a text; the text's own place when it is written with escapes.
fn inside(file: &str, span: &Range<usize>, text: &str, offset: usize) -> usize {
    let written = file.get(span.clone()).unwrap_or_default();
    let quotes = (written.len().saturating_sub(text.len())) / 2;
    if written.get(quotes..quotes + text.len()) == Some(text) {
        span.start + quotes + offset
    } else {
        span.start
    }
}

/// A place in the tree, which may be one where nothing is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Node<'a> {
    tree: Option<&'a Tree>,
    /// Where to point when nothing is written: at the table that lacks it.
    around: usize,
    is_broken: bool,
}

impl<'a> Node<'a> {
    pub(in crate::config) fn new(tree: &'a Tree) -> Self {
        Self { tree: Some(tree), around: tree.span.start, is_broken: tree.is_broken }
    }

    /// The value of a key.
    pub(in crate::config) fn get(&self, key: &str) -> Self {
        self.child(match self.tree.map(|tree| &tree.value) {
            Some(Value::Table(table)) => table.get(key),
            _ => None,
        })
    }

    /// An item of a list.
    pub(in crate::config) fn at(&self, index: usize) -> Self {
        self.child(match self.tree.map(|tree| &tree.value) {
            Some(Value::List(list)) => list.get(index),
            _ => None,
        })
    }

    /// Where it stands.
    pub(in crate::config) fn start(&self) -> usize {
        self.tree.map_or(self.around, |tree| tree.span.start)
    }

    /// Where its key stands.
    pub(in crate::config) fn key(&self) -> usize {
        self.tree.and_then(|tree| tree.key).unwrap_or(self.start())
    }

    /// Where a character of its text stands.
    pub(in crate::config) fn inside(&self, file: &str, offset: usize) -> usize {
        self.tree.map_or(self.around, |tree| tree.inside(file, offset))
    }

    /// Whether something about it has been said already.
    pub(in crate::config) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether it stands in the file.
    pub(in crate::config) fn is_written(&self) -> bool {
        self.tree.is_some()
    }

    /// The text as it was written, when it holds values of the environment.
    pub(in crate::config) fn written(&self) -> Option<&'a str> {
        match &self.tree?.value {
            Value::Text { written, .. } => written.as_deref(),
            _ => None,
        }
    }

    fn child(&self, tree: Option<&'a Tree>) -> Self {
        Self {
            tree,
            around: self.start(),
            is_broken: self.is_broken || tree.is_some_and(|tree| tree.is_broken),
        }
    }
}
