//! JSON Web Tokens (RFC 7519) that a provider signs with a shared secret, and that hold a hash of the body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use http::HeaderName;
use http::request::Parts;
use ring::{digest, hmac};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::secret::find;
use super::secret::same;
use super::{Cause, only};
use crate::config::provider;
use crate::config::scheme::Encoding;
use crate::config::secret::Secret;

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// How long a token is valid that doesn't say it, in seconds from its `iat` on.
const MAX_AGE: f64 = 300.0;

/// What tokens must be like.
#[derive(Debug)]
pub(super) struct BoundJwt {
    header: Option<HeaderName>,
    prefix: String,
    issuer: Option<String>,
    body_hash: String,
    encoding: Encoding,
    tolerance: Duration,
    /// Each with its number in the configuration.
    keys: Vec<(usize, hmac::Key)>,
}

/// A token whose body is to come.
pub(super) struct Bound {
    /// The number of the secret that signed the token.
    secret: usize,
    hash: Vec<u8>,
    /// The hash of the body as far as it has come; none for one that comes in one piece.
    begun: Option<digest::Context>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
}

impl BoundJwt {
    pub(super) fn new(settings: &provider::BoundJwt, secrets: &[Secret]) -> Self {
        // Anybody could sign with nothing.
        let secrets = secrets.iter().map(Secret::expose).enumerate();
        let secrets = secrets.filter(|(_, secret)| !secret.is_empty());
        let key = |(number, secret): (usize, &str)| {
            (number, hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
        };
        Self {
            header: settings.header.parse().ok(),
            prefix: settings.prefix.clone(),
            issuer: settings.issuer.clone(),
            body_hash: settings.body_hash.clone(),
            encoding: settings.encoding,
            tolerance: settings.tolerance.get(),
            keys: secrets.map(key).collect(),
        }
    }

    /// Exactly one token, signed by one of the secrets, of this time.
    pub(super) fn head(&self, head: &Parts, now: SystemTime) -> Result<Bound, Cause> {
        let header = self.header.as_ref().ok_or(Cause::Missing)?;
        let value = only(&head.headers, header)?.to_str().map_err(|_| Cause::Malformed)?;
        let token = value.strip_prefix(&self.prefix).ok_or(Cause::Malformed)?;
        let (claims, secret) = self.claims(token)?;
        if self.issuer.as_deref().is_some_and(|issuer| claims.get("iss") != Some(&issuer.into())) {
            return Err(Cause::Audience);
        }
        self.check_time(&claims, now)?;
        let written = claims.get(&self.body_hash).and_then(Value::as_str);
        let hash = self.decode(written.ok_or(Cause::Audience)?).ok_or(Cause::Malformed)?;
        Ok(Bound { secret, hash, begun: None })
    }

    /// What a token says whose signature is right, and the number of the secret that made it.
    fn claims(&self, token: &str) -> Result<(Map<String, Value>, usize), Cause> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Cause::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Cause::Malformed)?;
        let (head, claims) = signed.split_once('.').ok_or(Cause::Malformed)?;
        let decode =
            |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Cause::Malformed);
        let (head, claims, signature) = (decode(head)?, decode(claims)?, decode(signature)?);
        let head: Head = serde_json::from_slice(&head).map_err(|_| Cause::Malformed)?;
        // What the token says about itself chooses nothing.
        if head.alg != "HS256" {
            return Err(Cause::Mismatch);
        }
        let fits = |(_, key): &(_, hmac::Key)| {
            same(hmac::sign(key, signed.as_bytes()).as_ref(), &signature)
        };
        let at = find(&self.keys, fits).ok_or(Cause::Mismatch)?;
        let claims = serde_json::from_slice(&claims).map_err(|_| Cause::Malformed)?;
        Ok((claims, self.keys[at].0))
    }

    /// Each of the times that the token says. One that doesn't say until when it is valid is so for five minutes.
    fn check_time(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<(), Cause> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let slack = self.tolerance.as_secs_f64();
        for (name, is_end) in [("exp", true), ("nbf", false), ("iat", false)] {
            let Some(claim) = claims.get(name) else { continue };
            let time = claim.as_f64().ok_or(Cause::Malformed)?;
            if is_end && now > time + slack
                || name == "iat" && !claims.contains_key("exp") && now > time + MAX_AGE + slack
            {
                return Err(Cause::TooOld);
            }
            if !is_end && now < time - slack {
                return Err(Cause::FromFuture);
            }
        }
        Ok(())
    }

    fn decode(&self, written: &str) -> Option<Vec<u8>> {
        let unpadded = written.trim_end_matches('=').as_bytes();
        match self.encoding {
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(written.as_bytes()).ok(),
            Encoding::Base64 => BASE64_NOPAD.decode(unpadded).ok(),
            Encoding::Base64url => BASE64URL_NOPAD.decode(unpadded).ok(),
        }
    }
}

impl BoundJwt {
    /// A token for these bytes, for a minute; nothing without a secret.
    pub(super) fn sign(&self, body: &[u8], now: SystemTime) -> Option<String> {
        let hash = digest::digest(&digest::SHA256, body);
        let hash = match self.encoding {
            Encoding::Hex => HEXLOWER.encode(hash.as_ref()),
            Encoding::Base64 => BASE64.encode(hash.as_ref()),
            Encoding::Base64url => BASE64URL_NOPAD.encode(hash.as_ref()),
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = Map::new();
        claims.insert("iss".into(), self.issuer.as_deref().unwrap_or("hookbus").into());
        claims.insert("iat".into(), now.into());
        claims.insert("nbf".into(), now.into());
        claims.insert("exp".into(), (now + 60).into());
        claims.insert(self.body_hash.clone(), hash.into());
        let claims = Value::Object(claims).to_string();
        let head = BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
        let signature = hmac::sign(&self.keys.first()?.1, signed.as_bytes());
        let signature = BASE64URL_NOPAD.encode(signature.as_ref());
        Some(format!("{}{signed}.{signature}", self.prefix))
    }
}

impl Bound {
    /// The next piece of a body.
    pub(super) fn part(&mut self, part: &[u8]) {
        self.begun.get_or_insert_with(|| digest::Context::new(&digest::SHA256)).update(part);
    }

    /// The number of the secret, if the body is the one that the token was made for.
    pub(super) fn verify(self, body: &[u8]) -> Result<usize, Cause> {
        let hash = match self.begun {
            Some(begun) => begun.finish(),
            None => digest::digest(&digest::SHA256, body),
        };
        if same(&self.hash, hash.as_ref()) { Ok(self.secret) } else { Err(Cause::Mismatch) }
    }
}

#[cfg(test)]
mod tests;
