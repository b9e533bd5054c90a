use proptest::prelude::*;

use super::*;

fn ours(text: &[u8]) -> Vec<(String, String)> {
    let own = |field: Field<'_>| (field.name().into_owned(), field.value().into_owned());
    Fields::of(text).map(own).collect()
}

fn theirs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

proptest! {
    /// As a library reads it that is made after the standard.
    #[test]
    fn fields_are_those_of_the_standard(text in "([a-c]|&|=|\\+|%4[0-9a-fA-F]|%[0-9a-g]?|é|%C3|%A9){0,24}") {
        let text = text.as_bytes();
        prop_assert_eq!(ours(text), theirs(text));
        for field in Fields::of(text) {
            prop_assert!(field.is(&field.name()));
        }
    }
}

#[test]
fn sorted_fields_come_once() {
    let sorted = Sorted::of(b"b=2&a=3&b=1&c=&a=3&%61=0+x");
    let parts: Vec<_> = sorted.parts().map(String::from_utf8_lossy).collect();
    assert_eq!(parts, ["a0 x", "a3", "b1", "b2", "c"]);
}

#[test]
fn there_is_an_end_to_them() {
    let many = |count: usize| vec!["a=1"; count].join("&");
    for (count, has_more) in [(MAX_FIELDS, false), (MAX_FIELDS + 1, true)] {
        let text = many(count);
        let mut fields = Fields::of(text.as_bytes());
        assert_eq!(fields.by_ref().count(), MAX_FIELDS);
        assert_eq!(fields.has_more(), has_more);
    }
}
