#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn every_part_has_to_fit() {
    let line = Webhook {
        endpoint: "vapi".into(),
        r#type: Some("tool-calls".into()),
        outcome: "fallback".into(),
        reason: Some("timeout".into()),
        ..Webhook::default()
    };
    let matches = |query: &str| Filter::read(query).unwrap().matches(&line);
    for query in [
        "",
        "endpoint=other&endpoint=va*",
        "type=tool-*&errors=true",
        "outcome=fallback",
        "outcome=time*",
        "errors=false&bodies=true",
    ] {
        assert!(matches(query), "{query}");
    }
    for query in ["endpoint=vap", "type=calls", "key=*", "outcome=stored", "endpoint="] {
        assert!(!matches(query), "{query}");
    }
    let stored = Webhook { outcome: "stored".into(), ..line };
    assert!(!Filter { errors: true, ..Filter::default() }.matches(&stored));
}

#[test]
fn a_query_says_all_of_it() {
    let filter = Filter {
        endpoints: vec!["a".into(), "b*".into()],
        types: vec!["c d&e=f".into()],
        keys: vec!["+%".into()],
        outcomes: vec!["stored".into()],
        errors: true,
        bodies: true,
    };
    assert_eq!(Filter::read(&filter.query()), Ok(filter));
    assert_eq!(Filter::read(""), Ok(Filter::default()));
    for query in ["types=a", "errors=yes", "bodies"] {
        assert!(Filter::read(query).is_err(), "{query}");
    }
}
