#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use http::Request;

use std::time::UNIX_EPOCH;

use super::*;

/// What a provider publishes: keys, what it signs, and what it sends.
struct Vector {
    name: &'static str,
    scheme: &'static str,
    key: &'static str,
    /// When it was signed, in seconds.
    time: u64,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const TWILIO_BODY: &str = "To=%2B18005551212&From=%2B14158675309&Digits=1234&Caller=%2B14158675309&CallSid=CA1234567890ABCDE";
const TWILIO: &str = "headers = [\"x-twilio-signature\"]\nalgorithm = \"hmac-sha1\"\nencoding = \"base64\"\nmessage = \"{url}{form-sorted}\"";
const STANDARD: &str = "headers = [\"webhook-signature\", \"svix-signature\"]\nkey = \"base64\"\nkey_prefix = \"whsec_\"\nlayout = \"tagged\"\nseparator = \" \"\nprefix = \"v1,\"\nencoding = \"base64\"\nmessage = \"{header:webhook-id}.{time}.{body}\"\ntime = \"{header:webhook-timestamp}\"";
const DISCORD: &str = "headers = [\"x-signature-ed25519\"]\nalgorithm = \"ed25519\"\nkey = \"hex\"\nmessage = \"{time}{body}\"\ntime = \"{header:x-signature-timestamp}\"";

/// Their sources: docs.github.com, octokit/webhooks-methods.js, slackapi/python-slack-sdk, twilio/twilio-python,
/// standard-webhooks, openai/openai-python, RetellAI/retell-python-sdk, PaddleHQ/paddle-node-sdk,
/// Shopify/shopify-app-js, sanity-io/webhook-toolkit, plivo/plivo-python, sendgrid-python, stripe-python (its key and
/// body; it signs at run time).
const VECTORS: &[Vector] = &[
    Vector {
        name: "github",
        scheme: "headers = [\"x-hub-signature-256\"]\nprefix = \"sha256=\"",
        key: "It's a Secret to Everybody",
        time: 0,
        url: "https://a/b",
        headers: &[(
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        )],
        body: "Hello, World!",
    },
    Vector {
        name: "octokit",
        scheme: "headers = [\"x-hub-signature-256\"]\nprefix = \"sha256=\"",
        key: "mysecret",
        time: 0,
        url: "https://a/b",
        headers: &[(
            "x-hub-signature-256",
            "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3",
        )],
        body: "{\"foo\":\"bar\"}",
    },
    Vector {
        name: "slack",
        scheme: "headers = [\"x-slack-signature\"]\nprefix = \"v0=\"\nmessage = \"v0:{time}:{body}\"\ntime = \"{header:x-slack-request-timestamp}\"",
        key: "8f742231b10e8888abcd99yyyzzz85a5",
        time: 1_531_420_618,
        url: "https://a/b",
        headers: &[
            (
                "x-slack-signature",
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            ),
            ("x-slack-request-timestamp", "1531420618"),
        ],
        body: SLACK_BODY,
    },
    Vector {
        name: "twilio",
        scheme: TWILIO,
        key: "12345",
        time: 0,
        url: "https://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")],
        body: TWILIO_BODY,
    },
    Vector {
        name: "twilio, with its port",
        scheme: TWILIO,
        key: "12345",
        time: 0,
        url: "https://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[("x-twilio-signature", "kvajT1Ptam85bY51eRf/AJRuM3w=")],
        body: TWILIO_BODY,
    },
    Vector {
        name: "twilio, http",
        scheme: TWILIO,
        key: "12345",
        time: 0,
        url: "http://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[("x-twilio-signature", "0ZXoZLH/DfblKGATFgpif+LLRf4=")],
        body: TWILIO_BODY,
    },
    Vector {
        name: "twilio, a field twice",
        scheme: TWILIO,
        key: "12345",
        time: 0,
        url: "https://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[("x-twilio-signature", "IK+Dwps556ElfBT0I3Rgjkr1wJU=")],
        body: "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
    },
    Vector {
        name: "standard webhooks",
        scheme: STANDARD,
        key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        time: 1_614_265_330,
        url: "https://a/b",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: "{\"test\": 2432232314}",
    },
    Vector {
        name: "openai",
        scheme: STANDARD,
        key: "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        time: 1_750_861_210,
        url: "https://a/b",
        headers: &[
            ("webhook-id", "wh_685c059ae39c8190af8c71ed1022a24d"),
            ("webhook-timestamp", "1750861210"),
            ("webhook-signature", "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="),
        ],
        body: "{\"id\": \"evt_685c059ae3a481909bdc86819b066fb6\", \"object\": \"event\", \"created_at\": 1750861210, \"type\": \"response.completed\", \"data\": {\"id\": \"resp_123\"}}",
    },
    Vector {
        name: "retell",
        scheme: "headers = [\"x-retell-signature\"]\nlayout = \"pairs\"\nprefix = \"d\"\nmessage = \"{body}{time}\"\ntime = \"{pair:v}\"",
        key: "test-api-key",
        time: 1_700_000_000,
        url: "https://a/b",
        headers: &[(
            "x-retell-signature",
            "v=1700000000000,d=07024cabe7dd8f6d1c6e4a8324ca92c812e6ad4a7ee506c04f7e462e3321823e",
        )],
        body: "{\"event\":\"call_ended\"}",
    },
    Vector {
        name: "paddle",
        scheme: "headers = [\"paddle-signature\"]\nlayout = \"pairs\"\nseparator = \";\"\nprefix = \"h1\"\nmessage = \"{time}:{body}\"\ntime = \"{pair:ts}\"",
        key: "VALID_SECRET",
        time: 1_698_796_800,
        url: "https://a/b",
        headers: &[(
            "paddle-signature",
            "ts=1698796800;h1=00;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
        )],
        body: "{\"data\": [\"1\", \"2\"]}",
    },
    Vector {
        name: "shopify",
        scheme: "headers = [\"x-shopify-hmac-sha256\"]\nencoding = \"base64\"",
        key: "test_secret_key",
        time: 0,
        url: "https://a/b",
        headers: &[("x-shopify-hmac-sha256", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=")],
        body: "{\"foo\": \"bar\"}",
    },
    Vector {
        name: "sanity",
        scheme: "headers = [\"sanity-webhook-signature\"]\nlayout = \"pairs\"\nprefix = \"v1\"\nencoding = \"base64url\"\nmessage = \"{time}.{body}\"\ntime = \"{pair:t}\"",
        key: "test",
        time: 1_633_519_811,
        url: "https://a/b",
        headers: &[(
            "sanity-webhook-signature",
            "t=1633519811129,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0",
        )],
        body: "{\"_id\":\"resume\"}",
    },
    Vector {
        name: "plivo 2",
        scheme: "headers = [\"x-plivo-signature-v2\"]\nencoding = \"base64\"\nmessage = \"{url}{header:x-plivo-signature-v2-nonce}\"",
        key: "my_auth_token",
        time: 0,
        url: "https://answer.url",
        headers: &[
            ("x-plivo-signature-v2", "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="),
            ("x-plivo-signature-v2-nonce", "12345"),
        ],
        body: "",
    },
    Vector {
        name: "discord",
        scheme: DISCORD,
        key: "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664",
        time: 1_610_000_000,
        url: "https://a/b",
        headers: &[
            ("x-signature-timestamp", "1610000000"),
            (
                "x-signature-ed25519",
                "50db4086e890c41c26b539f0dd95af18b4d8b03d2f4203964d238b4946943ee2cc6fd52c47ddb355d267086a8c4e299d1054d3d655dba6e0f237a779f634800d",
            ),
        ],
        body: "{\"type\":1}",
    },
    Vector {
        name: "sendgrid",
        scheme: "headers = [\"x-twilio-email-event-webhook-signature\"]\nalgorithm = \"ecdsa-p256-sha256\"\nkey = \"spki\"\nencoding = \"base64\"\nmessage = \"{time}{body}\"\ntime = \"{header:x-twilio-email-event-webhook-timestamp}\"",
        key: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        time: 1_600_112_502,
        url: "https://a/b",
        headers: &[
            ("x-twilio-email-event-webhook-timestamp", "1600112502"),
            (
                "x-twilio-email-event-webhook-signature",
                "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
            ),
        ],
        body: "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
    },
    Vector {
        name: "stripe",
        scheme: "headers = [\"stripe-signature\"]\nlayout = \"pairs\"\nprefix = \"v1\"\nmessage = \"{time}.{body}\"\ntime = \"{pair:t}\"",
        key: "whsec_test_secret",
        time: 1_700_000_000,
        url: "https://a/b",
        headers: &[(
            "stripe-signature",
            "t=1700000000,v0=ab,v1=3bfab77baf5f7b6991a46c9b53b6547d7afc56148b10468fcad9f35c1992ffbd",
        )],
        body: "{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\",\n  \"data\": { \"object\": { \"id\": \"rdr_123\", \"object\": \"terminal.reader\" } }\n}",
    },
];

impl Vector {
    fn scheme(&self, keys: &[&str]) -> Scheme {
        let keys: Vec<_> = keys.iter().map(|key| Secret::new(*key)).collect();
        Scheme::new(&toml::from_str(self.scheme).unwrap(), &keys, Some(self.url))
    }

    fn head(&self, headers: &[(&str, &str)]) -> Parts {
        let path = self.url.parse::<http::Uri>().unwrap();
        let path = path.path_and_query().unwrap().as_str().to_owned();
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.time)
    }

    /// The body in two parts, or in one.
    fn verify(&self, scheme: &Scheme, head: &Parts, body: &[u8], cut: usize) -> Result<(), Cause> {
        let mut signed = scheme.head(head, self.now())?;
        if cut > 0 {
            let (begin, rest) = body.split_at(cut.min(body.len()));
            signed.part(head, begin);
            signed.part(head, rest);
        }
        signed.verify(head, body).map(drop)
    }
}

#[test]
fn what_providers_publish_is_accepted() {
    for vector in VECTORS {
        let head = vector.head(vector.headers);
        for keys in [&[vector.key][..], &["b2xk", vector.key, "bmV3"]] {
            let scheme = vector.scheme(keys);
            for cut in [0, 1, 7] {
                let verified = vector.verify(&scheme, &head, vector.body.as_bytes(), cut);
                assert_eq!(verified, Ok(()), "{} {}", vector.name, keys.len());
            }
        }
    }
}

#[test]
fn what_differs_is_refused() {
    for vector in VECTORS {
        let name = vector.name;
        let scheme = vector.scheme(&[vector.key]);
        let head = vector.head(vector.headers);
        let verify = |headers: &[(&str, &str)]| {
            vector.verify(&scheme, &vector.head(headers), vector.body.as_bytes(), 0)
        };
        // Plivo signs no body.
        if !vector.body.is_empty() {
            let mut bent = vector.body.as_bytes().to_vec();
            bent[3] ^= 1;
            for cut in [0, 5] {
                let verified = vector.verify(&scheme, &head, &bent, cut);
                assert_eq!(verified, Err(Cause::Mismatch), "{name}");
            }
        }
        let other = vector.scheme(&["b3RoZXI="]);
        let verified = vector.verify(&other, &head, vector.body.as_bytes(), 0);
        assert_eq!(verified, Err(Cause::Mismatch), "{name}");
        for (at, (header, value)) in vector.headers.iter().enumerate() {
            let mut without = vector.headers.to_vec();
            without.remove(at);
            assert_eq!(verify(&without), Err(Cause::Missing), "{name} without {header}");
            let doubled = [vector.headers, &[(*header, *value)]].concat();
            assert_eq!(verify(&doubled), Err(Cause::Malformed), "{name} with {header} twice");
            let mut empty = vector.headers.to_vec();
            empty[at].1 = "";
            assert!(verify(&empty).is_err(), "{name} with an empty {header}");
            let mut foreign = vector.headers.to_vec();
            foreign[at].1 = "no \u{fc}";
            assert!(verify(&foreign).is_err(), "{name} with a strange {header}");
        }
        if vector.time > 0 {
            let late = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
            for (now, expected) in [
                (vector.time - 301, Some(Cause::FromFuture)),
                (vector.time - 299, None),
                (vector.time + 299, None),
                (vector.time + 302, Some(Cause::TooOld)),
            ] {
                let judged = scheme.head(&head, late(now)).err();
                assert_eq!(judged, expected, "{name} at {now}");
            }
        }
    }
}

#[test]
fn keys_that_are_none_let_nobody_in() {
    let scheme = "headers = [\"x\"]\nkey = \"base64\"";
    for secret in ["", "%%", "a"] {
        let scheme = Scheme::new(&toml::from_str(scheme).unwrap(), &[Secret::new(secret)], None);
        assert!(scheme.keys.is_empty(), "{secret:?}");
    }
}

#[test]
fn a_header_holds_a_few_signatures() {
    let scheme = |layout: &str| {
        let text = format!("headers = [\"x\"]\n{layout}");
        Scheme::new(&toml::from_str(&text).unwrap(), &[Secret::new("s")], None)
    };
    let count =
        |layout: &str, value: &str| scheme(layout).read(value).map(|read| read.signatures.len());
    let malformed = Err(Cause::Malformed);
    let list = "layout = \"list\"";
    assert_eq!(count(list, "ab,cd, EF"), Ok(3));
    for wrong in ["", ",", "ab,", "ab,,cd", "a", "gg", &["ab"; MAX_SIGNATURES + 1].join(",")] {
        assert_eq!(count(list, wrong), malformed, "{wrong}");
    }
    let pairs = "layout = \"pairs\"\nprefix = \"v1\"";
    assert_eq!(count(pairs, "v1=ab,t=1,v0=zz,v1=cd"), Ok(2));
    for wrong in ["t=1", "v1", "v1=ab,x", "v1=", "v1=ab,v1=zz"] {
        assert_eq!(count(pairs, wrong), malformed, "{wrong}");
    }
    let tagged = "layout = \"tagged\"\nseparator = \" \"\nprefix = \"v1,\"";
    assert_eq!(count(tagged, "v1a,?? v1,ab v2,zz"), Ok(1));
    for wrong in ["v1,", "v2,ab", "ab"] {
        assert_eq!(count(tagged, wrong), malformed, "{wrong}");
    }
    let positional = scheme("layout = \"positional\"");
    let read = positional.read("1700,ab,cd").unwrap();
    assert_eq!((read.time, read.signatures.len()), (Some("1700"), 2));
    assert_eq!(positional.read("1700").err(), Some(Cause::Malformed));
}

#[test]
fn times_have_their_units() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (unit, text, expected) in [
        (TimeUnit::Auto, "1700000000", Ok(())),
        (TimeUnit::Auto, "1700000000000", Ok(())),
        (TimeUnit::Auto, "1699999699", Err(Cause::TooOld)),
        (TimeUnit::Auto, "1700000301", Err(Cause::FromFuture)),
        (TimeUnit::Auto, "99999999999999999999", Err(Cause::FromFuture)),
        (TimeUnit::Auto, "+1700000000", Err(Cause::Malformed)),
        (TimeUnit::Auto, "1700000000.0", Err(Cause::Malformed)),
        (TimeUnit::Seconds, "1700000000", Ok(())),
        (TimeUnit::Seconds, "1700000000000", Err(Cause::FromFuture)),
        (TimeUnit::Milliseconds, "1700000000000", Ok(())),
        (TimeUnit::Milliseconds, "1700000000", Err(Cause::TooOld)),
        (TimeUnit::Rfc3339, "2023-11-14T22:13:20Z", Ok(())),
        (TimeUnit::Rfc3339, "2023-11-14T23:13:20Z", Err(Cause::FromFuture)),
        (TimeUnit::Rfc3339, "1700000000", Err(Cause::Malformed)),
    ] {
        let timed = Timed { at: Piece::Time, unit, tolerance: Duration::from_secs(300) };
        assert_eq!(timed.check(text, now).map(drop), expected, "{unit:?} {text}");
    }
}

/// What came in parts is not read again at its end.
#[test]
fn a_body_is_signed_as_it_comes() {
    for vector in VECTORS {
        let scheme = vector.scheme(&[vector.key]);
        let head = vector.head(vector.headers);
        let mut signed = scheme.head(&head, vector.now()).unwrap();
        signed.part(&head, vector.body.as_bytes());
        let verified = signed.verify(&head, b"").is_ok();
        let is_of_form = vector.scheme.contains("form-sorted");
        let is_public = matches!(scheme.keys[..], [Key::Public(_)]);
        let is_empty = vector.body.is_empty();
        assert_eq!(verified, is_empty || !is_of_form && !is_public, "{}", vector.name);
    }
}

/// What is signed here is accepted here, by every scheme with a secret.
#[test]
fn what_is_signed_is_accepted() {
    for vector in VECTORS {
        let scheme = vector.scheme(&[vector.key]);
        let (url, body) = (vector.url, vector.body.as_bytes());
        let now = SystemTime::now();
        let Some(headers) = scheme.sign(&http::Method::POST, url, body, now) else {
            assert!(matches!(scheme.keys[..], [Key::Public(_)]), "{}", vector.name);
            continue;
        };
        let mut head = vector.head(&[]);
        head.headers = in_headers(headers);
        let signed = scheme.head(&head, now).unwrap();
        let proof = signed.verify(&head, body).unwrap();
        assert_eq!(proof.at.is_some(), scheme.time.is_some(), "{}", vector.name);
    }
}

/// The headers that a sender sends.
fn in_headers(made: Vec<(Piece, String)>) -> http::HeaderMap {
    let header = |(at, text): (Piece, String)| match at {
        Piece::Header(name) => (name.parse::<HeaderName>().unwrap(), text.parse().unwrap()),
        other => panic!("{other}"),
    };
    made.into_iter().map(header).collect()
}

/// A place that holds nothing would be signed like that of everybody else who leaves it out.
#[test]
fn what_is_signed_is_there() {
    for (message, uri, body, cause) in [
        ("{/call/id}", "/", r#"{"call":{"id":"7"}}"#, None),
        ("{/call/id}", "/", "{}", Some(Cause::Missing)),
        ("{/call/id}", "/", r#"{"call":{"id":""}}"#, Some(Cause::Missing)),
        ("{/call/id}", "/", r#"{"call":{"id":null}}"#, Some(Cause::Missing)),
        ("{/call/id}", "/", r#"{"call":{"id":{}}}"#, Some(Cause::Malformed)),
        ("{query:a}.{body}", "/?a=1", "{}", None),
        ("{query:a}.{body}", "/", "{}", Some(Cause::Missing)),
        ("{query:a}.{body}", "/?a=1&a=1", "{}", Some(Cause::Malformed)),
        ("{path}{body}", "/a", "{}", None),
        ("{/a}[:{/b}]", "/", r#"{"a":1,"b":2}"#, None),
        ("{/a}[:{/b}]", "/", r#"{"a":1,"b":null}"#, None),
        ("{/a}[:{/b}]", "/", r#"{"a":1,"b":[2]}"#, Some(Cause::Malformed)),
        ("{/a}[:{/b}]", "/", r#"{"b":2}"#, Some(Cause::Missing)),
        ("[id:{query:id};]{body}", "/?id=7", "{}", None),
        ("[id:{query:id};]{body}", "/", "{}", None),
        ("[id:{query:id};]{body}", "/?id=7&id=7", "{}", Some(Cause::Malformed)),
    ] {
        let text = format!("headers = [\"x\"]\nmessage = \"{message}\"");
        let scheme = Scheme::new(&toml::from_str(&text).unwrap(), &[Secret::new("s")], None);
        let now = SystemTime::now();
        let made = scheme.sign(&http::Method::POST, uri, body.as_bytes(), now);
        assert_eq!(made.is_some(), cause.is_none(), "{message} {uri} {body}");
        let mut head = Request::post(uri).header("x", "00").body(()).unwrap().into_parts().0;
        if let Some(made) = made {
            head.headers = in_headers(made);
        }
        for in_parts in [false, true] {
            let mut signed = scheme.head(&head, now).unwrap();
            if in_parts {
                signed.part(&head, body.as_bytes());
            }
            let refused = signed.verify(&head, body.as_bytes()).err();
            assert_eq!(refused, cause, "{message} {uri} {body}");
        }
    }
}

/// As Python's `hmac` signs what is left.
#[test]
fn what_may_be_missing_can_be_neither_added_nor_taken_away() {
    let text = "headers = [\"x\"]\nmessage = \"[id:{query:id};][request:{header:x-id};]{body}\"";
    let scheme = Scheme::new(&toml::from_str(text).unwrap(), &[Secret::new("s")], None);
    let (none, both) = (
        "143ca8d517ba1b181025d732b1cf275d90104fca57bb02a565542978aa18c4b6",
        "ba14eb49ae9e497dcf36256cd7a466fe3927af6fa939da3fbfcdd54c66169b6d",
    );
    for (uri, id, signature, cause) in [
        ("/", None, none, None),
        ("/?id=7", Some("r"), both, None),
        ("/?id=7", None, none, Some(Cause::Mismatch)),
        ("/", Some("r"), none, Some(Cause::Mismatch)),
        ("/?id=7", None, both, Some(Cause::Mismatch)),
        ("/", Some("r"), both, Some(Cause::Mismatch)),
        ("/?id=8", Some("r"), both, Some(Cause::Mismatch)),
    ] {
        let mut request = Request::post(uri).header("x", signature);
        if let Some(id) = id {
            request = request.header("x-id", id);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        for in_parts in [false, true] {
            let mut signed = scheme.head(&head, SystemTime::now()).unwrap();
            if in_parts {
                signed.part(&head, b"{}");
            }
            assert_eq!(signed.verify(&head, b"{}").err(), cause, "{uri} {id:?}");
        }
    }
    let doubled = Request::post("/").header("x", both).header("x-id", "r").header("x-id", "r");
    let (head, ()) = doubled.body(()).unwrap().into_parts();
    assert_eq!(scheme.head(&head, SystemTime::now()).err(), Some(Cause::Malformed));
}

/// Fields that aren't read would be passed on unsigned.
#[test]
fn a_form_is_signed_whole() {
    let scheme = Scheme::new(&toml::from_str(TWILIO).unwrap(), &[Secret::new("s")], None);
    let many = vec!["a=1"; crate::places::MAX_FIELDS].join("&");
    for (rest, cause) in [("", None), ("&b=2", Some(Cause::Malformed))] {
        let now = SystemTime::now();
        let url = "https://a/b";
        let made = scheme.sign(&http::Method::POST, url, many.as_bytes(), now).unwrap();
        let body = format!("{many}{rest}");
        assert!(
            rest.is_empty()
                || scheme.sign(&http::Method::POST, url, body.as_bytes(), now).is_none()
        );
        let mut head = Request::post("/b").header("host", "a").body(()).unwrap().into_parts().0;
        let host = head.headers.clone();
        head.headers = in_headers(made);
        head.headers.extend(host);
        let signed = scheme.head(&head, now).unwrap();
        assert_eq!(signed.verify(&head, body.as_bytes()).err(), cause);
    }
}

/// A public key that could pass for a secret lets everybody sign who knows it.
#[test]
fn a_public_key_says_that_it_is_one() {
    let key = |settings: &str, written: &str| {
        let settings: scheme::Scheme = toml::from_str(settings).unwrap();
        settings.key_bytes(written).is_some()
    };
    let public = "algorithm = \"ed25519\"\nkey = \"base64\"\nkey_prefix = \"whpk_\"";
    let secret = "key = \"base64\"\nkey_prefix = \"whsec_\"";
    let bare = "A".repeat(43);
    let marked = format!("whpk_{bare}");
    assert!(key(public, &marked) && !key(public, &bare));
    assert!(key(secret, &bare) && !key(secret, &marked));
    assert!(key("algorithm = \"ed25519\"\nkey = \"base64\"", &bare));
}

/// As Mailgun signs; the value was made by another library (Python's `hmac`).
#[test]
fn a_time_in_the_body_is_signed() {
    let text = "at = \"{/signature}\"\nmessage = \"{time}{/token}\"\ntime = \"{/timestamp}\"";
    let key = Secret::new("key-0123456789abcdef");
    let scheme = Scheme::new(&toml::from_str(text).unwrap(), &[key], None);
    let now = UNIX_EPOCH + Duration::from_secs(1_796_061_845);
    let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
    let signature = "7e506f26ae97e738ae45b13049a046d9150eacd45b5d619fa7a28692e4855371";
    for (time, cause) in [
        ("\"1796061845\"", None),
        ("1796061845", None),
        ("1796061846", Some(Cause::Mismatch)),
        ("null", Some(Cause::Missing)),
    ] {
        let token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0";
        let body =
            format!("{{\"token\":\"{token}\",\"timestamp\":{time},\"signature\":\"{signature}\"}}");
        let proof = scheme.head(&head, now).unwrap().verify(&head, body.as_bytes());
        assert_eq!(proof.as_ref().err(), cause.as_ref(), "{time}");
        assert_eq!(proof.ok().and_then(|proof| proof.at), cause.is_none().then_some(1_796_061_845));
    }
}
