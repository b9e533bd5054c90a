//! OAuth 2 access tokens (RFC 6750, RFC 9068): a signed token behind `Bearer`, for us and from the right issuer.

use std::collections::HashSet;

use http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::jwks::{Issuers, Keys};
use super::{Cause, only};
use crate::config;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// What tokens must be like.
pub(super) struct Jwt {
    keys: Keys,
    validation: Validation,
}

/// Everything that counts is looked at by the library.
#[derive(Deserialize)]
struct Claims {}

impl Jwt {
    pub(super) fn new(settings: &config::Jwt, issuers: &Issuers) -> Self {
        let algorithms: Vec<_> = settings.algorithms.iter().map(|name| algorithm(*name)).collect();
        let mut validation =
            Validation::new(algorithms.first().copied().unwrap_or(Algorithm::RS256));
        validation.algorithms = algorithms;
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "aud"].map(str::to_owned));
        super::jwks::install();
        Self { keys: issuers.keys(&settings.jwks), validation }
    }

    /// Fetch the keys.
    pub(super) async fn prepare(&self) {
        self.keys.refresh().await;
    }

    /// Exactly one token, signed by one of the keys.
    pub(super) async fn accepts(&self, headers: &HeaderMap) -> Result<(), Cause> {
        let value = only(headers, &header::AUTHORIZATION)?;
        let value = value.to_str().map_err(|_| Cause::Malformed)?;
        let (scheme, token) = value.split_once(' ').ok_or(Cause::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > MAX_TOKEN_BYTES {
            return Err(Cause::Malformed);
        }
        let head = decode_header(token).map_err(|_| Cause::Malformed)?;
        // Before any key is looked for: what the token says about itself chooses nothing else.
        if !self.validation.algorithms.contains(&head.alg) {
            return Err(Cause::Mismatch);
        }
        let mut cause = Cause::Mismatch;
        for key in self.keys.find(head.kid.as_deref(), head.alg).await? {
            match self.check(token, &key, head.alg) {
                Ok(()) => return Ok(()),
                Err(other) => cause = cause.max(other),
            }
        }
        Err(cause)
    }

    fn check(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<(), Cause> {
        let mut validation = self.validation.clone();
        // The library wants all of them to be of the key's family.
        validation.algorithms = vec![algorithm];
        match decode::<Claims>(token, key, &validation) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                ErrorKind::ExpiredSignature => Cause::TooOld,
                ErrorKind::ImmatureSignature => Cause::FromFuture,
                ErrorKind::InvalidAudience
                | ErrorKind::InvalidIssuer
                | ErrorKind::MissingRequiredClaim(_)
                | ErrorKind::InvalidClaimFormat(_) => Cause::Audience,
                _ => Cause::Mismatch,
            }),
        }
    }
}

/// Only algorithms with a public key: with a shared one, anyone who can check a token can make one.
fn algorithm(name: config::JwtAlgorithm) -> Algorithm {
    use config::JwtAlgorithm as Name;
    match name {
        Name::RS256 => Algorithm::RS256,
        Name::RS384 => Algorithm::RS384,
        Name::RS512 => Algorithm::RS512,
        Name::PS256 => Algorithm::PS256,
        Name::PS384 => Algorithm::PS384,
        Name::PS512 => Algorithm::PS512,
        Name::ES256 => Algorithm::ES256,
        Name::ES384 => Algorithm::ES384,
        Name::EdDSA => Algorithm::EdDSA,
    }
}
