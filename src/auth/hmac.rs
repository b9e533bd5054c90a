//! A signature over the received bytes, as Vapi's HMAC credential makes it (vapi: HMACAuthenticationPlan).
//!
//! What is signed is a text with placeholders. The timestamp is part of it unless the sender leaves it out, and must be
//! near our clock, in either direction. Its unit is not documented: seconds and milliseconds are told apart by size.
//!
//! A message id counts only where it is signed too, or the operator said that it may.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ring::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512, Key, Tag};
use uuid::Uuid;

use super::secret::{is_any, same};
use super::{Cause, Delivery, Mark, only, seen};
use crate::config::signature::{MESSAGE_ID, Piece, pieces};
use crate::config::{self, HmacAlgorithm, Replay, SignatureEncoding};

/// A larger number is one of milliseconds: in seconds it would be the year 5138.
const MIN_MILLISECONDS: u64 = 100_000_000_000;

/// What an endpoint's signatures must be like.
#[derive(Debug)]
pub struct Hmac {
    keys: Vec<Key>,
    signature: Option<HeaderName>,
    prefix: String,
    encoding: SignatureEncoding,
    timestamp: Option<HeaderName>,
    tolerance: Duration,
    message_id: Option<HeaderName>,
    /// What the message id is worth.
    identity: Identity,
    replay: Replay,
    format: Vec<Piece>,
    /// The URL that the sender was told, where it is signed and known.
    url: Option<String>,
}

/// What a message id is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// It is signed.
    Signed,
    /// It isn't, and counts all the same: its endpoint says so.
    Trusted,
    /// It isn't, so it isn't looked at.
    Unknown,
}

/// A signature whose headers are in order, and whose bytes are to come.
pub(super) struct Signed<'a> {
    hmac: &'a Hmac,
    signature: Vec<u8>,
    timestamp: &'a str,
    /// The same in seconds, where it is signed.
    time: Option<u64>,
    message_id: &'a str,
    /// The signatures as far as the body has come, for each URL by each key; none for one that comes in one piece.
    begun: Vec<Context>,
}

impl Hmac {
    /// As configured; `url` is the one that the sender was told, `trusted` are the headers that count unsigned.
    pub fn new(settings: &config::Hmac, url: Option<&str>, trusted: &[String]) -> Self {
        let algorithm = match settings.algorithm {
            HmacAlgorithm::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HmacAlgorithm::Sha256 => HMAC_SHA256,
            HmacAlgorithm::Sha512 => HMAC_SHA512,
        };
        // A secret that can't be decoded was a problem of the configuration, and signs nothing.
        let key = |secret: &config::secret::Secret| match settings.secret_is_base64 {
            true => Some(Key::new(algorithm, &BASE64.decode(secret.expose().as_bytes()).ok()?)),
            false => Some(Key::new(algorithm, secret.expose().as_bytes())),
        };
        let format = pieces(settings.format()).unwrap_or_default();
        let identity = match &settings.message_id_header {
            _ if format.contains(&Piece::MessageId) => Identity::Signed,
            Some(name) if trusted.iter().any(|trusted| trusted.eq_ignore_ascii_case(name)) => {
                Identity::Trusted
            }
            _ => Identity::Unknown,
        };
        let message_id = settings.message_id_header.as_deref().unwrap_or(MESSAGE_ID);
        Self {
            keys: settings.secrets.iter().filter_map(key).collect(),
            signature: settings.signature_header.parse().ok(),
            prefix: settings.signature_prefix.clone(),
            encoding: settings.signature_encoding,
            timestamp: settings
                .timestamp_header
                .parse()
                .ok()
                .filter(|_| settings.include_timestamp),
            tolerance: settings.tolerance.get(),
            message_id: message_id.parse().ok(),
            identity,
            replay: settings.replay,
            format,
            url: url.map(str::to_owned),
        }
    }

    /// What the head alone can decide.
    pub(super) fn head<'a>(&'a self, head: &'a Parts) -> Result<Signed<'a>, Cause> {
        let value = only(&head.headers, self.signature.as_ref().ok_or(Cause::Missing)?)?;
        let value =
            value.as_bytes().strip_prefix(self.prefix.as_bytes()).ok_or(Cause::Malformed)?;
        let encoding = match self.encoding {
            SignatureEncoding::Hex => HEXLOWER_PERMISSIVE,
            SignatureEncoding::Base64 => BASE64,
        };
        let signature = encoding.decode(value).map_err(|_| Cause::Malformed)?;
        let (timestamp, time) = match &self.timestamp {
            None => ("", None),
            Some(name) => {
                let text = only(&head.headers, name)?.to_str().map_err(|_| Cause::Malformed)?;
                let time = self.check_time(text, SystemTime::now())?;
                (text, Some(time).filter(|_| self.format.contains(&Piece::Timestamp)))
            }
        };
        let message_id = self.message_id(&head.headers)?;
        Ok(Signed { hmac: self, signature, timestamp, time, message_id, begun: Vec::new() })
    }

    /// The message id, where it counts; nothing where it doesn't, or is missing and needn't be there.
    fn message_id<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Cause> {
        let value = || {
            let value = only(headers, self.message_id.as_ref().ok_or(Cause::Missing)?)?;
            value.to_str().map_err(|_| Cause::Malformed)
        };
        match self.identity {
            Identity::Unknown => Ok(""),
            Identity::Signed => value(),
            Identity::Trusted => match value() {
                Err(Cause::Missing) => Ok(""),
                found => found,
            },
        }
    }

    /// The headers that a sender of these bytes adds now, by the first of the secrets; nothing without one.
    pub fn sign(&self, method: &Method, url: &str, body: &[u8]) -> Option<HeaderMap> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp =
            if self.timestamp.is_some() { timestamp.as_secs().to_string() } else { String::new() };
        let id = Uuid::now_v7().to_string();
        let tag = self.tag(self.keys.first()?, |piece| match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Body => body,
            Piece::Timestamp => timestamp.as_bytes(),
            Piece::Method => method.as_str().as_bytes(),
            Piece::Url => self.url.as_deref().unwrap_or(url).as_bytes(),
            Piece::MessageId => id.as_bytes(),
        });
        let signature = match self.encoding {
            SignatureEncoding::Hex => HEXLOWER.encode(tag.as_ref()),
            SignatureEncoding::Base64 => BASE64.encode(tag.as_ref()),
        };
        let message_id = self.message_id.as_ref().filter(|_| self.identity != Identity::Unknown);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (self.signature.as_ref(), format!("{}{signature}", self.prefix)),
            (self.timestamp.as_ref(), timestamp),
            (message_id, id),
        ] {
            if let Some(name) = name {
                headers.insert(name, HeaderValue::from_str(&value).ok()?);
            }
        }
        Some(headers)
    }

    /// The signature by one secret of what the pieces of the format stand for.
    fn tag<'a>(&'a self, key: &Key, bytes: impl Fn(&'a Piece) -> &'a [u8]) -> Tag {
        let mut context = Context::with_key(key);
        for piece in &self.format {
            context.update(bytes(piece));
        }
        context.sign()
    }

    /// The time of signing in seconds, if it is near enough.
    fn check_time(&self, text: &str, now: SystemTime) -> Result<u64, Cause> {
        // Not `+5`, nor anything else that a parser might let through.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Cause::Malformed);
        }
        let number: u64 = text.parse().map_err(|_| Cause::Stale)?;
        let time = match number {
            MIN_MILLISECONDS.. => Duration::from_millis(number),
            _ => Duration::from_secs(number),
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.abs_diff(time) <= self.tolerance { Ok(time.as_secs()) } else { Err(Cause::Stale) }
    }

    /// The forms that the URL may have been signed in.
    fn urls(&self, head: &Parts) -> Vec<String> {
        if !self.format.contains(&Piece::Url) {
            return vec![String::new()];
        }
        if let Some(url) = &self.url {
            return vec![url.clone()];
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(head.uri.host()).unwrap_or_default();
        vec![format!("https://{host}{path}"), format!("http://{host}{path}"), path.to_owned()]
    }
}

impl<'a> Signed<'a> {
    /// The next piece of a body.
    pub(super) fn part(&mut self, head: &Parts, part: &[u8]) {
        let format = &self.hmac.format;
        let Some(at) = format.iter().position(|piece| *piece == Piece::Body) else { return };
        if self.begun.is_empty() {
            for url in self.hmac.urls(head) {
                for key in &self.hmac.keys {
                    let mut context = Context::with_key(key);
                    for piece in &format[..at] {
                        context.update(self.bytes(piece, head, &url, b""));
                    }
                    self.begun.push(context);
                }
            }
        }
        self.begun.iter_mut().for_each(|context| context.update(part));
    }

    /// Whether the signature is that of these bytes, by any of the secrets.
    pub(super) fn verify(mut self, head: &Parts, body: &[u8]) -> Result<Delivery<'a>, Cause> {
        let hmac = self.hmac;
        let begun = std::mem::take(&mut self.begun);
        let skipped = match begun.is_empty() {
            true => 0,
            false => {
                hmac.format.iter().position(|piece| *piece == Piece::Body).map_or(0, |at| at + 1)
            }
        };
        let mut begun = begun.into_iter();
        let urls = hmac.urls(head);
        let all = urls.iter().flat_map(|url| hmac.keys.iter().map(move |key| (url, key)));
        let is_known = is_any(all, |(url, key)| {
            let mut context = begun.next().unwrap_or_else(|| Context::with_key(key));
            for piece in &hmac.format[skipped..] {
                context.update(self.bytes(piece, head, url, body));
            }
            same(context.sign().as_ref(), &self.signature)
        });
        if !is_known {
            return Err(Cause::Mismatch);
        }
        let id = Some(self.message_id).filter(|id| !id.is_empty());
        Ok(Delivery { id, mark: self.mark(id), replay: hmac.replay })
    }

    /// What stands for a piece of the format.
    fn bytes<'b>(
        &'b self,
        piece: &'b Piece,
        head: &'b Parts,
        url: &'b str,
        body: &'b [u8],
    ) -> &'b [u8] {
        match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Body => body,
            Piece::Timestamp => self.timestamp.as_bytes(),
            Piece::Method => head.method.as_str().as_bytes(),
            Piece::Url => url.as_bytes(),
            Piece::MessageId => self.message_id.as_bytes(),
        }
    }

    /// What tells this delivery from all others. Whoever sends it again can change nothing of that.
    fn mark(&self, id: Option<&str>) -> Option<Mark> {
        match (self.hmac.replay, id) {
            (Replay::Dedupe, Some(id)) => Some(Mark::new(&[b"id", id.as_bytes()], None)),
            (Replay::Dedupe, None) => None,
            (Replay::Refuse, id) => {
                let tolerance = self.hmac.tolerance.as_secs();
                let time = self.time.map(|at| seen::Signed { at, tolerance });
                Some(match id.filter(|_| self.hmac.identity == Identity::Signed) {
                    Some(id) => Mark::new(&[b"id", id.as_bytes(), self.timestamp.as_bytes()], time),
                    // It says nothing about itself that is signed: then it is its signature.
                    None => Mark::new(&[b"signature", &self.signature], time),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
