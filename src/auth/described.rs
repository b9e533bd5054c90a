//! The built-in descriptions as a user would write them: each is a configuration without a problem, and its samples come
//! through, signed as the provider signs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};

use super::diagnosis::diagnose;
use super::{Auth, Issuers, Signer};
use crate::config::piece::Piece;
use crate::config::provider::{After, Handshake};
use crate::config::scheme::{Algorithm, KeyForm, Scheme};
use crate::config::secret::Secret;
use crate::config::{Endpoint, facts::Facts};
use crate::message::Refusal;
use crate::settings;
use crate::source::{self, BuiltIn, Classified, Meaning, Request, Sample};

fn all() -> Vec<&'static BuiltIn> {
    let coded: Vec<_> = source::names_with_code().collect();
    let described = source::names().into_iter().filter(|name| !coded.contains(name));
    described.map(|name| source::built_in(name).expect(name)).collect()
}

/// A secret that can be one of a scheme.
fn secret(scheme: Option<&Scheme>) -> String {
    let Some(scheme) = scheme else { return "a-secret".to_owned() };
    let key = match (scheme.key, scheme.algorithm) {
        (KeyForm::Text | KeyForm::Sha1OfText, _) => "a-secret".to_owned(),
        (KeyForm::Base64, Algorithm::Ed25519) => "A".repeat(43),
        (KeyForm::Hex, _) => "ab".repeat(32),
        (KeyForm::Base64, _) => "c2VjcmV0".to_owned(),
        (KeyForm::Spki, Algorithm::EcdsaP256Sha256) => "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==".to_owned(),
        (KeyForm::Spki, _) => "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".to_owned(),
    };
    format!("{}{key}", scheme.key_prefix)
}

/// The endpoint of a file that holds the description as it is.
fn endpoint(known: &BuiltIn) -> Endpoint {
    let facts = Arc::new(Facts::of(known.name, &known.provider));
    let secrets = vec![Secret::new(secret(known.provider.signatures.first()))];
    let blank = Endpoint::of(known.name, facts, secrets, "https://hooks.example.com/x");
    let trusted = blank.unsigned().map(|one| format!("{:?}", one.piece.trusted_name()));
    let trusted: Vec<_> = trusted.collect();
    let auth = match known.provider.has_signatures() {
        true => {
            let secret = secret(known.provider.signatures.first());
            let asks = |handshake: &Handshake| handshake.after == After::Token;
            let tokens = match known.provider.handshakes.iter().any(asks) {
                true => "handshake_tokens = [\"a-token\"]",
                false => "",
            };
            format!("kind = \"signature\"\nsecrets = [{secret:?}]\n{tokens}")
        }
        false => "kind = \"secret\"\nheader = \"x-secret\"\nsecrets = [\"a-secret\"]".to_owned(),
    };
    let trust = match known.provider.signatures.is_empty() {
        true => String::new(),
        false => format!("trust_unsigned = [{}]", trusted.join(", ")),
    };
    let text = format!(
        "{}\n[nats]\n[[endpoint]]\nname = \"x\"\npath = \"/x\"\nsource = \"{}\"\n\
         public_url = \"https://hooks.example.com/x\"\n{trust}\n[[endpoint.auth]]\n{auth}\n",
        known.text, known.name,
    );
    let loaded = settings::parse(known.name, &text, |_| None);
    let problems = loaded.problems.iter().map(ToString::to_string);
    // That is how it is with some of them.
    let problems = problems.filter(|problem| !problem.contains("the body is not signed"));
    let problems: Vec<_> = problems.collect();
    let expected: Vec<String> = Vec::new();
    assert_eq!(problems, expected, "{}", known.name);
    loaded.config.unwrap().endpoints.remove(0)
}

/// A sample as a request, signed where that can be done here.
fn request(endpoint: &Endpoint, sample: &Sample) -> Option<(Parts, Bytes)> {
    let signer = Signer::new(endpoint, &endpoint.auth[0]);
    let has_signatures = endpoint.facts.description.as_ref()?.has_signatures();
    if signer.is_none() && has_signatures {
        return None;
    }
    let mut uri = format!("https://hooks.example.com/x?{}", sample.query);
    let method: Method = sample.method.into();
    let mut body = sample.body.to_string();
    let mut headers: Vec<(String, String)> = sample.headers.clone().into_iter().collect();
    headers.push(("content-type".to_owned(), sample.content_type.to_string()));
    if !has_signatures {
        headers.push(("x-secret".to_owned(), "a-secret".to_owned()));
    }
    let now = SystemTime::now();
    let mut change = |at: Piece, text: &str, uri: &mut String, body: &mut String| match at {
        Piece::Header(name) => headers.push((name, text.to_owned())),
        Piece::Query(name) => uri.push_str(&format!("&{name}={text}")),
        // Some handshakes have none.
        Piece::Pointer(_) if body.is_empty() => {}
        Piece::Pointer(keys) => {
            let mut json: serde_json::Value = serde_json::from_str(body).unwrap();
            let pointer = format!("/{}", keys.join("/"));
            *json.pointer_mut(&pointer).expect(&pointer) = text.into();
            *body = json.to_string();
        }
        other => unreachable!("{other}"),
    };
    if let Some(signer) = signer {
        for (at, text) in signer.before(body.as_bytes(), now) {
            change(at, text.expose(), &mut uri, &mut body);
        }
        let made = signer.sign(&method, uri.trim_end_matches('?'), body.as_bytes(), now).unwrap();
        for (at, text) in made {
            change(at, text.expose(), &mut uri, &mut body);
        }
    }
    let mut head = http::Request::new(()).into_parts().0;
    head.method = method;
    head.uri = uri.trim_end_matches('?').parse().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        head.headers.insert(name, HeaderValue::from_str(&value).unwrap());
    }
    Some((head, body.into()))
}

/// A sample as a request without a signature.
fn unsigned(sample: &Sample) -> (Parts, Bytes) {
    let mut request = http::Request::builder().method(Method::from(sample.method));
    request = request.uri(format!("https://hooks.example.com/x?{}", sample.query));
    for (name, value) in &sample.headers {
        request = request.header(name, value);
    }
    let request = request.header("content-type", &*sample.content_type);
    (request.body(()).unwrap().into_parts().0, sample.body.to_string().into())
}

async fn authenticate(auth: &Auth, head: &Parts, body: &[u8]) -> Result<(), super::Cause> {
    auth.head(head).await?.body(body).map(drop)
}

fn classify(endpoint: &Endpoint, head: &Parts, body: &Bytes) -> Result<Classified, Refusal> {
    source::of(endpoint).classify(Request { head, body, scheme: None })
}

#[tokio::test]
async fn every_description_works_as_it_is() {
    let mut wrong: Vec<String> = Vec::new();
    for known in all() {
        let endpoint = endpoint(known);
        assert!(!known.samples.is_empty(), "{}: no samples", known.name);
        let auth = Arc::new(Auth::new(&endpoint, &[], &Issuers::default()));
        for sample in &known.samples {
            let name = format!("{} {}", known.name, sample.name);
            let is_handshake = |head: &Parts| source::of(&endpoint).handshake(head).is_some();
            let (head, body) = match request(&endpoint, sample) {
                Some((head, _)) if is_handshake(&head) => continue,
                Some((head, body)) => {
                    let accepted = authenticate(&auth, &head, &body).await;
                    if accepted != Ok(()) {
                        wrong.push(format!("{name} is refused: {accepted:?}"));
                        continue;
                    }
                    if let Some(cause) = diagnose(&endpoint, &[], &head, &body, SystemTime::now()) {
                        wrong.push(format!("{name} is let in, but diagnosed: {cause}"));
                    }
                    let of_body = Piece::Pointer(Vec::new());
                    let covers = |scheme: &Scheme| scheme.covers(&of_body);
                    let schemes = &known.provider.signatures;
                    if !body.is_empty() && !schemes.is_empty() && schemes.iter().all(covers) {
                        let mut bent = body.to_vec();
                        *bent.last_mut().unwrap() ^= 1;
                        if authenticate(&auth, &head, &bent).await.is_ok() {
                            wrong.push(format!("{name} is let in with a changed body"));
                        }
                        if diagnose(&endpoint, &[], &head, &bent, SystemTime::now()).is_none() {
                            wrong.push(format!("{name} has no diagnosis with a changed body"));
                        }
                    }
                    (head, body)
                }
                // Only the provider has the private key.
                None => unsigned(sample),
            };
            let classified = match classify(&endpoint, &head, &body) {
                Ok(classified) => classified,
                Err(refusal) => {
                    wrong.push(format!("{name}: {refusal}"));
                    continue;
                }
            };
            let kind = &*classified.metadata.kind;
            match classified.meaning {
                Meaning::Handshake(_) => {}
                Meaning::Event | Meaning::Questions(_) => {
                    let base = sample.name.split("--").next().unwrap();
                    // What stands before the name of an event, some say with each of them.
                    if !kind.ends_with(base) {
                        wrong.push(format!("{name} is of the type {kind}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
