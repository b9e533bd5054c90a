//! The JSON Schema of the file, and what its parts mean.

use std::sync::LazyLock;

use serde_json::Value as Json;

use crate::config::Config;

/// The JSON Schema of the configuration file, for editors and for `hookbus schema`.
pub fn schema() -> String {
    format!("{:#}", json())
}

/// Made once: a reload reads a file again, and a fuzz target many.
pub(in crate::config) fn json() -> &'static Json {
    static JSON: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(Config).to_value());
    &JSON
}

/// What a value must look like.
#[derive(Debug, Clone)]
pub(in crate::config) enum Shape<'a> {
    Any,
    Text(Format),
    Choice(Vec<&'a str>),
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    /// Perhaps with a fraction.
    Number {
        min: f64,
        max: f64,
    },
    Boolean,
    List(&'a Json),
    /// Any keys, with values that are text.
    Texts,
    Table(&'a Json),
    /// Any keys, with values that are such tables.
    Tables(&'a Json),
    /// One of several tables, told apart by a key.
    Tagged {
        tag: &'a str,
        tables: Vec<(&'a str, &'a Json)>,
    },
    Either(Vec<&'a Json>),
}

/// What a text must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Format {
    Plain,
    Secret,
    Time,
    Size,
    Rate,
    Address,
    File,
}

impl<'a> Shape<'a> {
    /// What this part of the schema asks for.
    pub(in crate::config) fn new(root: &'a Json, schema: &'a Json) -> Self {
        let schema = resolve(root, schema);
        if let Some(options) = schema.get("anyOf").and_then(Json::as_array) {
            return Self::Either(options.iter().collect());
        }
        if let Some(options) = schema.get("oneOf").and_then(Json::as_array) {
            return one_of(options);
        }
        match type_name(schema) {
            Some("string") => Self::Text(match schema.get("format").and_then(Json::as_str) {
                Some("password") => Format::Secret,
                Some("time") => Format::Time,
                Some("size") => Format::Size,
                Some("rate") => Format::Rate,
                Some("address") => Format::Address,
                Some("file") => Format::File,
                _ => Format::Plain,
            }),
            Some("integer") => {
                let limit = |name| schema.get(name).and_then(Json::as_i64);
                let is_narrow = schema.get("format").and_then(Json::as_str) == Some("int32");
                Self::Integer {
                    min: limit("minimum"),
                    max: limit("maximum").or(is_narrow.then_some(i64::from(i32::MAX))),
                }
            }
            Some("number") => {
                let limit = |name| schema.get(name).and_then(Json::as_f64);
                Self::Number {
                    min: limit("minimum").unwrap_or(f64::MIN),
                    max: limit("maximum").unwrap_or(f64::MAX),
                }
            }
            Some("boolean") => Self::Boolean,
            Some("array") => schema.get("items").map_or(Self::Any, Self::List),
            Some("object") if schema.get("properties").is_some() => Self::Table(schema),
            Some("object") => match schema.get("additionalProperties") {
                Some(values) if resolve(root, values).get("properties").is_some() => {
                    Self::Tables(resolve(root, values))
                }
                _ => Self::Texts,
            },
            _ => Self::Any,
        }
    }

    /// In words, as in "must be …".
    pub(in crate::config) fn describe(&self, root: &'a Json) -> String {
        match self {
            Self::Any => "a value".to_owned(),
            Self::Text(format) => match format {
                Format::Plain | Format::Secret => "a text",
                Format::Time => "a time",
                Format::Size => "a size",
                Format::Rate => "a rate",
                Format::Address => "an address with a port",
                Format::File => "the path of a file",
            }
            .to_owned(),
            Self::Choice(words) => listed(words, '"', "or"),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Number { .. } => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::List(items) => match Shape::new(root, items) {
                Self::Table(_) | Self::Tagged { .. } => "a list of tables".to_owned(),
                _ => "a list of texts".to_owned(),
            },
            Self::Texts | Self::Table(_) | Self::Tables(_) | Self::Tagged { .. } => {
                "a table".to_owned()
            }
            Self::Either(options) => {
                let options = options.iter().map(|option| Shape::new(root, option).describe(root));
                options.collect::<Vec<_>>().join(" or ")
            }
        }
    }

    /// Something that fits, so that the rest can be looked at.
    pub(in crate::config) fn placeholder(&self, root: &'a Json) -> Json {
        match self {
            Self::Any => Json::Null,
            Self::Text(format) => Json::from(match format {
                Format::Plain | Format::Secret | Format::File => "",
                Format::Time => "1s",
                Format::Size => "1MiB",
                Format::Rate => "1/s",
                Format::Address => "127.0.0.1:0",
            }),
            Self::Choice(words) => words.first().copied().into(),
            Self::Integer { min, .. } => min.unwrap_or(1).max(1).into(),
            Self::Number { min, .. } => (*min).into(),
            Self::Boolean => false.into(),
            Self::List(_) => Json::Array(Vec::new()),
            Self::Texts | Self::Tables(_) => Json::Object(serde_json::Map::new()),
            Self::Table(schema) => {
                let fill = |key: &str| {
                    let schema = property(schema, key)?;
                    // The tag of a table that is one of several.
                    let fixed = schema.get("const").cloned();
                    let value = fixed.unwrap_or_else(|| Shape::new(root, schema).placeholder(root));
                    Some((key.to_owned(), value))
                };
                Json::Object(required(schema).filter_map(fill).collect())
            }
            Self::Tagged { tables, .. } => tables
                .first()
                .map_or(Json::Null, |(_, table)| Shape::Table(table).placeholder(root)),
            Self::Either(options) => options
                .first()
                .map_or(Json::Null, |option| Shape::new(root, option).placeholder(root)),
        }
    }
}

/// What stands behind a reference; what an optional value is when it is there.
fn resolve<'a>(root: &'a Json, mut schema: &'a Json) -> &'a Json {
    loop {
        let target = schema
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|target| root.pointer(target.strip_prefix('#')?));
        let optional = schema.get("anyOf").and_then(Json::as_array).and_then(|options| {
            let mut real = options.iter().filter(|option| type_name(option) != Some("null"));
            real.next().filter(|_| real.next().is_none())
        });
        match target.or(optional) {
            Some(next) => schema = next,
            None => return schema,
        }
    }
}

fn type_name(schema: &Json) -> Option<&str> {
    match schema.get("type")? {
        Json::String(name) => Some(name),
        Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn one_of(options: &[Json]) -> Shape<'_> {
    let words: Vec<_> = options.iter().filter_map(|option| option.get("const")?.as_str()).collect();
    if words.len() == options.len() {
        return Shape::Choice(words);
    }
    let mut tag = "";
    let mut tables = Vec::new();
    for option in options {
        for (key, schema) in properties(option) {
            if let Some(word) = schema.get("const").and_then(Json::as_str) {
                tag = key;
                tables.push((word, option));
            }
        }
    }
    Shape::Tagged { tag, tables }
}

/// The keys of a table.
pub(in crate::config) fn properties(schema: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
}

/// One key of a table.
pub(in crate::config) fn property<'a>(schema: &'a Json, key: &str) -> Option<&'a Json> {
    schema.get("properties")?.get(key)
}

/// The keys that a table must have.
pub(in crate::config) fn required(schema: &Json) -> impl Iterator<Item = &str> {
    let keys = schema.get("required").and_then(Json::as_array);
    keys.into_iter().flatten().filter_map(Json::as_str)
}

/// A value to show as an example, as it stands in the file.
pub(in crate::config) fn example(root: &Json, schema: &Json) -> String {
    let own = |schema: &Json| {
        let examples = schema.get("examples").and_then(|examples| examples.get(0));
        let default = schema.get("default").filter(|default| !is_nothing(default));
        default.or(examples).map(written)
    };
    own(schema).or_else(|| own(resolve(root, schema))).unwrap_or_else(|| {
        match Shape::new(root, schema) {
            Shape::Choice(words) => format!("{:?}", words.first().copied().unwrap_or_default()),
            Shape::Integer { .. } | Shape::Number { .. } => "1".to_owned(),
            Shape::Boolean => "true".to_owned(),
            Shape::List(_) => "[\"...\"]".to_owned(),
            _ => "\"...\"".to_owned(),
        }
    })
}

/// Whether a default says nothing by itself.
pub(in crate::config) fn is_nothing(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Array(list) => list.is_empty(),
        Json::Object(table) => table.is_empty(),
        _ => false,
    }
}

/// A value as it stands in the file.
pub(in crate::config) fn written(json: &Json) -> String {
    match json {
        Json::Array(list) => {
            format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        _ => json.to_string(),
    }
}

/// `"a", "b" or "c"`.
pub(in crate::config) fn listed(words: &[&str], quote: char, and: &str) -> String {
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push_str(if at + 1 == words.len() { " " } else { ", " });
            if at + 1 == words.len() {
                out.push_str(and);
                out.push(' ');
            }
        }
        out.push(quote);
        out.push_str(word);
        out.push(quote);
    }
    out
}

#[cfg(test)]
mod tests;
