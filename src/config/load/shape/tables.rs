//! The tables of the file, by their keys.

use serde_json::Value as Json;

use crate::config::load::schema::{self, Format, Shape};

pub(super) fn title(path: &str, is_item: bool) -> String {
    if is_item { format!("[[{path}]]") } else { format!("[{path}]") }
}

pub(super) fn has_tables(root: &Json, items: &Json) -> bool {
    matches!(Shape::new(root, items), Shape::Table(_) | Shape::Tagged { .. })
}

pub(super) fn is_secret(root: &Json, items: &Json) -> bool {
    matches!(Shape::new(root, items), Shape::Text(Format::Secret))
}

/// The tables that have this key.
pub(super) fn tables_with(root: &Json, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect_tables(root, root, "", false, &mut |title, schema| {
        if schema::property(schema, key).is_some() && !title.is_empty() && !found.contains(&title) {
            found.push(title);
        }
    });
    found
}

pub(super) fn collect_tables(
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
        Shape::Tables(table) => collect_tables(root, table, &format!("{path}.NAME"), false, found),
        Shape::List(items) => collect_tables(root, items, path, true, found),
        _ => {}
    }
}
