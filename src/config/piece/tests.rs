use proptest::prelude::*;

use super::*;

#[test]
fn a_text_is_pieces() {
    let text = |text: &str| Piece::Text(text.to_owned());
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    for (written, expected) in [
        ("", vec![]),
        ("v0:{time}.{body}", vec![text("v0:"), Piece::Time, text("."), Piece::Body]),
        ("{/data/a~1b~0}", vec![Piece::Pointer(keys(&["data", "a/b~"]))]),
        (
            "{header:X-Id}{pair:t}",
            vec![Piece::Header("x-id".to_owned()), Piece::Pair("t".to_owned())],
        ),
        ("{query:a:b}", vec![Piece::Query("a:b".to_owned())]),
        (
            "{form:payload#/user/id}",
            vec![Piece::FormPointer("payload".to_owned(), keys(&["user", "id"]))],
        ),
        ("{member-other-than:a,b}", vec![Piece::MemberOtherThan(keys(&["a", "b"]))]),
        (
            "{sha256-hex:query:code+secret+url}",
            vec![Piece::Hashed(
                Hash::Sha256Hex,
                vec![Piece::Query("code".to_owned()), Piece::Secret, Piece::Url],
            )],
        ),
    ] {
        assert_eq!(pieces(written), Ok(expected), "{written}");
    }
    for wrong in
        ["{Body}", "{}", "{header:}", "{header:a b}", "{cookie:a}", "{form:}", "{form:#/a}"]
    {
        assert_eq!(pieces(&format!("a{wrong}b")), Err(wrong.to_owned()));
    }
    assert_eq!(pieces("a{body"), Err("{body".to_owned()));
}

#[test]
fn what_is_in_square_brackets_is_optional() {
    let text = |text: &str| Piece::Text(text.to_owned());
    let query = Piece::Query("id".to_owned());
    for (written, expected) in [
        ("", vec![]),
        ("a{body}", vec![text("a"), Piece::Body]),
        (
            "[id:{query:id};]ts:",
            vec![Piece::Optional(vec![text("id:"), query.clone(), text(";")]), text("ts:")],
        ),
        (
            "{/a[0]}[{query:id}]",
            vec![Piece::Pointer(vec!["a[0]".to_owned()]), Piece::Optional(vec![query])],
        ),
        ("a]", vec![text("a]")]),
    ] {
        assert_eq!(signed_pieces(written).as_ref(), Ok(&expected), "{written}");
        let again: String = expected.iter().map(ToString::to_string).collect();
        assert_eq!(again, written);
    }
    assert_eq!(signed_pieces("a[{body}"), Err("[{body}".to_owned()));
    assert_eq!(signed_pieces("[{bodyy}]"), Err("{bodyy}".to_owned()));
}

#[test]
fn braces_of_json_are_text() {
    let text = r#"{"a":{},"b":"{/b}"}"#;
    let all = pieces_in_json(text);
    let b = Piece::Pointer(vec!["b".to_owned()]);
    let around = |text: &str| Piece::Text(text.to_owned());
    assert_eq!(all, Ok(vec![around(r#"{"a":{},"b":""#), b, around(r#""}"#)]));
    assert_eq!(pieces_in_json("{bodyy}"), Err("{bodyy}".to_owned()));
}

proptest! {
    #[test]
    fn the_pieces_are_the_text(
        text in "([a-z.: ]|\\{body\\}|\\{/[a-z]{0,2}(/~[01])?\\}|\\{form:[a-z]\\}|\\{time\\}|\\{|\\}){0,8}",
    ) {
        match pieces(&text) {
            Ok(pieces) => {
                let all: String = pieces.iter().map(ToString::to_string).collect();
                prop_assert_eq!(all, text);
            }
            Err(unknown) => {
                let is_placeholder = unknown.starts_with('{') && text.contains(&unknown);
                prop_assert!(is_placeholder, "{}", unknown);
            }
        }
    }
}
