use super::*;

#[test]
fn lists_read_well() {
    assert_eq!(listed(&["a"], '"', "or"), "\"a\"");
    assert_eq!(listed(&["a", "b", "c"], '`', "and"), "`a`, `b` and `c`");
}

#[test]
fn the_schema_says_the_defaults() {
    let schema = json();
    let default =
        |table: &str, key: &str| schema["$defs"][table]["properties"][key]["default"].clone();
    assert_eq!(default("Http", "keep_alive"), "75s");
    assert_eq!(default("Http", "max_body"), "8MiB");
    assert_eq!(default("Log", "format"), "text");
    assert_eq!(default("Stream", "duplicate_window"), "2m");
}

#[test]
fn every_key_has_a_description() {
    let schema = json();
    for (name, table) in schema["$defs"].as_object().into_iter().flatten() {
        for (key, property) in properties(table) {
            assert!(property.get("description").is_some(), "{name}.{key}");
        }
    }
}
