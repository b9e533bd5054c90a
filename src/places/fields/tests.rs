use proptest::prelude::*;

use super::*;

fn own(field: Field<'_>) -> (String, String) {
    (field.name().into_owned(), field.value().into_owned())
}

fn ours(text: &[u8]) -> Vec<(String, String)> {
    Form::of_query(text).fields().map(own).collect()
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
        for field in Form::of_query(text).fields() {
            prop_assert!(field.is(&field.name()) || field.name().contains(char::REPLACEMENT_CHARACTER));
            let (name, value) = own(field);
            let means_itself = |text: &String| crate::json::quote(text) == format!("\"{text}\"") && text.is_ascii();
            prop_assert!(!field.is_clean() || means_itself(&name) && means_itself(&value));
        }
        prop_assert_eq!(Form::of(text), Ok(Form::of_query(text)));
    }
}

#[test]
fn there_is_an_end_to_them() {
    let text = vec!["a=1"; MAX_FIELDS].join("&");
    assert_eq!(Form::of(text.as_bytes()).map(|form| form.fields().len()), Ok(MAX_FIELDS));
    assert!(Form::of(format!("{text}&&&").as_bytes()).is_ok());
    for more in ["&a=1", "&&&b"] {
        let text = format!("{text}{more}");
        assert_eq!(Form::of(text.as_bytes()), Err(Error::TooManyFields));
        assert_eq!(Form::of_query(text.as_bytes()).fields().len(), MAX_FIELDS);
    }
}
