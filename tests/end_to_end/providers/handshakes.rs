//! Requests that only try out an endpoint: answered as their providers want it, counted apart, and never stored.

use std::time::SystemTime;

use http::Method;

use super::{ED25519, Request, endpoint};
use crate::support::{Bridge, Nats};

/// A handshake, and its answer.
struct Handshake {
    /// The provider, and the name of its endpoint.
    provider: &'static str,
    method: Method,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Whether it is signed like a webhook.
    is_signed: bool,
    status: u16,
    answer: &'static str,
    /// A header of the answer.
    header: (&'static str, &'static str),
}

const PLAIN: (&str, &str) = ("content-type", "text/plain");
const JSON: (&str, &str) = ("content-type", "application/json");

const fn post(
    provider: &'static str,
    body: &'static str,
    status: u16,
    answer: &'static str,
) -> Handshake {
    Handshake {
        provider,
        method: Method::POST,
        query: "",
        headers: &[],
        body,
        is_signed: true,
        status,
        answer,
        header: JSON,
    }
}

const fn get(
    provider: &'static str,
    query: &'static str,
    status: u16,
    answer: &'static str,
) -> Handshake {
    Handshake {
        provider,
        method: Method::GET,
        query,
        headers: &[],
        body: "",
        is_signed: false,
        status,
        answer,
        header: PLAIN,
    }
}

/// Keys that are published with the answers that they make: X's and Zoom's.
const X: &str = "z3ZX4v7mAAUGykl3EcmkqbartmuW8VFOOzCloLx9Q45P0hLrFu";
const ZOOM: &str = "zoom-secret-token-xyz";
const EBAY: &str = "webhook-co-ebay-verify-token-0123456789abcdef";

fn secret(provider: &str) -> &'static str {
    match provider {
        "discord" => ED25519,
        "x" => X,
        "zoom" => ZOOM,
        "daily" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        _ => "verify-token-of-the-endpoint",
    }
}

fn all() -> Vec<Handshake> {
    vec![
        Handshake {
            header: PLAIN,
            ..post(
                "slack",
                r#"{"token":"unused","challenge":"3eZbrw1aB","type":"url_verification"}"#,
                200,
                "3eZbrw1aB",
            )
        },
        post("discord", r#"{"type":1}"#, 200, r#"{"type":1}"#),
        post(
            "discord",
            r#"{"version":1,"application_id":"1220000000000000009","type":0}"#,
            204,
            "",
        ),
        post(
            "zoom",
            r#"{"event":"endpoint.url_validation","event_ts":1764500000000,"payload":{"plainToken":"pv-plainToken-abc123"}}"#,
            200,
            r#"{"plainToken":"pv-plainToken-abc123","encryptedToken":"924c76d973084bbe133c17ff1c1a9b6639c74aef8bb34daa05c70361039e7beb"}"#,
        ),
        Handshake {
            headers: &[("twitch-eventsub-message-type", "webhook_callback_verification")],
            header: PLAIN,
            ..post(
                "twitch",
                r#"{"challenge":"c4tWd1xk-7Qm2","subscription":{"id":"6d1f","status":"webhook_callback_verification_pending","type":"stream.online"}}"#,
                200,
                "c4tWd1xk-7Qm2",
            )
        },
        post(
            "line",
            r#"{"destination":"U0123456789abcdef0123456789abcdef","events":[]}"#,
            200,
            "{}",
        ),
        post("daily", r#"{"test":"test"}"#, 200, "{}"),
        post("monday", r#"{"challenge":"3eZbrw\"1aB"}"#, 200, r#"{"challenge":"3eZbrw\"1aB"}"#),
        get(
            "meta",
            "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-token-of-the-endpoint",
            200,
            "1158201444",
        ),
        Handshake {
            header: JSON,
            ..get(
                "x",
                "crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553",
                200,
                r#"{"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}"#,
            )
        },
        get("dropbox", "challenge=abc123", 200, "abc123"),
        Handshake {
            method: Method::POST,
            ..get(
                "microsoft-graph",
                "validationToken=Validation%3A+Testing+client",
                200,
                "Validation: Testing client",
            )
        },
        Handshake {
            headers: &[("x-okta-verification-challenge", "xw4_\"k")],
            header: JSON,
            ..get("okta", "", 200, r#"{"verification":"xw4_\"k"}"#)
        },
        Handshake {
            headers: &[("x-hook-secret", "b537207f20cbfa02357cf448134da559")],
            header: ("x-hook-secret", "b537207f20cbfa02357cf448134da559"),
            is_signed: false,
            ..post("asana", "", 200, "")
        },
        Handshake {
            method: Method::OPTIONS,
            headers: &[("webhook-request-origin", "eventgrid.azure.net")],
            header: ("webhook-allowed-origin", "eventgrid.azure.net"),
            ..get("cloudevents", "", 200, "")
        },
        Handshake {
            header: JSON,
            ..get(
                "ebay",
                "challenge_code=71745723-9b5e-4f8a-bc11-9f0e2a7d4c63",
                200,
                r#"{"challengeResponse":"d24cd543fe79a6b0b79e99e0b27939b4a01fce883ae11a63ca875183a5a07ba4"}"#,
            )
        },
    ]
}

/// Those that must not be answered: a guard, a token, a signature is in the way.
fn refused() -> Vec<Handshake> {
    vec![
        // What it signs for webhooks is `v0:TIME:BODY`.
        post(
            "zoom",
            r#"{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1764500000:x"}}"#,
            400,
            "",
        ),
        get("x", "crc_token=%7B%22data%22%3A1%7D", 400, ""),
        get("x", "crc_token=a&crc_token=b", 400, ""),
        get(
            "meta",
            "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=another",
            401,
            "",
        ),
        get("meta", "hub.mode=subscribe&hub.challenge=1158201444", 401, ""),
        get(
            "meta",
            "hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=verify-token-of-the-endpoint",
            400,
            "",
        ),
    ]
}

impl Handshake {
    fn request(&self, is_signed: bool) -> Request {
        let mut path = format!("/{}", self.provider);
        if !self.query.is_empty() {
            path.push_str(&format!("?{}", self.query));
        }
        let mut request = Request {
            method: self.method.clone(),
            path,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: self.body.to_owned(),
        };
        for (name, value) in self.headers {
            request.set(name, value);
        }
        if is_signed {
            request = match self.provider {
                "discord" => request.signed_by_key(SystemTime::now()),
                provider => request.signed(provider, secret(provider), SystemTime::now()),
            };
        }
        request
    }
}

/// A provider of a user's own: the one whose published answer needs the URL.
const BY_USER: &str = r#"
[provider.ebay]
event_prefix = "com.ebay"
type = "{/metadata/topic}"
[[provider.ebay.signature]]
headers = ["x-signature"]
[[provider.ebay.handshake]]
method = "GET"
present = ["{query:challenge_code}"]
after = "nothing"
content_type = "application/json"
body = '{"challengeResponse":"{sha256-hex:query:challenge_code+secret+url}"}'
[[endpoint]]
name = "ebay"
path = "/ebay"
source = "ebay"
public_url = "https://wbhk.my/t/ebay-acct-deletion"
[[endpoint.auth]]
kind = "signature"
"#;

#[tokio::test]
async fn handshakes_are_answered_and_never_stored() {
    let Some(nats) = Nats::start().await else { return };
    let (all, refused) = (all(), refused());
    let mut providers: Vec<_> =
        all.iter().map(|it| it.provider).filter(|it| *it != "ebay").collect();
    providers.dedup();
    let subjects: Vec<_> = providers.iter().map(|it| format!("{it}.events.>")).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    nats.create_stream("HANDSHAKES", &subjects).await;
    let endpoints = providers.iter().map(|it| endpoint(it, it, secret(it))).collect::<String>();
    let text = format!("{endpoints}\n{BY_USER}secrets = [\"{EBAY}\"]\n");
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;

    for handshake in &all {
        let request = handshake.request(handshake.is_signed);
        let answer = request.send(&bridge).await;
        let what = format!("{} {request:?}: {}", handshake.provider, answer.text());
        assert_eq!((answer.status, answer.text()), (handshake.status, handshake.answer), "{what}");
        let (name, value) = handshake.header;
        let said = answer.header(name).unwrap_or_default();
        assert!(said.starts_with(value), "{what}: {name}: {said}");
        if handshake.is_signed {
            let answer = handshake.request(false).send(&bridge).await;
            assert_eq!(answer.status, 401, "{} unsigned", handshake.provider);
        }
    }
    for handshake in &refused {
        let request = handshake.request(handshake.is_signed);
        let answer = request.send(&bridge).await;
        assert_eq!(answer.status, handshake.status, "{request:?}: {}", answer.text());
    }
    for provider in providers.iter().chain(&["ebay"]) {
        let expected = all.iter().filter(|it| it.provider == *provider).count();
        let start = format!(
            "hookbus_webhooks_total{{endpoint=\"{provider}\",type=\"other\",outcome=\"handshake\"}}"
        );
        assert_eq!(bridge.metric(&start).await, expected as f64, "{start}");
    }
    // A ping of type 1 with an event in it is one: it is stored, and nothing else is.
    let body = r#"{"version":1,"type":1,"event":{"type":"QUEST_USER_ENROLLMENT"}}"#;
    let event = Handshake { body, ..post("discord", "", 204, "") };
    assert_eq!(event.request(true).send(&bridge).await.status, 204);
    let stored = nats.messages("HANDSHAKES", 1).await;
    let subjects: Vec<_> = stored.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(subjects, ["discord.events.QUEST_USER_ENROLLMENT"]);
}
