//! The tables of keys in `docs/configuration.md`, made from the types.
//!
//! The prose is written by hand; between `<!-- keys: Type -->` and `<!-- end -->` stands what the
//! doc comments, types and defaults say. A test compares, and `UPDATE_DOCS=1 cargo test` rewrites.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::cell::Cell;
use std::fmt::Write;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Visitor, value};
use serde_json::Value as Json;

use super::load::schema::{self, Format, Shape};
use super::provider;

/// The tables of the file, and the keys of each in the order of the types.
fn tables() -> [(&'static str, &'static [&'static str]); 30] {
    [
        ("Http", keys::<super::Http>()),
        ("Admin", keys::<super::Admin>()),
        ("Tail", keys::<super::Tail>()),
        ("Tls", keys::<super::Tls>()),
        ("Log", keys::<super::Log>()),
        ("Otlp", keys::<super::Otlp>()),
        ("Spool", keys::<super::Spool>()),
        ("Nats", keys::<super::Nats>()),
        ("Stream", keys::<super::Stream>()),
        ("Kafka", keys::<super::Kafka>()),
        ("Topic", keys::<super::Topic>()),
        ("Endpoint", keys::<super::Endpoint>()),
        ("Auth", &["kind"]),
        ("Auth.secret", &["header", "prefix", "secrets"]),
        ("Auth.basic", &["user", "passwords"]),
        ("Auth.signature", keys::<super::Signature>()),
        ("Auth.hmac", keys::<super::Hmac>()),
        ("Auth.jwt", keys::<super::Jwt>()),
        ("EventRule", keys::<super::EventRule>()),
        ("QuestionRule", keys::<super::QuestionRule>()),
        ("ToolRule", keys::<super::ToolRule>()),
        ("Provider", keys::<super::Provider>()),
        ("TypeRule", keys::<provider::TypeRule>()),
        ("Scheme", keys::<super::scheme::Scheme>()),
        ("Token", keys::<provider::Token>()),
        ("BoundJwt", keys::<provider::BoundJwt>()),
        ("Asking", keys::<provider::Asking>()),
        ("Acknowledge", keys::<provider::Acknowledge>()),
        ("Refuse", keys::<provider::Refuse>()),
        ("Handshake", keys::<provider::Handshake>()),
    ]
}

#[test]
fn the_reference_says_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let before = std::fs::read_to_string(&path).unwrap();
    let root = schema::json();
    let mut after = before.clone();
    for (name, keys) in tables() {
        let start = format!("<!-- keys: {name} -->\n");
        let Some(from) = after.find(&start).map(|at| at + start.len()) else {
            panic!("docs/configuration.md has no keys of {name}");
        };
        let to = from + after[from..].find("<!-- end -->").unwrap();
        after.replace_range(from..to, &table(root, name, keys));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &after).unwrap();
    }
    assert!(
        before == after || std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/configuration.md is not what the types say; run `UPDATE_DOCS=1 cargo test reference`"
    );
}

/// A type, or one of several tables by the word that tells it from the others.
fn definition<'a>(root: &'a Json, name: &str) -> &'a Json {
    let Some((name, word)) = name.split_once('.') else {
        return &root["$defs"][name];
    };
    let options = root["$defs"][name]["oneOf"].as_array().unwrap();
    let is_it = |option: &&Json| option["properties"]["kind"]["const"] == word;
    options.iter().find(is_it).unwrap()
}

fn table(root: &Json, name: &str, keys: &[&str]) -> String {
    let definition = definition(root, name);
    let mut out = "\n| Key | Type | Default | |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        // Of a table that is one of several: from the first that has the key.
        let options =
            definition["oneOf"].as_array().map_or(std::slice::from_ref(definition), Vec::as_slice);
        let table = options.iter().find(|table| schema::property(table, key).is_some()).unwrap();
        let property = schema::property(table, key).unwrap();
        let is_tag = property.get("const").is_some();
        let default = match property.get("default").filter(|default| !schema::is_nothing(default)) {
            Some(default) => format!("`{}`", schema::written(default)),
            None if schema::required(table).any(|needed| needed == *key) => "required".to_owned(),
            None => "none".to_owned(),
        };
        let (kind, text) = if is_tag {
            let options = options.iter().map(|option| {
                let word = &option["properties"][*key]["const"];
                format!("`{word}`: {}", sentence(&option["description"]))
            });
            ("word".to_owned(), options.collect::<Vec<_>>().join(" "))
        } else {
            (type_of(root, property), sentence(&property["description"]) + &choices(root, property))
        };
        writeln!(out, "| `{key}` | {kind} | {default} | {} |", text.replace('|', "\\|")).unwrap();
    }
    out.push('\n');
    out
}

fn type_of(root: &Json, schema: &Json) -> String {
    match Shape::new(root, schema) {
        Shape::Any => "any value".to_owned(),
        Shape::Text(format) => match format {
            Format::Plain => "text",
            Format::Secret => "secret text",
            Format::Time => "time",
            Format::Size => "size",
            Format::Rate => "rate",
            Format::Address => "address",
            Format::File => "file",
        }
        .to_owned(),
        Shape::Choice(words) if words.len() == 1 => format!("`{:?}`", words[0]),
        Shape::Choice(_) => "word".to_owned(),
        Shape::Integer { .. } | Shape::Number { .. } => "number".to_owned(),
        Shape::Boolean => "true, false".to_owned(),
        Shape::List(items) => match Shape::new(root, items) {
            Shape::Table(_) | Shape::Tagged { .. } => "tables".to_owned(),
            _ => format!("list of {}s", type_of(root, items)),
        },
        Shape::Texts => "table of texts".to_owned(),
        Shape::Table(_) | Shape::Tagged { .. } => "table".to_owned(),
        Shape::Tables(_) => "tables by name".to_owned(),
        Shape::Either(options) => {
            let options = options.iter().map(|option| type_of(root, option));
            options.collect::<Vec<_>>().join(", or ")
        }
    }
}

/// What each word of a choice means.
fn choices(root: &Json, schema: &Json) -> String {
    let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    let definition = name.and_then(|name| root.pointer(name)).unwrap_or(schema);
    let mut out = String::new();
    for option in definition["oneOf"].as_array().into_iter().flatten() {
        if let Some(word) = option.get("const") {
            write!(out, " `{word}`: {}", sentence(&option["description"])).unwrap();
        }
    }
    out
}

fn sentence(description: &Json) -> String {
    description.as_str().unwrap_or_default().replace('\n', " ")
}

/// The keys of a type as serde knows them, in the order of its fields.
fn keys<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Ask<'a>(&'a Cell<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
            visitor.visit_unit()
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, value::Error> {
            self.0.set(fields);
            visitor.visit_unit()
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
            unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let fields = Cell::new(&[][..]);
    let _ = T::deserialize(Ask(&fields));
    fields.get()
}
