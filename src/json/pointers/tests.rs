#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn read<'a>(pointers: &[&str], document: &'a str) -> Vec<Option<&'a str>> {
    let mut all = Pointers::default();
    for pointer in pointers {
        let keys: Vec<_> = pointer.split('/').skip(1).map(str::to_owned).collect();
        all.add(&keys);
    }
    let mut values = vec![None; all.count()];
    let mut reader = Reader::new(document.as_bytes()).unwrap();
    let mut found = |number: usize, what| {
        values[number] = match what {
            Found::Value(value) => Some(value),
            Found::Missing => Some("missing"),
            Found::Again => None,
        }
    };
    all.read(&mut reader, &mut found).unwrap();
    reader.end().unwrap();
    values
}

#[test]
fn members_are_found_in_one_pass() {
    let document = r#"{"a": {"b": 1, "c": [10, {"d": "x"}]}, "e": null, "\u0066": true}"#;
    assert_eq!(
        read(&["/a/b", "/a/c/1/d", "/e", "/f", "/a", "/nope", "/a/b/c", "/a/c/01"], document),
        [
            Some("1"),
            Some("\"x\""),
            Some("null"),
            Some("true"),
            Some(r#"{"b": 1, "c": [10, {"d": "x"}]}"#),
            None,
            None,
            None,
        ]
    );
    assert_eq!(read(&["/0", "/x"], "[1, 2]"), [Some("1"), None]);
    assert_eq!(read(&["/a"], "7"), [None]);
}

/// As in JavaScript, Python and Go: and what the first one held below doesn't count either.
#[test]
fn the_last_of_two_counts() {
    assert_eq!(read(&["/a"], r#"{"a":1,"a":2}"#), [Some("2")]);
    assert_eq!(read(&["/a/b"], r#"{"a":{"b":1},"a":{}}"#), [None]);
    assert_eq!(read(&["/a/b"], r#"{"a":{"b":1},"a":3}"#), [None]);
}

#[test]
fn every_element_is_told() {
    let every = |document: &str| {
        let mut all = Pointers::default();
        all.add(&["v".to_owned(), "*".to_owned(), "s".to_owned()]);
        let mut told = Vec::new();
        let mut reader = Reader::new(document.as_bytes()).unwrap();
        let mut found = |_, what: Found<'_>| match what {
            Found::Value(value) => told.push(value.to_owned()),
            Found::Missing => told.push("missing".to_owned()),
            Found::Again => {}
        };
        all.read(&mut reader, &mut found).unwrap();
        told
    };
    assert_eq!(every(r#"{"v":[{"s":"a"},{"s":"b"}]}"#), ["\"a\"", "\"b\""]);
    assert_eq!(every(r#"{"v":[{"s":"a"},{}, 3]}"#), ["\"a\"", "missing", "missing"]);
    assert_eq!(every(r#"{"v":[]}"#), [""; 0]);
    assert_eq!(every(r#"{"v":{"s":"a"}}"#), [""; 0]);
}
