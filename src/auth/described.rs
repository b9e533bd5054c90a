//! The built-in descriptions as a user would write them: each is a configuration without a problem, and its samples come
//! through, signed as the provider signs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod bad_input;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method};

use super::diagnosis::diagnose;
use super::{Auth, Issuers, Signer};
use crate::config::piece::Piece;
use crate::config::provider::{After, Handshake};
use crate::config::scheme::{Algorithm, KeyForm, Layout, Scheme};
use crate::config::secret::Secret;
use crate::config::{Endpoint, facts::Facts};
use crate::message::{Client, Refusal};
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
    let (endpoint, problems) = configured(known, &secret(known.provider.signatures.first()));
    let expected: Vec<String> = Vec::new();
    assert_eq!(problems, expected, "{}", known.name);
    endpoint.unwrap()
}

/// The same with this secret, and what is wrong with that.
fn configured(known: &BuiltIn, secret: &str) -> (Option<Endpoint>, Vec<String>) {
    let facts = Arc::new(Facts::of(known.name, &known.provider));
    let secrets = vec![Secret::new(secret)];
    let blank = Endpoint::of(known.name, facts, secrets, "https://hooks.example.com/x");
    // An id that some schemes sign is taken from those.
    let schemes = &known.provider.signatures;
    let is_signed = |piece: &Piece| schemes.iter().any(|scheme| scheme.covers(piece));
    let trusted = blank.unsigned().filter(|one| one.is_needed || !is_signed(&one.piece));
    let trusted: Vec<_> = trusted.map(|one| format!("{:?}", one.piece.trusted_name())).collect();
    let auth = match known.provider.has_signatures() {
        true => {
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
    let problems = problems.collect();
    (loaded.config.map(|mut config| config.endpoints.remove(0)), problems)
}

/// A request that can still be changed.
#[derive(Debug, Clone)]
struct Draft {
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Draft {
    /// A sample without a signature.
    fn of(endpoint: &Endpoint, sample: &Sample) -> Self {
        let uri = format!("https://hooks.example.com/x?{}", sample.query);
        let mut headers: Vec<(String, String)> = sample.headers.clone().into_iter().collect();
        headers.push(("content-type".to_owned(), sample.content_type.to_string()));
        if !endpoint.facts.description.as_ref().unwrap().has_signatures() {
            headers.push(("x-secret".to_owned(), "a-secret".to_owned()));
        }
        Self { method: sample.method.into(), uri, headers, body: sample.body.to_string() }
    }

    /// Signed as the provider would at this time, with the places that the signature took; nothing where only the
    /// provider can, or it lacks what is signed.
    fn signed(mut self, endpoint: &Endpoint, now: SystemTime) -> Option<(Self, Vec<Piece>)> {
        let Some(signer) = Signer::new(endpoint, &endpoint.auth[0]) else {
            let is_signed = endpoint.facts.description.as_ref()?.has_signatures();
            return (!is_signed).then(|| (self, vec![Piece::Header("x-secret".to_owned())]));
        };
        for (at, text) in signer.before(self.body.as_bytes(), now) {
            self.put(&at, text.expose());
        }
        let uri = self.uri.trim_end_matches('?');
        let made = signer.sign(&self.method, uri, self.body.as_bytes(), now)?;
        let places = made.iter().map(|(at, _)| at.clone()).collect();
        for (at, text) in made {
            self.put(&at, text.expose());
        }
        Some((self, places))
    }

    /// Lets a place hold this text alone.
    fn put(&mut self, at: &Piece, text: &str) {
        match at {
            Piece::Header(name) => {
                self.headers.retain(|(known, _)| known != name);
                self.headers.push((name.clone(), text.to_owned()));
            }
            Piece::Query(name) => {
                let (path, query) = self.uri.split_once('?').unwrap_or((&self.uri, ""));
                let mut all: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
                all.retain(|pair| pair.split_once('=').is_none_or(|(known, _)| known != name));
                let pair = format!("{name}={text}");
                all.push(&pair);
                self.uri = format!("{path}?{}", all.join("&"));
            }
            // Some handshakes have none.
            Piece::Pointer(_) if self.body.is_empty() => {}
            Piece::Pointer(keys) => {
                let mut json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
                let pointer = format!("/{}", keys.join("/"));
                *json.pointer_mut(&pointer).expect(&pointer) = text.into();
                self.body = json.to_string();
            }
            other => unreachable!("{other}"),
        }
    }

    fn build(&self) -> (Parts, Bytes) {
        let request = http::Request::builder().method(self.method.clone());
        let mut request = request.uri(self.uri.trim_end_matches('?'));
        for (name, value) in &self.headers {
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        (request.body(()).unwrap().into_parts().0, self.body.clone().into())
    }
}

/// A sample as a request, signed where that can be done here.
fn request(endpoint: &Endpoint, sample: &Sample) -> Option<(Parts, Bytes)> {
    let signed = Draft::of(endpoint, sample).signed(endpoint, SystemTime::now());
    signed.map(|(draft, _)| draft.build())
}

async fn authenticate(auth: &Auth, head: &Parts, body: &[u8]) -> Result<(), super::Cause> {
    auth.head(head, &Client::new(Ipv4Addr::LOCALHOST)).await?.body(body, &mut None).map(drop)
}

fn classify(endpoint: &Endpoint, head: &Parts, body: &Bytes) -> Result<Classified, Refusal> {
    source::of(endpoint).classify(Request::new(head, body))
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
                None => Draft::of(&endpoint, sample).build(),
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
