//! Signing as a provider would, for `hookbus send` and tests.

use std::time::SystemTime;

use http::Method;

use super::bound_jwt::BoundJwt;
use super::signature::Signature;
use crate::config::piece::{Piece, pieces};
use crate::config::provider;
use crate::config::secret::Secret;
use crate::config::{self, Auth};

/// What lets a request in that is made here.
#[derive(Debug)]
pub struct Signer(Way);

#[derive(Debug)]
enum Way {
    Signature(Box<Signature>),
    Token { at: Piece, text: Secret },
    Jwt { header: Piece, jwt: BoundJwt },
}

/// A text, and the place that it goes to: a header, a parameter of the query, or a member of the body.
pub type Change = (Piece, Secret);

impl Signer {
    /// By this kind of an endpoint; nothing where it is another kind, or only the provider can do it.
    pub fn new(endpoint: &config::Endpoint, kind: &Auth) -> Option<Self> {
        let signatures = Signature::all(endpoint, kind).into_iter();
        let signature =
            signatures.filter(Signature::can_sign).map(Box::new).map(Way::Signature).next();
        signature.or_else(|| Self::plain(endpoint, kind)).map(Self)
    }

    fn plain(endpoint: &config::Endpoint, kind: &Auth) -> Option<Way> {
        let Auth::Signature(config::Signature { secrets, .. }) = kind else { return None };
        let provider = endpoint.facts.description.as_ref()?;
        let token = provider.tokens.first().and_then(|token| Self::token(token, secrets.first()?));
        token.or_else(|| {
            let settings = provider.jwts.first()?;
            let header = Piece::Header(settings.header.to_ascii_lowercase());
            Some(Way::Jwt { header, jwt: BoundJwt::new(settings, secrets) })
        })
    }

    fn token(token: &provider::Token, secret: &Secret) -> Option<Way> {
        let at = match pieces(&token.at).ok()?.pop()? {
            // Samples have one element.
            Piece::Pointer(keys) => {
                let one = |key: String| if key == "*" { "0".to_owned() } else { key };
                Piece::Pointer(keys.into_iter().map(one).collect())
            }
            other => other,
        };
        let text = Secret::new(format!("{}{}", token.prefix, secret.expose()));
        Some(Way::Token { at, text })
    }

    /// What is to be changed before it is signed: a time in the body, a hash in the query.
    pub fn before(&self, body: &[u8], now: SystemTime) -> Vec<Change> {
        match &self.0 {
            Way::Signature(signature) => signature.before(body, now),
            Way::Token { .. } | Way::Jwt { .. } => Vec::new(),
        }
    }

    /// What the request gets then; nothing where it can't be signed.
    pub fn sign(
        &self,
        method: &Method,
        url: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Option<Vec<Change>> {
        match &self.0 {
            Way::Signature(signature) => signature.sign(method, url, body, now),
            Way::Token { at, text } => Some(vec![(at.clone(), text.clone())]),
            Way::Jwt { header, jwt } => {
                Some(vec![(header.clone(), Secret::new(jwt.sign(body, now)?))])
            }
        }
    }
}
