#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;

fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn secrets(values: &[&str]) -> Vec<config::secret::Secret> {
    values.iter().map(|value| config::secret::Secret::new(*value)).collect()
}

#[test]
fn one_header_with_one_of_the_secrets_is_let_in() {
    let secret = Secret::new("X-Vapi-Secret", "", &secrets(&["old", "new"]));
    let headers = |values: &[&str]| headers("x-vapi-secret", values);
    assert_eq!(secret.accepts(&headers(&["old"])), Ok(0));
    assert_eq!(secret.accepts(&headers(&["new"])), Ok(1));
    for (wrong, cause) in [
        (&[][..], Cause::Missing),
        (&[""], Cause::Mismatch),
        (&["ol"], Cause::Mismatch),
        (&["oldx"], Cause::Mismatch),
        (&["old", "old"], Cause::Malformed),
        (&["x", "old"], Cause::Malformed),
    ] {
        assert_eq!(secret.accepts(&headers(wrong)), Err(cause), "{wrong:?}");
    }
}

/// The one that is found first doesn't end the search, nor does one that is there twice undo it.
#[test]
fn all_secrets_are_looked_at() {
    for (known, expected) in [(0..1, Some(0)), (2..3, Some(2)), (1..3, Some(1)), (9..10, None)] {
        let mut looked_at = Vec::new();
        let found = find(0..3, |one| {
            looked_at.push(one);
            known.contains(&one)
        });
        assert_eq!((found, looked_at), (expected, vec![0, 1, 2]));
    }
}

#[test]
fn a_prefix_belongs_to_the_value() {
    let secret = Secret::new("authorization", "Bearer ", &secrets(&["s"]));
    let headers = |value| headers("authorization", &[value]);
    assert_eq!(secret.accepts(&headers("Bearer s")), Ok(0));
    for wrong in ["s", "bearer s", "Bearer  s", "Bearer "] {
        assert_eq!(secret.accepts(&headers(wrong)), Err(Cause::Mismatch), "{wrong}");
    }
}

#[test]
fn a_name_and_a_password() {
    let basic = Secret::basic("vapi", &secrets(&["open sesame", "p:w"]));
    let headers = |value| headers("authorization", &[value]);
    // RFC 7617's form, made by another program.
    assert_eq!(basic.accepts(&headers("Basic dmFwaTpvcGVuIHNlc2FtZQ==")), Ok(0));
    assert_eq!(basic.accepts(&headers("Basic dmFwaTpwOnc=")), Ok(1));
    assert_eq!(basic.accepts(&headers("Basic dmFwaTp3cm9uZw==")), Err(Cause::Mismatch));
}
