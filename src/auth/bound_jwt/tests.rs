#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

const NOW: u64 = 1_800_000_000;

fn token(alg: &str, claims: &Value, key: &str) -> String {
    let head = BASE64URL_NOPAD.encode(format!("{{\"alg\":\"{alg}\"}}").as_bytes());
    let signed = format!("{head}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

fn verify(token: &str, body: &[u8]) -> Result<(), Cause> {
    let text = "issuer = \"them\"\nbody_hash = \"sha256\"\nencoding = \"base64\"";
    let settings = toml::from_str(text).unwrap();
    let jwt = BoundJwt::new(&settings, &[Secret::new("other"), Secret::new("secret")]);
    let request = http::Request::post("/").header("authorization", token);
    let (head, ()) = request.body(()).unwrap().into_parts();
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let in_parts = jwt.head(&head, now).and_then(|mut bound| {
        body.chunks(2).for_each(|part| bound.part(part));
        bound.verify(body)
    });
    let whole = jwt.head(&head, now).and_then(|bound| bound.verify(body));
    assert_eq!(in_parts, whole);
    whole.map(drop)
}

#[test]
fn only_a_token_of_this_body_and_time_counts() {
    let hash = BASE64.encode(digest::digest(&digest::SHA256, b"{}").as_ref());
    let claims = |rest: Value| {
        let mut all = serde_json::json!({"iss": "them", "sha256": hash});
        all.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        all
    };
    let json = |text: &str| claims(serde_json::from_str(text).unwrap());
    let of = |claims: &Value| verify(&token("HS256", claims, "secret"), b"{}");
    assert_eq!(of(&json("{}")), Ok(()));
    assert_eq!(of(&json(&format!("{{\"exp\":{NOW},\"nbf\":{NOW},\"iat\":{NOW}}}"))), Ok(()));
    for fine in [
        format!("{{\"iat\":{}}}", NOW - 360),
        // What says its end itself may live longer.
        format!("{{\"iat\":{},\"exp\":{NOW}}}", NOW - 3_600),
    ] {
        assert_eq!(of(&json(&fine)), Ok(()), "{fine}");
    }
    for (claims, cause) in [
        (json(&format!("{{\"exp\":{}}}", NOW - 61)), Cause::TooOld),
        (json(&format!("{{\"nbf\":{}}}", NOW + 61)), Cause::FromFuture),
        (json(&format!("{{\"iat\":{}}}", NOW + 61)), Cause::FromFuture),
        (json(&format!("{{\"iat\":{}}}", NOW - 361)), Cause::TooOld),
        (json("{\"exp\":\"soon\"}"), Cause::Malformed),
        (json("{\"iss\":\"others\"}"), Cause::Audience),
        (json("{\"sha256\":null}"), Cause::Audience),
        (json("{\"sha256\":\"AAAA\"}"), Cause::Mismatch),
        (json("{\"sha256\":\"!\"}"), Cause::Malformed),
    ] {
        assert_eq!(of(&claims), Err(cause), "{claims}");
    }
    let fine = json("{}");
    assert_eq!(verify(&token("HS256", &fine, "secret"), b"{ }"), Err(Cause::Mismatch));
    assert_eq!(verify(&token("HS256", &fine, "wrong"), b"{}"), Err(Cause::Mismatch));
    assert_eq!(verify(&token("none", &fine, "secret"), b"{}"), Err(Cause::Mismatch));
    for wrong in ["", "a", "a.b", "a.b.c", "Bearer a.b.c"] {
        assert_eq!(verify(wrong, b"{}"), Err(Cause::Malformed), "{wrong}");
    }
}
