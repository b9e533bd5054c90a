use super::*;

fn all(body: &str) -> Vec<String> {
    let forms = forms(body.as_bytes());
    forms.map(|(form, _)| String::from_utf8_lossy(&form).into_owned()).collect()
}

#[test]
fn bodies_as_they_may_have_been() {
    let body = "{ \"a\": [1, {}], \"b\":\"\u{f8}, /\" }\n";
    let found = all(body);
    for form in [
        "{ \"a\": [1, {}], \"b\":\"\u{f8}, /\" }",
        "{ \"a\": [1, {}], \"b\":\"\u{f8}, /\" }\r\n",
        "{\"a\":[1,{}],\"b\":\"\u{f8}, /\"}",
        "{\"a\": [1, {}], \"b\": \"\u{f8}, /\"}",
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"\u{f8}, /\"\n}",
        "{\"a\":[1,{}],\"b\":\"\\u00f8, /\"}",
        "{\"a\":[1,{}],\"b\":\"\u{f8}, \\/\"}",
    ] {
        assert!(found.iter().any(|known| known == form), "{form} is not in {found:#?}");
    }
    assert!(!found.iter().any(|form| form == body), "what was tried is not tried again");
}

#[test]
fn what_is_no_json_has_other_line_breaks_only() {
    assert_eq!(all("a=1"), ["a=1\n", "a=1\r\n"]);
    assert_eq!(all("a\r\nb"), ["a\r\nb\n", "a\r\nb\r\n", "a\nb"]);
    assert_eq!(all("a\nb"), ["a\nb\n", "a\nb\r\n", "a\r\nb"]);
}
