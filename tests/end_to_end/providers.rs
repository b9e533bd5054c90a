//! Providers that are described and not coded, at the built binary: what their own packages sign, what these say of
//! ours, and what their users meet.

mod handshakes;
mod payloads;
mod questions;
mod refused;
mod sdk;
mod signed;

use std::time::SystemTime;

use hookbus::auth::Signer;
use hookbus::config::Endpoint;
use hookbus::config::piece::Piece;
use hookbus::config::provider::{After, Handshake};
use hookbus::config::secret::Secret;
use hookbus::source;
use http::Method;

use crate::support::Bridge;
use crate::support::http::Answer;

/// Where a provider was told to post to; tests post to the same path of their bridge.
fn told(name: &str) -> String {
    format!("https://hooks.example.com/{name}")
}

/// An endpoint at `/NAME` that trusts what its provider doesn't sign, and needs this secret.
fn endpoint(name: &str, provider: &str, secret: &str) -> String {
    let facts = source::facts(provider).unwrap_or_else(|| panic!("no provider {provider}"));
    let plain = Endpoint::of(provider, facts, vec![Secret::new(secret)], &told(name));
    // An id that some schemes sign is taken from those.
    let schemes = plain.schemes(&plain.auth[0]);
    let is_signed = |piece: &Piece| schemes.iter().any(|scheme| scheme.covers(piece));
    let trusted = plain.unsigned().filter(|one| one.is_needed || !is_signed(&one.piece));
    let trusted: Vec<_> = trusted.map(|one| one.piece.trusted_name()).collect();
    let asks = |handshake: &Handshake| handshake.after == After::Token;
    let provider_asks = plain.facts.description.iter().any(|it| it.handshakes.iter().any(asks));
    let tokens = match provider_asks {
        true => format!("handshake_tokens = [{secret:?}]\n"),
        false => String::new(),
    };
    format!(
        "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"{provider}\"\n\
         public_url = \"{}\"\ntrust_unsigned = {trusted:?}\n\
         [[endpoint.auth]]\nkind = \"signature\"\nsecrets = [{secret:?}]\n{tokens}",
        told(name)
    )
}

/// A sample of a provider.
fn sample(provider: &str, name: &str) -> &'static source::Sample {
    let found = source::samples(provider).iter().find(|sample| sample.name == name);
    found.unwrap_or_else(|| panic!("{provider} has no sample {name}"))
}

/// A request to a bridge.
#[derive(Debug, Clone)]
struct Request {
    method: Method,
    /// With the query.
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    /// A sample as it is posted to the endpoint of this name, unsigned.
    fn of(name: &str, sample: &source::Sample) -> Self {
        let headers = sample.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let kind = ("content-type".to_owned(), sample.content_type.to_string());
        let query =
            if sample.query.is_empty() { String::new() } else { format!("?{}", sample.query) };
        Self {
            method: sample.method.into(),
            path: format!("/{name}{query}"),
            headers: headers.chain([kind]).collect(),
            body: sample.body.to_string(),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn put(&mut self, at: &Piece, text: &str) {
        match at {
            Piece::Header(name) => self.set(name, text),
            Piece::Query(name) => {
                let mark = if self.path.contains('?') { '&' } else { '?' };
                self.path.push_str(&format!("{mark}{name}={text}"));
            }
            Piece::Pointer(keys) => {
                let mut json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
                *json.pointer_mut(&format!("/{}", keys.join("/"))).expect("a member") = text.into();
                self.body = json.to_string();
            }
            other => panic!("nothing is signed at {other}"),
        }
    }

    /// Signed as a provider signs at this time.
    fn signed(mut self, provider: &str, secret: &str, now: SystemTime) -> Self {
        let name = self.path[1..].split('?').next().unwrap_or_default();
        let facts = source::facts(provider).unwrap();
        let endpoint = Endpoint::of(provider, facts, vec![Secret::new(secret)], &told(name));
        let signer =
            Signer::new(&endpoint, &endpoint.auth[0]).unwrap_or_else(|| panic!("{provider}"));
        for (at, text) in signer.before(self.body.as_bytes(), now) {
            self.put(&at, text.expose());
        }
        let url = format!("https://hooks.example.com{}", self.path);
        let made = signer.sign(&self.method, &url, self.body.as_bytes(), now);
        for (at, text) in made.unwrap_or_else(|| panic!("{provider}: {self:?}")) {
            self.put(&at, text.expose());
        }
        self
    }

    /// Signed with the private half of [`ED25519`], as Discord does.
    fn signed_by_key(mut self, now: SystemTime) -> Self {
        let seed: Vec<u8> = (0..32).collect();
        let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let time = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
        let signature = key.sign(format!("{time}{}", self.body).as_bytes());
        self.set("x-signature-timestamp", &time);
        self.set("x-signature-ed25519", &data_encoding::HEXLOWER.encode(signature.as_ref()));
        self
    }

    async fn send(&self, bridge: &Bridge) -> Answer {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let url = bridge.url(&self.path);
        bridge.client().request(self.method.clone(), &url, self.body.clone(), &headers).await
    }
}

/// The public half of the key that tests sign with, in hex.
const ED25519: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
