//! Any bytes as a form and as a query: each field is what it is by the rules of the WHATWG, one that comes twice has no
//! value, and JSON in a field is read as serde_json reads it. What a worker gets holds all of them, and what is signed is
//! in order.

#![no_main]

use hookbus::config::piece::pieces;
use std::collections::{BTreeMap, BTreeSet};

use hookbus::places::{Content, Form, MAX_FIELDS, Places, Text, object, sorted};
use hookbus_fuzz::{Object, Opinion, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|form: &[u8]| {
    let mut places = Places::default();
    let mut text =
        |text: &str| Text::new(&pieces(text).expect("pieces"), &mut places).expect("places");
    let texts = ["a", "b", "p"].map(|name| (name, text(&format!("{{form:{name}}}"))));
    let inner = text("{form:p#/a}");
    let (head, ()) = http::Request::new(()).into_parts();
    let bytes = decode(form);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields: Vec<_> = bytes.iter().map(|(name, value)| (text(name), text(value))).collect();
    let Ok(mut found) = Form::of(form) else {
        assert!(fields.len() > MAX_FIELDS);
        return;
    };
    assert!(fields.len() <= MAX_FIELDS);
    let (begin, end) = form.split_at(form.len() / 2);
    is_object(&Form::of_query(begin), &Form::of_query(end), &[decode(begin), decode(end)].concat());
    is_object(&Form::default(), &found, &bytes);
    let in_order: BTreeSet<_> = bytes.iter().collect();
    let in_order: Vec<u8> =
        in_order.into_iter().flat_map(|(name, value)| [&**name, value].concat()).collect();
    assert_eq!(sorted(&mut found), in_order);
    // The order may have shown that no name comes twice.
    is_object(&Form::default(), &found, &bytes);
    let values = match places.read(&head, Content::Form(&found)) {
        Ok(values) => values,
        Err(error) => {
            let json = only(&fields, "p").map(|text| read::<Object<'_>>(&text).yes().is_some());
            assert!(json != Some(true), "{error}: {fields:?}");
            return;
        }
    };
    for (name, text) in &texts {
        assert_eq!(text.fill(&values).map(|text| text.into_owned()), only(&fields, name), "{name}");
    }
    let Some(document) = only(&fields, "p") else {
        assert_eq!(inner.fill(&values), None);
        return;
    };
    let Opinion::Yes(object) = read::<Object<'_>>(&document) else { return };
    let member = object.get("a").map(|value| value.get());
    if let Some(Opinion::Yes(expected)) = member.map(read::<String>) {
        let expected = Some(expected).filter(|text| !text.is_empty());
        assert_eq!(inner.fill(&values).map(|text| text.into_owned()), expected);
    }
    if member.is_none() {
        assert_eq!(inner.fill(&values), None);
    }
});

/// Whether the object has the fields as its members, and those of one name in their order.
fn is_object(query: &Form, form: &Form, fields: &[(Vec<u8>, Vec<u8>)]) {
    let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in fields {
        let name = String::from_utf8_lossy(name);
        expected.entry(name).or_default().push(String::from_utf8_lossy(value));
    }
    let json = object(query, form);
    let found: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&json).expect("an object");
    assert_eq!(found.len(), expected.len());
    for (name, values) in expected {
        match (&found[&*name], &*values) {
            (serde_json::Value::String(found), [value]) => assert_eq!(found, value),
            (found, values) => assert_eq!(*found, serde_json::json!(values), "{name}"),
        }
    }
}

/// Names and values (WHATWG URL, §5.1).
fn decode(form: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
        (percent(name), percent(value))
    });
    pairs.collect()
}

fn percent(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
        at += 1;
    }
    bytes
}

/// The value of a field that comes once; empty ones before it are as if they weren't there.
fn only(fields: &[(String, String)], name: &str) -> Option<String> {
    let mut values = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
    let value = values.find(|value| !value.is_empty())?;
    values.next().is_none().then(|| value.clone())
}
