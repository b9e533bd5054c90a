//! A form as JSON, for workers that know nothing of forms.

use hashbrown::HashSet;

use super::fields::{Field, Fields, Form, decode_into, with_blanks};
use crate::json::quote;

/// The fields of a query and of a form as one JSON object; one that comes several times is a list.
pub fn object(query: &[u8], text: &[u8], form: &Form) -> Vec<u8> {
    let is_clean = !query.iter().chain(text).fold(false, |found, byte| found | is_special(*byte));
    let (query, text) = (with_blanks(query), with_blanks(text));
    let mut fields: Vec<Field<'_>> = Fields::of(&query).chain(form.fields(&text)).collect();
    let are_distinct = are_distinct(&fields);
    if !are_distinct {
        // Those of one name stay in their order.
        fields.sort_by_cached_key(Field::name);
    }
    let mut object = Vec::with_capacity((query.len() + text.len()) * 5 / 4 + 64);
    object.push(b'{');
    for of_one_name in fields.chunk_by(|one, other| !are_distinct && one.name() == other.name()) {
        let [first, ..] = of_one_name else { continue };
        if object.len() > 1 {
            object.push(b',');
        }
        quoted(first.written_name(), is_clean, &mut object);
        object.push(b':');
        let is_list = of_one_name.len() > 1;
        if is_list {
            object.push(b'[');
        }
        for (at, field) in of_one_name.iter().enumerate() {
            if at > 0 {
                object.push(b',');
            }
            quoted(field.written_value(), is_clean, &mut object);
        }
        if is_list {
            object.push(b']');
        }
    }
    object.push(b'}');
    object
}

/// Whether all names differ as they are written, and stand for themselves: mostly they do.
fn are_distinct(fields: &[Field<'_>]) -> bool {
    let mut names = HashSet::with_capacity(fields.len());
    fields.iter().all(|field| field.is_plain() && names.insert(field.written_name()))
}

/// A byte that may have to be escaped, or is a part of a character that may not be whole.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x80 || byte == b'"' || byte == b'\\'
}

/// Decodes a text as a JSON string. One that `is_clean` has nothing special as it is written, but perhaps behind a `%`.
#[inline]
fn quoted(written: &[u8], is_clean: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    let (begin, mut is_clean) = (out.len(), is_clean);
    decode_into(written, out, |byte| is_clean &= !is_special(byte));
    match is_clean {
        true => out.push(b'"'),
        false => {
            let json = quote(&String::from_utf8_lossy(&out[begin..]));
            out.truncate(begin - 1);
            out.extend_from_slice(json.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn json(query: &str, form: &str) -> String {
        let form = (form.as_bytes(), Form::of(form.as_bytes()).unwrap_or_default());
        String::from_utf8(object(query.as_bytes(), form.0, &form.1)).unwrap_or_default()
    }

    #[test]
    fn fields_become_one_object() {
        assert_eq!(json("", ""), "{}");
        assert_eq!(json("q=%2B", "b=1+2&a="), r#"{"q":"+","b":"1 2","a":""}"#);
        assert_eq!(json("a=1&b=", "%61=2&c=%22x%22"), r#"{"a":["1","2"],"b":"","c":"\"x\""}"#);
    }

    proptest! {
        /// As a library reads it, whatever has to be escaped.
        #[test]
        fn an_object_holds_what_a_form_does(
            form in "(a|b|&|=|\\+|%6[0-9a-f]|%[0-9a-g]?|é|%C3|%A9|%22|%5C|%0[0-9A-F]|\"|\\\\|\t){0,24}",
        ) {
            let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (name, value) in form_urlencoded::parse(form.as_bytes()).into_owned() {
                expected.entry(name).or_default().push(value);
            }
            let single = |values: Vec<String>| match <[String; 1]>::try_from(values) {
                Ok([value]) => serde_json::Value::from(value),
                Err(values) => values.into(),
            };
            let expected = expected.into_iter().map(|(name, values)| (name, single(values)));
            let expected = serde_json::Value::Object(expected.collect());
            let read: serde_json::Value = serde_json::from_str(&json("", &form)).unwrap_or_default();
            prop_assert_eq!(read, expected);
        }
    }
}
