#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;

use super::*;

/// The type and the id of a request with these headers, where these count unsigned.
fn classify(headers: &[(&str, &str)], trusted: &[&str]) -> Option<(String, Option<String>)> {
    let mut request = http::Request::post("/hook");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let trusted: Vec<_> = trusted.iter().map(|name| (*name).to_owned()).collect();
    let request = Request { head: &head, body: &Bytes::from_static(b"payload=%7B%7D") };
    let classified = Github::new(&trusted).classify(request).ok()?;
    assert!(matches!(classified.meaning, Meaning::Event));
    let id = classified.delivery_id.map(|id| id.to_string());
    Some((classified.metadata.kind.to_string(), id))
}

#[test]
fn headers_say_the_type_and_the_delivery() {
    let headers = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "72d3162e")];
    let push = |id: Option<&str>| Some(("push".to_owned(), id.map(str::to_owned)));
    assert_eq!(classify(&headers, &["x-github-event"]), push(None));
    assert_eq!(classify(&headers, &["X-GitHub-Delivery"]), push(Some("72d3162e")));
    assert_eq!(classify(&headers[..1], &["x-github-delivery"]), push(None));
}

#[test]
fn without_one_type_it_is_no_webhook() {
    for headers in [
        &[][..],
        &[("x-github-event", "")],
        &[("x-github-event", "push"), ("x-github-event", "ping")],
        &[("x-github-delivery", "72d3162e")],
    ] {
        assert_eq!(classify(headers, &[]), None, "{headers:?}");
    }
}
