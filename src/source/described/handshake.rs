//! Requests that only try out an endpoint, and the answers that they want.
//!
//! Some answers are signed with the key of the webhooks: what is signed is bounded by a guard, so that nobody can have
//! a webhook of his own signed here.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use ring::hmac;

use super::condition::Condition;
use super::text;
use crate::config::piece::{Hash, Piece, pieces_in_json};
use crate::config::provider::{self, After, is_json};
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint, Signature};
use crate::json::{Kind, Reader, quote};
use crate::message::{Body, Refusal, Reply};
use crate::places::{Places, Text, Value, Values};
use crate::source::Request;

/// Longest value that goes into an answer, in bytes.
const MAX_VALUE: usize = 4_096;

/// A handshake, and its answer.
#[derive(Debug)]
pub(super) struct Handshake {
    method: Method,
    condition: Condition,
    only: Vec<String>,
    /// Where the secret stands, if that is what its sender has to prove.
    token: Option<Text>,
    secrets: Vec<Secret>,
    /// Those of which a sender has to know one.
    tokens: Vec<Secret>,
    guard: Option<Guard>,
    status: StatusCode,
    content_type: String,
    headers: Vec<(HeaderName, Vec<Part>)>,
    body: Vec<Part>,
}

/// A part of an answer.
#[derive(Debug)]
enum Part {
    Text(String),
    Place(usize),
    Secret,
    Hashed(Hash, Vec<Part>),
}

/// The characters that a value may have.
#[derive(Debug, Clone, Copy, Default)]
struct Guard(u128);

impl Handshake {
    /// As configured, with the secrets of the endpoint; nothing where it can't be used.
    pub(super) fn new(
        settings: &provider::Handshake,
        endpoint: &Endpoint,
        places: &mut Places,
    ) -> Option<Self> {
        let provider::Handshake { when, present, absent, only, .. } = settings;
        let token = match (settings.after, &settings.token) {
            (After::Token, Some(at)) => Some(text(at, places)?),
            (After::Token, None) => return None,
            _ => None,
        };
        let condition = Condition::new(when, present, absent, places)?;
        let headers = settings
            .headers
            .iter()
            .map(|(name, value)| Some((name.parse().ok()?, parts(value, endpoint, places)?)));
        let headers = headers.collect::<Option<_>>()?;
        Some(Self {
            method: settings.method.into(),
            condition,
            only: only.clone(),
            token,
            secrets: of_signatures(endpoint, |signature| &signature.secrets),
            tokens: of_signatures(endpoint, |signature| match &*signature.handshake_tokens {
                [] => &signature.secrets,
                _ => &signature.handshake_tokens,
            }),
            guard: settings.guard.as_deref().map(Guard::new),
            status: StatusCode::from_u16(settings.status).ok()?,
            content_type: settings.content_type.clone(),
            headers,
            body: parts(&settings.body, endpoint, places)?,
        })
    }

    /// Whether a request is one.
    pub(super) fn is_it(&self, request: &Request<'_>, values: &Values<'_>) -> bool {
        request.head.method == self.method
            && self.condition.holds(values)
            && (self.only.is_empty() || has_only(request.body, &self.only))
    }

    /// What its sender wants, if it may have it.
    pub(super) fn answer(&self, values: &Values<'_>) -> Result<Reply, Refusal> {
        if let Some(token) = &self.token {
            let token = token.fill(values).ok_or(Refusal::Unauthorized)?;
            // All are looked at, so that the time doesn't tell which fits.
            let fits = self.tokens.iter().fold(false, |fits, known| fits | known.is(&token));
            if !fits {
                return Err(Refusal::Unauthorized);
            }
        }
        let answer = Answer { handshake: self, values };
        let is_json = is_json(&self.content_type);
        let body = answer.render(&self.body, is_json)?;
        let mut headers = HeaderMap::new();
        for (name, parts) in &self.headers {
            let value = HeaderValue::try_from(answer.render(parts, false)?);
            headers.insert(name.clone(), value.map_err(|_| wrong())?);
        }
        if !self.content_type.is_empty() {
            // What a stranger wrote is read as nothing else.
            let nosniff = HeaderValue::from_static("nosniff");
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        }
        let body = Body::Whole(Bytes::from(body));
        Ok(Reply { status: self.status, headers, ..Reply::new(body, self.content_type.clone()) })
    }
}

/// The answer to one request.
struct Answer<'a> {
    handshake: &'a Handshake,
    values: &'a Values<'a>,
}

impl Answer<'_> {
    fn render(&self, parts: &[Part], is_json: bool) -> Result<String, Refusal> {
        let mut rendered = String::new();
        for part in parts {
            if let Part::Text(text) = part {
                rendered.push_str(text);
                continue;
            }
            let value = self.value(part)?;
            match is_json {
                true => {
                    let quoted = quote(&value);
                    rendered.push_str(&quoted[1..quoted.len() - 1]);
                }
                false => rendered.push_str(&value),
            }
        }
        Ok(rendered)
    }

    fn value(&self, part: &Part) -> Result<Cow<'_, str>, Refusal> {
        match part {
            Part::Text(text) => Ok(Cow::Owned(text.clone())),
            Part::Place(number) => match self.values.get(*number) {
                Value::One(text) if self.may_hold(text) => Ok(Cow::Borrowed(&**text)),
                _ => Err(wrong()),
            },
            Part::Secret => {
                let secret = self.handshake.secrets.first();
                secret.map(|secret| Cow::Owned(secret.expose().to_owned())).ok_or_else(wrong)
            }
            Part::Hashed(hash, parts) => self.hash(*hash, parts).map(Cow::Owned),
        }
    }

    fn may_hold(&self, value: &str) -> bool {
        let guard = self.handshake.guard;
        value.len() <= MAX_VALUE && guard.is_none_or(|guard| guard.allows(value))
    }

    fn hash(&self, hash: Hash, parts: &[Part]) -> Result<String, Refusal> {
        let bytes = self.render(parts, false)?;
        let keyed = |algorithm| {
            let secret = self.handshake.secrets.first().ok_or_else(wrong)?;
            let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
            Ok::<_, Refusal>(hmac::sign(&key, bytes.as_bytes()))
        };
        Ok(match hash {
            Hash::HmacSha256Hex => HEXLOWER.encode(keyed(hmac::HMAC_SHA256)?.as_ref()),
            Hash::HmacSha256Base64 => BASE64.encode(keyed(hmac::HMAC_SHA256)?.as_ref()),
            Hash::HmacSha1Hex => {
                HEXLOWER.encode(keyed(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)?.as_ref())
            }
            unkeyed => unkeyed.unkeyed(bytes.as_bytes()).ok_or_else(wrong)?,
        })
    }
}

fn wrong() -> Refusal {
    Refusal::Malformed("this handshake can't be answered".into())
}

/// What an endpoint shares with its provider.
fn of_signatures(endpoint: &Endpoint, of: impl Fn(&Signature) -> &Vec<Secret>) -> Vec<Secret> {
    let all = endpoint.auth.iter().filter_map(|auth| match auth {
        Auth::Signature(signature) => Some(of(signature)),
        _ => None,
    });
    all.flatten().cloned().collect()
}

/// The parts of an answer; nothing where a place can't be read.
fn parts(text: &str, endpoint: &Endpoint, places: &mut Places) -> Option<Vec<Part>> {
    let pieces = pieces_in_json(text).ok()?;
    pieces.iter().map(|piece| part(piece, endpoint, places)).collect()
}

fn part(piece: &Piece, endpoint: &Endpoint, places: &mut Places) -> Option<Part> {
    Some(match piece {
        Piece::Text(text) => Part::Text(text.clone()),
        Piece::Secret => Part::Secret,
        Piece::Url => Part::Text(endpoint.public_url.clone().unwrap_or_default()),
        Piece::Hashed(hash, pieces) => {
            let parts = pieces.iter().map(|piece| part(piece, endpoint, places));
            Part::Hashed(*hash, parts.collect::<Option<_>>()?)
        }
        place => Part::Place(places.add(place)?),
    })
}

/// Whether a body is a JSON object that has these members and no others.
fn has_only(body: &[u8], names: &[String]) -> bool {
    let Ok(mut reader) = Reader::new(body) else { return false };
    let mut count = 0;
    let mut is_right = reader.peek() == Ok(Kind::Object);
    let read = reader.object(|_, key| {
        count += 1;
        is_right &= names.iter().any(|name| key == **name);
        Ok(())
    });
    is_right && read.is_ok() && count == names.len()
}

impl Guard {
    /// Of characters and ranges of them, as in `A-Za-z0-9._-`: a hyphen at an end stands for itself.
    fn new(text: &str) -> Self {
        let mut guard = Self::default();
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            let last = match bytes.get(at + 1..at + 3) {
                Some([b'-', last]) => *last,
                _ => *first,
            };
            at += if last == *first { 1 } else { 3 };
            (*first..=last).for_each(|byte| guard.add(byte));
        }
        guard
    }

    fn add(&mut self, byte: u8) {
        self.0 |= 1_u128.checked_shl(byte.into()).unwrap_or(0);
    }

    fn allows(self, value: &str) -> bool {
        value.bytes().all(|byte| 1_u128.checked_shl(byte.into()).unwrap_or(0) & self.0 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_a_set_of_characters() {
        let guard = Guard::new("A-Ca-c0-9._-");
        assert!(guard.allows("aBc-9._"));
        for wrong in ["d", "a:b", "é", "a b", "\u{7f}"] {
            assert!(!guard.allows(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_means_all_of_them_and_no_others() {
        let only = ["challenge".to_owned()];
        assert!(has_only(br#"{"challenge": "x"}"#, &only));
        for wrong in ["{}", r#"{"challenge":1,"event":2}"#, r#"{"event":1}"#, "[]", "", "{"] {
            assert!(!has_only(wrong.as_bytes(), &only), "{wrong}");
        }
    }
}
