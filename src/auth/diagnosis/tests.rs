#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use super::*;
use crate::auth::Signer;
use crate::config::piece::Piece;
use crate::config::secret::Secret;
use crate::settings;

const SECRET: &str = "open-sesame-0123456789";
const BODY: &str = r#"{"type": "charge.failed", "id": "evt_1", "note": "f\u00f8r"}"#;

/// An endpoint of this source; `rest` are its further keys.
fn endpoint(source: &str, rest: &str) -> Endpoint {
    let text = format!(
        "[nats]\n[[endpoint]]\nname = \"{source}\"\npath = \"/{source}\"\nsource = \"{source}\"\n{rest}\n"
    );
    let loaded = settings::parse(source, &text, |_| None);
    loaded.config.expect(&text).endpoints.remove(0)
}

/// One that takes what this provider signs with this secret, whether the configuration would let it pass or not.
fn signature(source: &str, secret: &str) -> Endpoint {
    let facts = crate::source::facts(source).expect(source);
    Endpoint::of(source, facts, vec![Secret::new(secret)], "https://hooks.example.com/")
}

fn hmac(rest: &str) -> Endpoint {
    endpoint("generic", &format!("[[endpoint.auth]]\nkind = \"hmac\"\n{rest}"))
}

fn at(ago: i64) -> SystemTime {
    let now = SystemTime::now();
    match ago {
        0.. => now - Duration::from_secs(ago.unsigned_abs()),
        _ => now + Duration::from_secs(ago.unsigned_abs()),
    }
}

/// A request that the endpoint lets in, signed at this time.
fn signed(endpoint: &Endpoint, body: &str, now: SystemTime) -> (Parts, Bytes) {
    let signer = endpoint.auth.iter().find_map(|kind| Signer::new(endpoint, kind)).unwrap();
    let mut uri = format!("https://hooks.example.com{}", endpoint.path);
    let body = Bytes::from(body.to_owned());
    let mut headers: Vec<(String, String)> = Vec::new();
    let before = signer.before(&body, now);
    let mut put = |at: Piece, text: &str, uri: &mut String| match at {
        Piece::Header(name) => headers.push((name, text.to_owned())),
        Piece::Query(name) => *uri = format!("{uri}?{name}={text}"),
        other => panic!("{other}"),
    };
    for (at, text) in before {
        put(at, text.expose(), &mut uri);
    }
    for (at, text) in signer.sign(&Method::POST, &uri, &body, now).unwrap() {
        put(at, text.expose(), &mut uri);
    }
    let mut request = http::Request::post(&uri).header("host", "hooks.example.com");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    (request.body(()).unwrap().into_parts().0, body)
}

fn cause(endpoint: &Endpoint, others: &[&Endpoint], (head, body): &(Parts, Bytes)) -> Diagnosis {
    let cause = diagnose(endpoint, others, head, body, SystemTime::now()).expect("it is refused");
    assert!(!cause.to_string().contains(SECRET), "{cause}");
    cause
}

/// The reason for a request, and that the text names what is to be seen.
#[track_caller]
fn expect(cause: &Diagnosis, reason: Reason, text: &str) {
    assert_eq!(cause.reason, reason, "{cause}");
    assert!(cause.to_string().contains(text), "{cause}");
}

#[test]
fn what_is_let_in_has_no_cause() {
    let stripe = signature("stripe", SECRET);
    let (head, body) = signed(&stripe, BODY, at(0));
    assert_eq!(diagnose(&stripe, &[], &head, &body, at(0)), None);
    let open = endpoint("generic", "[[endpoint.auth]]\nkind = \"none\"");
    assert_eq!(diagnose(&open, &[], &head, &body, at(0)), None);
}

#[test]
fn headers_that_are_missing_doubled_or_unreadable() {
    let stripe = signature("stripe", SECRET);
    let (mut head, body) = signed(&stripe, BODY, at(0));
    let value = head.headers.remove("stripe-signature").unwrap();
    let missing = cause(&stripe, &[], &(head.clone(), body.clone()));
    expect(&missing, Reason::NoHeader, "no header `stripe-signature`");
    head.headers.insert("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    let other = cause(&stripe, &[], &(head.clone(), body.clone()));
    expect(&other, Reason::NoHeader, "`x-hub-signature-256`: is `source`");
    head.headers.insert("stripe-signature", value.clone());
    head.headers.append("stripe-signature", value);
    let doubled = cause(&stripe, &[], &(head.clone(), body.clone()));
    expect(&doubled, Reason::Malformed, "more than once");
    head.headers.insert("stripe-signature", HeaderValue::from_static("v1"));
    expect(&cause(&stripe, &[], &(head, body)), Reason::Malformed, "`v1=`");

    let slack = signature("slack", SECRET);
    let mut request = signed(&slack, BODY, at(0));
    request.0.headers.remove("x-slack-request-timestamp");
    let missing = cause(&slack, &[], &request);
    expect(&missing, Reason::NoHeader, "no header `x-slack-request-timestamp`");
}

#[test]
fn times_that_are_too_far_away() {
    for (source, ago, reason, text) in [
        ("stripe", 1_200, Reason::TooOld, "signed 20m"),
        ("stripe", -1_200, Reason::FromFuture, " after now"),
        ("livekit", 4_000, Reason::TooOld, "expired"),
    ] {
        let endpoint = signature(source, SECRET);
        let request = signed(&endpoint, BODY, at(ago));
        expect(&cause(&endpoint, &[], &request), reason, text);
        let then = diagnose(&endpoint, &[], &request.0, &request.1, at(ago));
        assert_eq!(then, None, "{source}");
    }
    // The signed time is the one in the body.
    let linear = signature("linear", SECRET);
    let minutes = at(300).duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let body = format!(r#"{{"type":"Issue","webhookTimestamp":{minutes}}}"#);
    let signer = Signer::new(&linear, &linear.auth[0]).unwrap();
    let mut request = http::Request::post("/linear").body(()).unwrap().into_parts().0;
    for (at, text) in signer.sign(&Method::POST, "/linear", body.as_bytes(), at(0)).unwrap() {
        let Piece::Header(name) = at else { panic!("{at}") };
        let name: HeaderName = name.parse().unwrap();
        request.headers.insert(name, text.expose().parse().unwrap());
    }
    expect(&cause(&linear, &[], &(request, body.into())), Reason::TooOld, "signed 5m");
}

#[test]
fn secrets_that_are_wrong_or_written_in_another_form() {
    let stripe = signature("stripe", SECRET);
    let request = signed(&stripe, BODY, at(0));
    let wrong = cause(&signature("stripe", "another"), &[], &request);
    expect(&wrong, Reason::WrongSecret, "doesn't fit the secret");
    let blanks = signature("stripe", &format!(" {SECRET}\n"));
    expect(&cause(&blanks, &[], &request), Reason::SecretForm, "line breaks");
    let undecodable = signature("standard-webhooks", "whsec_%%%");
    let signed_well = signed(&signature("standard-webhooks", "whsec_c2VjcmV0"), BODY, at(0));
    let found = cause(&undecodable, &[], &signed_well);
    expect(&found, Reason::UndecodableSecret, "base64");

    let settings = |more: &str| hmac(&format!("secrets = [\"c2VjcmV0c2VjcmV0\"]\n{more}"));
    let as_text = settings("");
    let as_base64 = settings("secret_is_base64 = true");
    let found = cause(&as_text, &[], &signed(&as_base64, BODY, at(0)));
    expect(&found, Reason::SecretForm, "secret_is_base64 = true");
    let found = cause(&as_base64, &[], &signed(&as_text, BODY, at(0)));
    expect(&found, Reason::SecretForm, "remove `secret_is_base64`");
    let sha512 = settings("algorithm = \"sha512\"");
    let found = cause(&as_text, &[], &signed(&sha512, BODY, at(0)));
    expect(&found, Reason::SecretForm, "algorithm = \"sha512\"");
}

#[test]
fn bodies_that_were_changed() {
    let stripe = signature("stripe", SECRET);
    let (head, body) = signed(&stripe, BODY, at(0));
    let body = String::from_utf8(body.to_vec()).unwrap();
    let value: serde_json::Value = serde_json::from_str(r#"{"a":[1,2],"b":"x"}"#).unwrap();
    let cases = [
        (body.clone(), format!("{body}\n"), "without the line break at its end"),
        (format!("{body}\r\n"), body.clone(), "(CR LF) at its end"),
        (format!("{body}\n"), body, "(LF) at its end"),
        (value.to_string(), serde_json::to_string_pretty(&value).unwrap(), "compact JSON"),
        (serde_json::to_string_pretty(&value).unwrap(), value.to_string(), "pretty JSON"),
        (r#"{"a": [1, 2], "b": "x"}"#.to_owned(), value.to_string(), "a blank behind"),
        ("{\n}".to_owned(), "{\r\n}".to_owned(), "with LF"),
        (r#"{"u":"http:\/\/x"}"#.to_owned(), r#"{"u":"http://x"}"#.to_owned(), "each slash"),
    ];
    for (sent, received, text) in cases {
        let (head, _) = signed(&stripe, &sent, at(0));
        let found = cause(&stripe, &[], &(head, received.into()));
        expect(&found, Reason::BodyChanged, text);
    }
    let other = cause(&stripe, &[], &(head, Bytes::from_static(b"{}")));
    expect(&other, Reason::WrongSecret, "or the body was changed");

    let livekit = signature("livekit", SECRET);
    let (head, _) = signed(&livekit, r#"{"event":"x"}"#, at(0));
    let spaced = Bytes::from_static(b"{ \"event\": \"x\" }");
    expect(&cause(&livekit, &[], &(head, spaced)), Reason::BodyChanged, "compact JSON");
    let events = endpoint(
        "twilio-events",
        "public_url = \"https://hooks.example.com/twilio-events\"\n[[endpoint.auth]]\n\
         kind = \"signature\"\nsecrets = [\"s\"]",
    );
    let (head, _) = signed(&events, "[]", at(0));
    let found = cause(&events, &[], &(head, Bytes::from_static(b"[1]")));
    expect(&found, Reason::BodyChanged, "the signature fits, but");
}

#[test]
fn urls_that_differ() {
    let told = |url: &str| {
        endpoint(
            "twilio",
            &format!(
                "public_url = \"{url}\"\n[[endpoint.auth]]\nkind = \"signature\"\nsecrets = [{SECRET:?}]"
            ),
        )
    };
    let right = "https://hooks.example.com/twilio";
    let request = signed(&told(right), "CallSid=CA1&CallStatus=ringing", at(0));
    for wrong in [
        "http://hooks.example.com/twilio",
        "https://example.org/twilio",
        "https://hooks.example.com/twilio/",
        "http://localhost:8080/voice",
    ] {
        let found = cause(&told(wrong), &[], &request);
        expect(&found, Reason::UrlDiffers, &format!("set `public_url = \"{right}\"`"));
    }
    // A proxy that passes on its own name says which one it was asked for.
    let (mut head, body) = request;
    head.uri = "/twilio".parse().unwrap();
    head.headers.insert("host", HeaderValue::from_static("internal:8080"));
    head.headers.insert("x-forwarded-host", HeaderValue::from_static("hooks.example.com, a"));
    let found = cause(&told("https://example.org/twilio"), &[], &(head, body));
    expect(&found, Reason::UrlDiffers, right);
}

#[test]
fn what_is_meant_for_another_endpoint() {
    let stripe = signature("stripe", SECRET);
    let mut second = signature("stripe", "another secret");
    second.name = "second".to_owned();
    let github = signature("github", "third secret");
    let others = [&stripe, &github, &second];
    let found = cause(&stripe, &others, &signed(&second, BODY, at(0)));
    expect(&found, Reason::OtherEndpoint, "`second`");
    let found = cause(&stripe, &others, &signed(&github, BODY, at(0)));
    expect(&found, Reason::OtherEndpoint, "`github`");
    // What one takes that takes everything says nothing.
    let open = endpoint("generic", "[[endpoint.auth]]\nkind = \"none\"");
    let found = cause(&stripe, &[&open], &signed(&second, BODY, at(0)));
    expect(&found, Reason::WrongSecret, "");
}

#[test]
fn secrets_that_come_as_they_are() {
    let head = |name: &'static str, value: &str| {
        let request = http::Request::post("/").header(name, value).body(()).unwrap();
        (request.into_parts().0, Bytes::from_static(b"{}"))
    };
    let secret = |prefix: &str| {
        endpoint(
            "generic",
            &format!(
                "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-secret\"\n{prefix}\nsecrets = [{SECRET:?}]"
            ),
        )
    };
    let bare = secret("");
    expect(&cause(&bare, &[], &head("x", "")), Reason::NoHeader, "`x-secret`");
    expect(&cause(&bare, &[], &head("x-secret", "wrong")), Reason::WrongSecret, "none of");
    let bearer = secret("prefix = \"Bearer \"");
    expect(&cause(&bearer, &[], &head("x-secret", SECRET)), Reason::SecretForm, "without `Bearer`");
    let mut other = secret("");
    other.name = "other".to_owned();
    let gitlab = signature("gitlab", "another");
    let found = cause(&gitlab, &[&gitlab], &head("x-gitlab-token", SECRET));
    expect(&found, Reason::WrongSecret, "{header:x-gitlab-token}");
    let theirs = signature("gitlab", SECRET);
    let theirs = Endpoint { name: "theirs".to_owned(), ..theirs };
    let found = cause(&gitlab, &[&theirs], &head("x-gitlab-token", SECRET));
    expect(&found, Reason::OtherEndpoint, "`theirs`");
    expect(&cause(&gitlab, &[], &head("x", "")), Reason::NoHeader, "");

    let basic = endpoint(
        "generic",
        &format!("[[endpoint.auth]]\nkind = \"basic\"\nuser = \"shop\"\npasswords = [{SECRET:?}]"),
    );
    let given = |pair: &str| {
        let pair = data_encoding::BASE64.encode(pair.as_bytes());
        head("authorization", &format!("Basic {pair}"))
    };
    expect(&cause(&basic, &[], &given("shop:x")), Reason::WrongSecret, "the user is right");
    expect(&cause(&basic, &[], &given("x:x")), Reason::WrongSecret, "another user");
    expect(&cause(&basic, &[], &head("authorization", "Bearer x")), Reason::Malformed, "Basic");
    let token = cause(&signature("livekit", SECRET), &[], &head("authorization", "x"));
    expect(&token, Reason::Malformed, "holds no token");
}

#[test]
fn a_large_body_is_not_tried_for_long() {
    let stripe = signature("stripe", SECRET);
    let (head, _) = signed(&stripe, BODY, at(0));
    let body = Bytes::from("[".repeat(3 << 20));
    let started = std::time::Instant::now();
    expect(&cause(&stripe, &[], &(head, body)), Reason::WrongSecret, "");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
