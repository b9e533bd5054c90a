#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

fn token(at: &str, prefix: &str) -> Token {
    let settings = provider::Token { at: at.to_owned(), prefix: prefix.to_owned() };
    let secrets = [Secret::new("old"), Secret::new("new"), Secret::new("")];
    Token::new(&settings, &secrets).unwrap()
}

#[test]
fn a_head_holds_it_once() {
    let head = |uri: &str, headers: &[&str]| {
        let mut request = http::Request::post(uri);
        for value in headers {
            request = request.header("x-token", *value);
        }
        request.body(()).unwrap().into_parts().0
    };
    let in_header = token("{header:x-token}", "Bearer ");
    let accepts = |headers: &[&str]| in_header.head(&head("/", headers));
    assert_eq!(accepts(&["Bearer new"]), Ok(1));
    for (headers, cause) in [
        (&[][..], Cause::Missing),
        (&["Bearer "], Cause::Mismatch),
        (&["Bearer newer"], Cause::Mismatch),
        (&["new"], Cause::Malformed),
        (&["Bearer new", "Bearer new"], Cause::Malformed),
    ] {
        assert_eq!(accepts(headers), Err(cause), "{headers:?}");
    }
    let in_query = token("{query:token}", "");
    assert_eq!(in_query.head(&head("/?token=old", &[])), Ok(0));
    assert_eq!(in_query.head(&head("/?token=old&token=old", &[])), Err(Cause::Malformed));
    assert_eq!(in_query.head(&head("/?token=", &[])), Err(Cause::Missing));
}

#[test]
fn all_elements_of_a_body_hold_it() {
    let every = token("{/value/*/clientState}", "");
    let accepts = |body: &str| every.body(body.as_bytes());
    assert_eq!(accepts(r#"{"value":[{"clientState":"new"},{"clientState":"old"}]}"#), Ok(0));
    for (body, cause) in [
        (r#"{"value":[{"clientState":"new"},{"clientState":"other"}]}"#, Cause::Mismatch),
        (r#"{"value":[{"clientState":"other"},{"clientState":"new"}]}"#, Cause::Mismatch),
        (r#"{"value":[{"clientState":"new"},{}]}"#, Cause::Missing),
        (r#"{"value":[{"clientState":"new"}, 3]}"#, Cause::Missing),
        (r#"{"value":[{"clientState":"other","clientState":"new"}]}"#, Cause::Mismatch),
        (r#"{"value":[{"clientState":["new"]}]}"#, Cause::Missing),
        (r#"{"value":[]}"#, Cause::Missing),
        (r#"{"value":{"clientState":"new"}}"#, Cause::Missing),
        ("{}", Cause::Missing),
        (r#"{"value":[{"clientState":"new"}]"#, Cause::Malformed),
    ] {
        assert_eq!(accepts(body), Err(cause), "{body}");
    }
}
