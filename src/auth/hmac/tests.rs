#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

/// However a body is split, its signature is the same; wherever it stands in what is signed.
#[test]
fn pieces_are_signed_like_the_whole() {
    let body = b"{\"message\":{\"type\":\"hang\"}}".repeat(50);
    for format in [
        "{body}",
        "v0:{timestamp}.{body}",
        "{body}{url}",
        "{svix-id}{body}.{method}",
        "{body}.{body}",
    ] {
        let text = format!(
            "secrets = [\"old\", \"new\"]\npayload_format = \"{format}\"\ninclude_timestamp = {}",
            format.contains("{timestamp}")
        );
        let settings = toml::from_str(&text).unwrap();
        let hmac = Hmac::new(&settings, None, &[]);
        let headers = hmac.sign(&Method::POST, "https://test/vapi", &body).unwrap();
        let (mut head, ()) = http::Request::post("/vapi").body(()).unwrap().into_parts();
        head.headers = headers;
        head.headers.insert(header::HOST, HeaderValue::from_static("test"));
        for sizes in [&[][..], &[1], &[7, 900, 3], &[1400], &[1349, 1]] {
            let verify = |body: &[u8]| {
                let mut signed = hmac.head(&head).unwrap();
                let mut rest = body;
                for size in sizes {
                    let (part, after) = rest.split_at((*size).min(rest.len()));
                    signed.part(&head, part);
                    rest = after;
                }
                if !sizes.is_empty() {
                    signed.part(&head, rest);
                }
                signed.verify(&head, body)
            };
            assert!(verify(&body).is_ok(), "{format} {sizes:?}");
            let mut bent = body.clone();
            bent[700] ^= 1;
            assert_eq!(verify(&bent), Err(Cause::Mismatch), "{format} {sizes:?}");
        }
    }
}
