#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::config::piece::pieces;

fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Each text, filled in.
fn fill(texts: &[&str], head: &Parts, content: Content<'_>) -> Vec<Option<String>> {
    let mut places = Places::default();
    let new = |text: &&str| Text::new(&pieces(text).unwrap(), &mut places).unwrap();
    let texts: Vec<_> = texts.iter().map(new).collect();
    let values = places.read(head, content).unwrap();
    texts.iter().map(|text| text.fill(&values).map(Cow::into_owned)).collect()
}

#[test]
fn each_place_is_read() {
    let head =
        head("/hooks/a?b=c%20d&e=1&e=2&f=", &[("x-one", "1"), ("x-two", "1"), ("x-two", "2")]);
    let json = br#"{"a":{"b":"c\u0064","n":12.50,"t":true,"z":null,"e":""},"l":[{"x":1}]}"#;
    let texts = [
        "{header:x-one}",
        "{header:x-two}",
        "{header:x-three}",
        "{query:b}",
        "{query:e}",
        "{query:f}",
        "{path}",
        "{/a/b}.{/a/n}-{/a/t}",
        "{/a/z}",
        "{/a/e}",
        "{/a}",
        "{/l/0/x}",
        "{member-other-than:a}",
        "literal",
    ];
    let filled = [
        Some("1"),
        None,
        None,
        Some("c d"),
        None,
        None,
        Some("/hooks/a"),
        Some("cd.12.50-true"),
        None,
        None,
        None,
        Some("1"),
        Some("l"),
        Some("literal"),
    ];
    let expected: Vec<_> = filled.iter().map(|text| text.map(str::to_owned)).collect();
    assert_eq!(fill(&texts, &head, Content::Json(json)), expected);
}

#[test]
fn fields_of_forms_are_read() {
    let head = head("/", &[]);
    let form = b"a=1&b=2&b=3&payload=%7B%22type%22%3A%22x%22%2C%22user%22%3A%7B%22id%22%3A7%7D%7D&c=%C3%A9+";
    let texts =
        ["{form:a}", "{form:b}", "{form:payload#/type}", "{form:payload#/user/id}", "{form:c}"];
    let filled = [Some("1"), None, Some("x"), Some("7"), Some("é ")];
    let expected: Vec<_> = filled.iter().map(|text| text.map(str::to_owned)).collect();
    assert_eq!(fill(&texts, &head, Content::Form(&Form::of(form).unwrap())), expected);
    // Nobody looks into it.
    assert_eq!(fill(&["{form:a}"], &head, Content::Unread), [None]);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let head = head("/", &[]);
    let mut places = Places::default();
    places.add(&Piece::Form("a".to_owned()));
    for wrong in [&b"{"[..], b"", b"{} {}", b"\xff", b"\xef\xbb\xbf{}"] {
        assert!(matches!(places.read(&head, Content::Json(wrong)), Err(Error::Json(_))));
    }
    places.add(&Piece::FormPointer("p".to_owned(), vec!["x".to_owned()]));
    let form = Form::of(b"p=%7B").unwrap();
    assert!(matches!(places.read(&head, Content::Form(&form)), Err(Error::Json(_))));
}
