//! Signatures as a provider's description says that they are.
//!
//! What the head alone shows is judged first: the headers are there once, the signature can be read, its time is near.
//! The body is signed piece by piece as it comes, where the scheme allows that.

mod input;
mod key;
mod layout;
mod message;
mod sign;
mod signed;
mod time;

use std::borrow::Cow;
use std::iter;
use std::time::{Duration, SystemTime};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};

use self::key::{Key, key};
use self::layout::Read;
pub use self::signed::{Proof, Signed};
use self::time::{Timed, is_in_head};
use crate::auth::{Cause, only};
use crate::config::piece::{Piece, pieces, signed_pieces};
use crate::config::scheme::{self, Encoding, Layout, TimeUnit};
use crate::config::secret::Secret;
use crate::places::{Places, Value, Values};

/// Candidates of one request that are tried; senders that change their secret send two.
const MAX_SIGNATURES: usize = 8;

/// A scheme with its keys.
#[derive(Debug)]
pub struct Scheme {
    keys: Vec<Key>,
    /// The number of each in the configuration.
    numbers: Vec<usize>,
    headers: Vec<HeaderName>,
    /// What the names of headers begin with that hold a signature each.
    numbered: Vec<String>,
    /// Where the signature stands in the body.
    at: Option<Piece>,
    /// The places in the query and in the body that are needed.
    places: Places,
    layout: Layout,
    prefix: String,
    separator: String,
    encoding: Encoding,
    message: Vec<Piece>,
    time: Option<Timed>,
    /// How a sender writes a time.
    time_unit: TimeUnit,
    /// The URL that the sender was told, where it is known.
    url: Option<String>,
    /// Where the hash of the body stands, if the message holds that instead.
    body_hash: Option<Piece>,
}

impl Scheme {
    /// As described; `url` is the one that the sender was told. A key that can't be read was a problem of the
    /// configuration, and lets nobody in.
    pub fn new(settings: &scheme::Scheme, secrets: &[Secret], url: Option<&str>) -> Self {
        let keys = secrets
            .iter()
            .enumerate()
            .filter_map(|(number, secret)| Some((number, key(settings, secret.expose())?)));
        let place = |text: &Option<String>| pieces(text.as_deref()?).ok()?.pop();
        let (at, time, body_hash) =
            (place(&settings.at), place(&settings.time), place(&settings.body_hash));
        let positional = (settings.layout == Layout::Positional).then_some(Piece::Time);
        let mut message = signed_pieces(&settings.message).unwrap_or_default();
        if let Some(at) = time.as_ref().filter(|at| !is_in_head(at)) {
            // What is signed is what stands there.
            let times = message.iter_mut().filter(|piece| **piece == Piece::Time);
            times.for_each(|piece| piece.clone_from(at));
        }
        let mut places = Places::default();
        for piece in message.iter().flat_map(Piece::parts).chain(&at).chain(&time).chain(&body_hash)
        {
            // Headers have to be there before a body is read.
            if !matches!(piece, Piece::Header(_)) {
                places.add(piece);
            }
        }
        let headers = settings.headers.iter();
        Self {
            keys: keys.clone().map(|(_, key)| key).collect(),
            numbers: keys.map(|(number, _)| number).collect(),
            headers: headers.clone().filter_map(|name| name.parse().ok()).collect(),
            numbered: headers.filter_map(|name| Some(name.strip_suffix('*')?.to_owned())).collect(),
            at,
            places,
            layout: settings.layout,
            prefix: settings.prefix.clone(),
            separator: settings.separator.clone(),
            encoding: settings.encoding,
            message,
            time: time.or(positional).map(|at| Timed {
                at,
                unit: settings.time_unit,
                tolerance: settings.tolerance.get(),
            }),
            time_unit: settings.time_unit,
            url: url.map(str::to_owned),
            body_hash,
        }
    }

    /// Whether any key could be read.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether checking a body takes memory like that of the body once more.
    pub fn copies_body(&self) -> bool {
        let copies = |piece: &Piece| matches!(piece, Piece::FormSorted);
        let is_public = |key: &Key| matches!(key, Key::Public(_));
        self.places.reads_body()
            || self.keys.iter().any(is_public)
            || self.message.iter().any(copies)
    }

    /// What the head alone can decide.
    pub fn head<'a>(&'a self, head: &'a Parts, now: SystemTime) -> Result<Signed<'a>, Cause> {
        let read = match &self.at {
            Some(_) => Read::default(),
            None => self.read_header(head)?,
        };
        // What is signed must be there before a body is read for it.
        for piece in &self.message {
            let signed = match piece {
                Piece::Header(name) => text(only(&head.headers, name)?)?,
                Piece::Optional(parts) => {
                    may_be_missing(parts, head)?;
                    continue;
                }
                Piece::Pair(name) => read.pair(name).ok_or(Cause::Malformed)?,
                _ => continue,
            };
            if signed.is_empty() {
                return Err(Cause::Missing);
            }
        }
        // What stands in the query as well.
        if let Some(hash @ Piece::Query(_)) = &self.body_hash {
            self.value(&self.places.read_head(head), hash)?;
        }
        let time = Cow::Borrowed("");
        let mut signed = Signed { scheme: self, read, time, now, at: None, begun: Vec::new() };
        if let Some(timed) = self.time.as_ref().filter(|timed| timed.is_in_head()) {
            let text = signed.time_text(head, &timed.at)?;
            signed.at = Some(timed.check(text, now)?);
            signed.time = Cow::Borrowed(text);
        }
        Ok(signed)
    }

    /// The signatures in headers.
    fn read_header<'a>(&self, head: &'a Parts) -> Result<Read<'a>, Cause> {
        let present = self.headers.iter().find(|name| head.headers.contains_key(*name));
        if let Some(present) = present {
            return self.read(text(only(&head.headers, present)?)?);
        }
        let mut all = Read::default();
        for name in head.headers.keys() {
            if self.numbered.iter().any(|prefix| name.as_str().starts_with(prefix)) {
                all.add(self.read(text(only(&head.headers, name)?)?)?)?;
            }
        }
        if all.signatures.is_empty() { Err(Cause::Missing) } else { Ok(all) }
    }

    /// The one text that stands in a place.
    fn value<'v>(&self, values: &'v Values<'_>, piece: &Piece) -> Result<&'v str, Cause> {
        match values.get(self.places.number(piece).ok_or(Cause::Missing)?) {
            Value::One(text) => Ok(text),
            Value::Absent => Err(Cause::Missing),
            Value::Nested(_) | Value::Several => Err(Cause::Malformed),
        }
    }

    /// Whether all is there that is signed: without it the signature would be the same for everybody who leaves it out.
    fn check_message(&self, values: &Values<'_>) -> Result<(), Cause> {
        for piece in &self.message {
            let is_optional = matches!(piece, Piece::Optional(_));
            // The head was looked at, and the body may be empty.
            for place in piece.parts().iter().filter(|it| self.places.number(it).is_some()) {
                match self.value(values, place) {
                    Err(Cause::Missing) if is_optional => {}
                    found => {
                        found?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The forms that the URL may have been signed in, the likely one first.
    fn urls<'s>(&'s self, head: &'s Parts) -> impl Iterator<Item = String> + use<'s> {
        let told = self.url.as_deref();
        let is_signed = self.message.contains(&Piece::Url);
        let likely = if is_signed { message::url(told, head) } else { String::new() };
        let others = move || if is_signed { message::other_urls(told, head) } else { Vec::new() };
        iter::once(likely).chain(iter::once_with(others).flatten())
    }

    /// Whether this is a part of what is signed.
    pub fn signs(&self, piece: &Piece) -> bool {
        self.message.contains(piece)
    }

    /// Whether nobody can change the time of signing.
    fn signs_time(&self) -> bool {
        let Some(timed) = &self.time else { return false };
        let is_in_body = !timed.is_in_head();
        self.signs(&Piece::Time) || self.signs(&timed.at) || is_in_body && self.signs(&Piece::Body)
    }

    /// How far the time of signing may be from ours.
    pub fn tolerance(&self) -> Duration {
        self.time.as_ref().map_or(Duration::ZERO, |timed| timed.tolerance)
    }

    fn decode(&self, written: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Hex => hex(written.as_bytes()),
            Encoding::Base64 => BASE64_NOPAD.decode(unpadded(written)).ok(),
            Encoding::Base64url => BASE64URL_NOPAD.decode(unpadded(written)).ok(),
        }
    }

    /// Whether the fields of a form are needed, if the body is one.
    fn reads_form(&self, head: &Parts) -> bool {
        self.message.contains(&Piece::FormSorted) || self.places.reads_body() && is_form(head)
    }

    /// Whether the body may be signed as it comes: it stands in the message once, and nothing else is read from it.
    fn is_streamed(&self) -> bool {
        let is_of_body =
            |piece: &&Piece| matches!(piece, Piece::Body | Piece::Form(_) | Piece::FormSorted);
        if self.places.reads_body() || self.body_hash.is_some() {
            return false;
        }
        let has_secrets = self.keys.iter().all(|key| matches!(key, Key::Secret(_)));
        let mut of_body = self.message.iter().filter(is_of_body);
        has_secrets && of_body.next() == Some(&Piece::Body) && of_body.next().is_none()
    }
}

/// What may be missing is there once at most, and can be read.
fn may_be_missing(parts: &[Piece], head: &Parts) -> Result<(), Cause> {
    for part in parts {
        if let Piece::Header(name) = part {
            match only(&head.headers, name).and_then(text) {
                Ok(_) | Err(Cause::Missing) => {}
                Err(cause) => return Err(cause),
            }
        }
    }
    Ok(())
}

fn text(value: &HeaderValue) -> Result<&str, Cause> {
    value.to_str().map_err(|_| Cause::Malformed)
}

/// Two characters a byte, of either case.
fn hex(written: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = written.as_chunks();
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        bytes.push(if (high | low) < 16 { high << 4 | low } else { return None });
    }
    rest.is_empty().then_some(bytes)
}

/// What each byte is as a hexadecimal digit; of any other one the high bits are set.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

fn unpadded(written: &str) -> &[u8] {
    written.trim_end_matches('=').as_bytes()
}

/// Whether a request says that its body is a form.
fn is_form(head: &Parts) -> bool {
    let said = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.is_some_and(crate::places::is_form)
}

#[cfg(test)]
mod tests;
