//! Signatures as a provider's description says that they are.
//!
//! What the head alone shows is judged first: the headers are there once, the signature can be read, its time is near.
//! The body is signed piece by piece as it comes, where the scheme allows that.

mod layout;
mod message;
mod sign;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};

use self::layout::Read;
use crate::auth::secret::same;
use crate::auth::{Cause, only};
use crate::config::piece::{Piece, pieces};
use crate::config::scheme::{self, Algorithm, Encoding, KeyForm, Layout, TimeUnit};
use crate::config::secret::Secret;

/// Candidates of one request that are tried; senders that change their secret send two.
const MAX_SIGNATURES: usize = 8;
/// A larger number is one of milliseconds: in seconds it would be the year 5138.
const MIN_MILLISECONDS: u64 = 100_000_000_000;
/// What stands before the 32 bytes of an Ed25519 key, and before the 65 of a P-256 key, in a SubjectPublicKeyInfo.
const SPKI_HEADS: [usize; 2] = [12, 26];

/// A scheme with its keys.
#[derive(Debug)]
pub struct Scheme {
    keys: Vec<Key>,
    headers: Vec<HeaderName>,
    layout: Layout,
    prefix: String,
    separator: String,
    encoding: Encoding,
    message: Vec<Piece>,
    time: Option<Timed>,
    /// The URL that the sender was told, where it is known.
    url: Option<String>,
}

#[derive(Debug)]
enum Key {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

/// The time of signing.
#[derive(Debug)]
struct Timed {
    at: Piece,
    unit: TimeUnit,
    tolerance: Duration,
}

/// What a signature that was found to be right says.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// It itself.
    pub signature: Vec<u8>,
    /// The time of signing as it was sent, where it is signed.
    pub time: &'a str,
    /// The same in seconds since 1970.
    pub at: Option<u64>,
}

/// A signature whose headers are in order, and whose bytes are to come.
pub struct Signed<'a> {
    scheme: &'a Scheme,
    read: Read<'a>,
    time: &'a str,
    /// The same, since 1970.
    at: Option<Duration>,
    /// The signatures as far as the body has come, for each URL by each key; none for one that comes in one piece.
    begun: Vec<hmac::Context>,
}

impl Scheme {
    /// As described; `url` is the one that the sender was told. A key that can't be read was a problem of the
    /// configuration, and lets nobody in.
    pub fn new(settings: &scheme::Scheme, secrets: &[Secret], url: Option<&str>) -> Self {
        let keys = secrets.iter().filter_map(|secret| key(settings, secret.expose()));
        let at = settings.time.as_deref().and_then(|text| pieces(text).ok()?.pop());
        let positional = (settings.layout == Layout::Positional).then_some(Piece::Time);
        Self {
            keys: keys.collect(),
            headers: settings.headers.iter().filter_map(|name| name.parse().ok()).collect(),
            layout: settings.layout,
            prefix: settings.prefix.clone(),
            separator: settings.separator.clone(),
            encoding: settings.encoding,
            message: pieces(&settings.message).unwrap_or_default(),
            time: at.or(positional).map(|at| Timed {
                at,
                unit: settings.time_unit,
                tolerance: settings.tolerance.get(),
            }),
            url: url.map(str::to_owned),
        }
    }

    /// What the head alone can decide.
    pub fn head<'a>(&'a self, head: &'a Parts, now: SystemTime) -> Result<Signed<'a>, Cause> {
        let present = self.headers.iter().find(|name| head.headers.contains_key(*name));
        let value = text(only(&head.headers, present.ok_or(Cause::Missing)?)?)?;
        let read = self.read(value)?;
        // What is signed must be there before a body is read for it.
        for piece in &self.message {
            if let Piece::Header(name) = piece {
                text(only(&head.headers, &name.parse().map_err(|_| Cause::Missing)?)?)?;
            }
        }
        let mut signed = Signed { scheme: self, read, time: "", at: None, begun: Vec::new() };
        if let Some(timed) = &self.time {
            signed.time = signed.time_text(head, &timed.at)?;
            signed.at = Some(timed.check(signed.time, now)?);
        }
        Ok(signed)
    }

    /// Whether this is a part of what is signed.
    pub fn signs(&self, piece: &Piece) -> bool {
        self.message.contains(piece)
    }

    /// How far the time of signing may be from ours.
    pub fn tolerance(&self) -> Duration {
        self.time.as_ref().map_or(Duration::ZERO, |timed| timed.tolerance)
    }

    fn decode(&self, written: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(written.as_bytes()).ok(),
            Encoding::Base64 => BASE64_NOPAD.decode(unpadded(written)).ok(),
            Encoding::Base64url => BASE64URL_NOPAD.decode(unpadded(written)).ok(),
        }
    }

    /// Whether the body may be signed as it comes: it stands in the message once, and nothing else is read from it.
    fn is_streamed(&self) -> bool {
        let is_of_body = |piece: &&Piece| {
            matches!(piece, Piece::Body | Piece::Form(_) | Piece::FormSorted | Piece::Pointer(_))
        };
        let has_secrets = self.keys.iter().all(|key| matches!(key, Key::Secret(_)));
        let mut of_body = self.message.iter().filter(is_of_body);
        has_secrets && of_body.next() == Some(&Piece::Body) && of_body.next().is_none()
    }
}

impl Timed {
    /// The time since 1970, if it is near enough.
    fn check(&self, text: &str, now: SystemTime) -> Result<Duration, Cause> {
        let time = match self.unit {
            TimeUnit::Rfc3339 => {
                let time = humantime::parse_rfc3339(text).map_err(|_| Cause::Malformed)?;
                time.duration_since(UNIX_EPOCH).map_err(|_| Cause::Stale)?
            }
            unit => {
                // Not `+5`, nor anything else that a parser might let through.
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Cause::Malformed);
                }
                let number: u64 = text.parse().map_err(|_| Cause::Stale)?;
                let is_milliseconds = match unit {
                    TimeUnit::Milliseconds => true,
                    TimeUnit::Seconds => false,
                    _ => number >= MIN_MILLISECONDS,
                };
                match is_milliseconds {
                    true => Duration::from_millis(number),
                    false => Duration::from_secs(number),
                }
            }
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.abs_diff(time) <= self.tolerance { Ok(time) } else { Err(Cause::Stale) }
    }
}

impl<'a> Signed<'a> {
    /// The next piece of a body.
    pub fn part(&mut self, head: &Parts, part: &[u8]) {
        if !self.scheme.is_streamed() {
            return;
        }
        if self.begun.is_empty() {
            let before = self.scheme.message.iter().take_while(|piece| **piece != Piece::Body);
            for url in self.urls(head) {
                for key in &self.scheme.keys {
                    if let Key::Secret(key) = key {
                        let mut context = hmac::Context::with_key(key);
                        for piece in before.clone() {
                            context.update(&self.bytes(piece, head, &url, b""));
                        }
                        self.begun.push(context);
                    }
                }
            }
        }
        self.begun.iter_mut().for_each(|context| context.update(part));
    }

    /// Whether one of the signatures is that of these bytes, by any of the keys.
    pub fn verify(mut self, head: &Parts, body: &[u8]) -> Result<Proof<'a>, Cause> {
        let message = &self.scheme.message;
        let mut begun = std::mem::take(&mut self.begun).into_iter();
        let after = match begun.len() {
            0 => 0,
            _ => message.iter().position(|piece| *piece == Piece::Body).map_or(0, |at| at + 1),
        };
        let urls = self.urls(head);
        let all = urls.iter().flat_map(|url| self.scheme.keys.iter().map(move |key| (url, key)));
        let mut right = None;
        // All are looked at, so that the time doesn't tell which fits.
        let mut take = |at: usize, is_right: bool| {
            if is_right {
                right = Some(at);
            }
        };
        let signatures = &self.read.signatures;
        all.for_each(|(url, key)| match key {
            Key::Secret(key) => {
                let begun = begun.next();
                let mut context = begun.unwrap_or_else(|| hmac::Context::with_key(key));
                for piece in &message[after..] {
                    context.update(&self.bytes(piece, head, url, body));
                }
                let tag = context.sign();
                for (at, signature) in signatures.iter().enumerate() {
                    take(at, same(tag.as_ref(), signature));
                }
            }
            Key::Public(key) => {
                let pieces = message.iter().map(|piece| self.bytes(piece, head, url, body));
                let signed = pieces.collect::<Vec<_>>().concat();
                for (at, signature) in signatures.iter().enumerate() {
                    take(at, key.verify(&signed, signature).is_ok());
                }
            }
        });
        let signature = right.and_then(|at| signatures.get(at)).ok_or(Cause::Mismatch)?;
        // What isn't signed says nothing.
        let is_timed = self.scheme.signs(&Piece::Time);
        let (time, at) = if is_timed { (self.time, self.at) } else { ("", None) };
        let at = at.map(|at| at.as_secs());
        Ok(Proof { signature: signature.clone(), time, at })
    }

    fn time_text(&self, head: &'a Parts, at: &Piece) -> Result<&'a str, Cause> {
        match at {
            Piece::Header(name) => {
                text(only(&head.headers, &name.parse().map_err(|_| Cause::Missing)?)?)
            }
            Piece::Pair(name) => self.read.pair(name).ok_or(Cause::Malformed),
            Piece::Time => self.read.time.ok_or(Cause::Malformed),
            _ => Err(Cause::Malformed),
        }
    }

    /// What stands for a piece of the message.
    fn bytes<'b>(
        &'b self,
        piece: &'b Piece,
        head: &'b Parts,
        url: &'b str,
        body: &'b [u8],
    ) -> Cow<'b, [u8]> {
        match piece {
            Piece::Time => Cow::Borrowed(self.time.as_bytes()),
            Piece::Pair(name) => Cow::Borrowed(self.read.pair(name).unwrap_or_default().as_bytes()),
            other => message::bytes(other, head, url, body),
        }
    }

    /// The forms that the URL may have been signed in.
    fn urls(&self, head: &Parts) -> Vec<String> {
        match self.scheme.message.contains(&Piece::Url) {
            true => message::urls(self.scheme.url.as_deref(), head),
            false => vec![String::new()],
        }
    }
}

fn text(value: &HeaderValue) -> Result<&str, Cause> {
    value.to_str().map_err(|_| Cause::Malformed)
}

fn unpadded(written: &str) -> &[u8] {
    written.trim_end_matches('=').as_bytes()
}

/// A key, if it is written as it should be.
fn key(settings: &scheme::Scheme, written: &str) -> Option<Key> {
    let written = written.strip_prefix(settings.key_prefix.as_str()).unwrap_or(written);
    let bytes = match settings.key {
        KeyForm::Text => written.as_bytes().to_vec(),
        KeyForm::Base64 | KeyForm::Spki => BASE64_NOPAD.decode(unpadded(written)).ok()?,
        KeyForm::Hex => HEXLOWER_PERMISSIVE.decode(written.as_bytes()).ok()?,
    };
    let public = |bytes: Vec<u8>, heads: usize, algorithm| {
        let bytes = match settings.key {
            KeyForm::Spki => bytes.get(heads..)?.to_vec(),
            _ => bytes,
        };
        Some(Key::Public(UnparsedPublicKey::new(algorithm, bytes)))
    };
    let algorithm = match settings.algorithm {
        Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::HmacSha256 => hmac::HMAC_SHA256,
        Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        Algorithm::Ed25519 => return public(bytes, SPKI_HEADS[0], &ED25519),
        Algorithm::EcdsaP256Sha256 => return public(bytes, SPKI_HEADS[1], &ECDSA_P256_SHA256_ASN1),
    };
    // Anybody could sign with nothing.
    (!bytes.is_empty()).then(|| Key::Secret(hmac::Key::new(algorithm, &bytes)))
}

#[cfg(test)]
mod tests;
