//! A signature over the received bytes: a provider's own scheme, or one that a user describes.
//!
//! A message id counts only where it is signed too, or the operator said that it may.

pub mod scheme;

use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderName, Method};

use self::scheme::Scheme;
use super::{Cause, Delivery, Mark, only, seen};
use crate::config::piece::Piece;
use crate::config::secret::Secret;
use crate::config::{self, Replay};
use crate::places::Form;

/// What an endpoint's signatures must be like, and what they say of a delivery.
#[derive(Debug)]
pub struct Signature {
    scheme: Scheme,
    /// Its number among the schemes of its endpoint.
    number: usize,
    message_id: Option<MessageId>,
    replay: Replay,
}

/// An id that a repeated delivery has again.
#[derive(Debug)]
struct MessageId {
    header: HeaderName,
    is_signed: bool,
}

/// A signature whose headers are in order, and whose bytes are to come.
pub(super) struct Signed<'a> {
    signature: &'a Signature,
    signed: scheme::Signed<'a>,
    message_id: &'a str,
}

impl Signature {
    /// A provider's own scheme; `url` is the one that it was told.
    pub fn new(settings: &config::scheme::Scheme, secrets: &[Secret], url: Option<&str>) -> Self {
        let scheme = Scheme::new(settings, secrets, url);
        Self { scheme, number: 0, message_id: None, replay: Replay::Dedupe }
    }

    /// As its users configure it; `trusted` are the headers that count unsigned.
    pub fn of_hmac(settings: &config::Hmac, url: Option<&str>, trusted: &[String]) -> Self {
        let scheme = Scheme::new(&settings.scheme(), &settings.secrets, url);
        let name = settings.message_id_header();
        let is_signed = scheme.signs(&Piece::Header(name.to_ascii_lowercase()));
        let is_trusted = trusted.iter().any(|trusted| trusted.eq_ignore_ascii_case(name));
        let header = name.parse().ok().filter(|_| is_signed || is_trusted);
        let message_id = header.map(|header| MessageId { header, is_signed });
        Self { scheme, number: 0, message_id, replay: settings.replay }
    }

    /// Those that an endpoint accepts by this kind; none where it is another one.
    pub fn all(endpoint: &config::Endpoint, kind: &config::Auth) -> Vec<Self> {
        let url = endpoint.public_url.as_deref();
        match kind {
            config::Auth::Hmac(settings) => {
                vec![Self::of_hmac(settings, url, &endpoint.trust_unsigned)]
            }
            config::Auth::Signature(config::Signature { secrets, .. }) => {
                let schemes = endpoint.schemes(kind);
                schemes.iter().map(|scheme| Self::new(scheme, secrets, url)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The same with the number of its scheme among those of its endpoint.
    pub(super) fn numbered(self, number: usize) -> Self {
        Self { number, ..self }
    }

    /// Whether anybody can meet it: some secret is one of its scheme.
    pub(super) fn has_keys(&self) -> bool {
        self.scheme.has_keys()
    }

    /// What the head alone can decide.
    pub(super) fn head<'a>(&'a self, head: &'a Parts) -> Result<Signed<'a>, Cause> {
        let signed = self.scheme.head(head, SystemTime::now())?;
        let message_id = match &self.message_id {
            None => "",
            Some(MessageId { header, is_signed }) => match only(&head.headers, header) {
                Ok(value) => value.to_str().map_err(|_| Cause::Malformed)?,
                Err(Cause::Missing) if !is_signed => "",
                Err(cause) => return Err(cause),
            },
        };
        Ok(Signed { signature: self, signed, message_id })
    }

    /// Whether signatures can be made here: with a public key only the provider can.
    pub(super) fn can_sign(&self) -> bool {
        self.scheme.can_sign()
    }

    /// What a sender of these bytes changes before it signs them.
    pub(super) fn before(&self, body: &[u8], now: SystemTime) -> Vec<(Piece, Secret)> {
        secret(self.scheme.before(body, now))
    }

    /// What a sender of these bytes adds, by the first of the secrets; nothing where only the provider can sign.
    pub(super) fn sign(
        &self,
        method: &Method,
        url: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Option<Vec<(Piece, Secret)>> {
        self.scheme.sign(method, url, body, now).map(secret)
    }
}

fn secret(all: Vec<(Piece, String)>) -> Vec<(Piece, Secret)> {
    all.into_iter().map(|(at, text)| (at, Secret::new(text))).collect()
}

impl<'a> Signed<'a> {
    /// Whether checking a body takes memory like that of the body once more.
    pub(super) fn copies_body(&self) -> bool {
        self.signature.scheme.copies_body()
    }

    /// The next piece of a body.
    pub(super) fn part(&mut self, head: &Parts, part: &[u8]) {
        self.signed.part(head, part);
    }

    /// What is known of a delivery whose signature is that of these bytes, and the number of the secret that made it. The
    /// fields of a form are left in `form`, if they had to be found.
    pub(super) fn verify(
        self,
        head: &Parts,
        body: &[u8],
        form: &mut Option<Form>,
    ) -> Result<(Delivery<'a>, usize), Cause> {
        let Self { signature, signed, message_id } = self;
        let id = Some(message_id).filter(|id| !id.is_empty());
        let proof = signed.verify_form(head, body, form)?;
        let mark = signature.mark(id, &proof);
        let scheme = Some(signature.number);
        Ok((Delivery { id, mark, replay: signature.replay, scheme, by: None }, proof.key))
    }
}

impl Signature {
    /// What tells this delivery from all others. A replayed delivery can change nothing of that.
    fn mark(&self, id: Option<&str>, proof: &scheme::Proof<'_>) -> Option<Mark> {
        match (self.replay, id) {
            (Replay::Dedupe, Some(id)) => Some(Mark::new(&[b"id", id.as_bytes()], None)),
            (Replay::Dedupe, None) => None,
            (Replay::Refuse, id) => {
                let tolerance = self.scheme.tolerance().as_secs();
                let time = proof.at.map(|at| seen::Signed { at, tolerance });
                let is_signed = self.message_id.as_ref().is_some_and(|id| id.is_signed);
                Some(match id.filter(|_| is_signed) {
                    Some(id) => Mark::new(&[b"id", id.as_bytes(), proof.time.as_bytes()], time),
                    // It says nothing about itself that is signed: then it is its signature.
                    None => Mark::new(&[b"signature", &proof.signature], time),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
