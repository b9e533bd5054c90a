//! A form as JSON, for workers that know nothing of forms.

use super::fields::{Field, Form};
use crate::json::quote;

/// The fields of a query and of a form as one JSON object; one that comes several times is a list.
pub fn object(query: &Form, form: &Form) -> Vec<u8> {
    let mut fields: Vec<Field<'_>> = query.fields().chain(form.fields()).collect();
    let is_known = query.is_empty() && form.are_distinct();
    let are_distinct = is_known && fields.iter().all(is_plain) || are_distinct(&fields);
    if !are_distinct {
        // Those of one name stay in their order.
        fields.sort_by_cached_key(Field::name);
    }
    let mut object = Vec::with_capacity(query.len() + form.len() + 4 * fields.len() + 64);
    for of_one_name in fields.chunk_by(|one, other| !are_distinct && one.name() == other.name()) {
        match of_one_name {
            // Mostly it is this, for which nothing has to be looked at any more.
            [field] if field.is_clean() => {
                object.extend_from_slice(b",\"");
                object.extend_from_slice(field.name_bytes());
                object.extend_from_slice(b"\":\"");
                object.extend_from_slice(field.value_bytes());
                object.push(b'"');
            }
            alike => members(alike, &mut object),
        }
    }
    match object.first_mut() {
        Some(comma) => *comma = b'{',
        None => object.push(b'{'),
    }
    object.push(b'}');
    object
}

/// A comma and the member that fields of one name become.
fn members(alike: &[Field<'_>], object: &mut Vec<u8>) {
    let Some(first) = alike.first() else { return };
    let values = alike.iter().map(|field| quote(&field.value())).collect::<Vec<_>>().join(",");
    let values = if alike.len() > 1 { format!("[{values}]") } else { values };
    object.extend_from_slice(format!(",{}:{values}", quote(&first.name())).as_bytes());
}

/// Places that are looked at for one name: with more there are other names in them on purpose.
const STEPS: usize = 16;

/// Whether it is plain to see that all names differ: mostly they do.
fn are_distinct(fields: &[Field<'_>]) -> bool {
    // The number of a field and one more, in the first free place from that of its name on.
    let mut places = vec![0_u16; (2 * fields.len() + 1).next_power_of_two()];
    fields.iter().zip(1..).all(|(field, number)| {
        let name = field.name_bytes();
        let begin = place(name);
        let free = (begin..begin + STEPS).find_map(|at| {
            let at = at & (places.len() - 1);
            match usize::from(places[at]).checked_sub(1) {
                None => Some(Some(at)),
                Some(known) if fields[known].name_bytes() == name => Some(None),
                Some(_) => None,
            }
        });
        let free = free.flatten().filter(|_| is_plain(field));
        free.map(|at| places[at] = number).is_some()
    })
}

/// Whether the name differs as a text where its bytes do: some bytes that are none of a text become the same.
fn is_plain(field: &Field<'_>) -> bool {
    field.is_clean() || field.name_bytes().is_ascii()
}

/// Where a name is looked for.
fn place(name: &[u8]) -> usize {
    let word = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(24)
        }
        _ => name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let mixed = (word ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn json(query: &str, form: &str) -> String {
        let form = Form::of(form.as_bytes()).unwrap_or_default();
        String::from_utf8(object(&Form::of_query(query.as_bytes()), &form)).unwrap_or_default()
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
