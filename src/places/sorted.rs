//! The fields of a form in the order in which some providers sign them.

use super::fields::{Field, Form};

/// Names and values one behind the other: sorted by name, those of one name by value, each once.
pub fn sorted(form: &mut Form) -> Vec<u8> {
    let (sorted, are_distinct) = sort(form);
    form.set_distinct(are_distinct);
    sorted
}

/// The same, and whether all names differ.
fn sort(form: &Form) -> (Vec<u8>, bool) {
    let fields: Vec<Field<'_>> = form.fields().collect();
    let keys = fields.iter().enumerate().map(|(number, field)| key(field.name_bytes(), number));
    let mut order: Vec<u128> = keys.collect();
    // No two are the same. This way of sorting has less to do where some are in their order already.
    order.sort();
    let field = |key: &u128| fields[usize::from(*key as u16)];
    let mut are_distinct = true;
    let mut sorted = Vec::with_capacity(form.len());
    let mut add = |name: &[u8], value: &[u8]| {
        sorted.extend_from_slice(name);
        sorted.extend_from_slice(value);
    };
    for alike in order.chunk_by(|one, other| one >> 16 == other >> 16) {
        if let [only] = alike {
            let field = field(only);
            add(field.name_bytes(), field.value_bytes());
            continue;
        }
        are_distinct = false;
        let pair = |key| (field(key).name_bytes(), field(key).value_bytes());
        let mut alike: Vec<_> = alike.iter().map(pair).collect();
        alike.sort_unstable();
        alike.dedup();
        alike.iter().for_each(|(name, value)| add(name, value));
    }
    (sorted, are_distinct)
}

/// The first 14 bytes of a name as a number, which sorts like them and faster; behind them the number of its field, of
/// which there are no more than [`MAX_FIELDS`](super::MAX_FIELDS).
fn key(name: &[u8], number: usize) -> u128 {
    let filled = |word: u64, length: usize| if length == 0 { 0 } else { word << (64 - 8 * length) };
    let (high, low) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => {
            let low = match name.len() {
                16.. => name[8..].first_chunk().map_or(0, |word| u64::from_be_bytes(*word)),
                length => filled(u64::from_be_bytes(*last), length - 8),
            };
            (u64::from_be_bytes(*first), low)
        }
        _ => {
            let word = name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            (filled(word, name.len()), 0)
        }
    };
    (u128::from(high) << 64 | u128::from(low)) & !0xffff | number as u128
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sorted_text(text: &[u8]) -> Vec<u8> {
        sorted(&mut Form::of(text).unwrap_or_default())
    }

    #[test]
    fn fields_come_sorted_and_once() {
        let sorted = sorted_text(b"b=2&a=3&b=1&c=&a=3&%61=0+x&+=%2B");
        assert_eq!(String::from_utf8_lossy(&sorted), " +a0 xa3b1b2c");
    }

    proptest! {
        /// However long the names are, and whatever they have in common.
        #[test]
        fn the_order_is_that_of_names_and_values(
            all in prop::collection::vec(("[ab\u{0}]{0,3}(abcdefghijklm)?[ab\u{0}]{0,3}", "[x-z]{0,2}"), 0..12),
        ) {
            let text: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let set: BTreeSet<_> = all.iter().collect();
            let expected: String = set.iter().flat_map(|(name, value)| [&**name, value]).collect();
            let sorted = sorted_text(text.join("&").as_bytes());
            prop_assert_eq!(String::from_utf8_lossy(&sorted), expected);
        }
    }
}
