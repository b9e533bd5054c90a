use proptest::prelude::*;

use super::*;

fn own(field: Field<'_>) -> (String, String) {
    (field.name().into_owned(), field.value().into_owned())
}

fn ours(text: &[u8]) -> Vec<(String, String)> {
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
        let form = Form::of(text).unwrap_or_default();
        let again: Vec<_> = form.fields(text).map(own).collect();
        prop_assert_eq!(again, ours(text));
    }
}

#[test]
fn there_is_an_end_to_them() {
    let many = |count: usize| vec!["a=1"; count].join("&");
    for (count, has_more) in [(MAX_FIELDS, false), (MAX_FIELDS + 1, true)] {
        let text = many(count);
        let mut fields = Fields::of(text.as_bytes());
        assert_eq!(fields.by_ref().count(), MAX_FIELDS);
        assert_eq!(fields.has_more(), has_more);
        assert_eq!(Form::of(text.as_bytes()).is_none(), has_more);
    }
}
