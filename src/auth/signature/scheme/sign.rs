//! Signing as the provider would, for `hookbus send` and tests.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, Request};
use ring::{digest, hmac};
use uuid::Uuid;

use super::{Encoding, Key, Layout, Piece, Scheme, TimeUnit, message};
use crate::json::Reader;
use crate::places::{Content, Form, sorted};

impl Scheme {
    /// Whether a sender can be played: its keys are shared ones.
    pub fn can_sign(&self) -> bool {
        matches!(self.keys.first(), Some(Key::Secret(_)))
    }

    /// What is to be changed before it is signed: a time in the body, a hash in the query.
    pub fn before(&self, body: &[u8], now: SystemTime) -> Vec<(Piece, String)> {
        let time = self.time.as_ref().filter(|timed| !timed.is_in_head());
        let time = time.map(|timed| (timed.at.clone(), self.time_unit.write(now)));
        let hash = || HEXLOWER.encode(digest::digest(&digest::SHA256, body).as_ref());
        let hash = self.body_hash.as_ref().map(|at| (at.clone(), hash()));
        time.into_iter().chain(hash).collect()
    }

    /// What stands where when these bytes are signed, by the first of the keys; nothing where that is a public one, or
    /// where something is missing that is signed. What else is signed of the head gets a new id each, but for the content
    /// type.
    pub fn sign(
        &self,
        method: &Method,
        url: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Option<Vec<(Piece, String)>> {
        let Key::Secret(key) = self.keys.first()? else { return None };
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method.clone();
        head.uri = url.parse().ok()?;
        let is_json = Reader::new(body).is_ok_and(|mut json| json.skip().is_ok());
        let mut all: Vec<(Piece, String)> = Vec::new();
        for piece in self.message.iter().flat_map(Piece::parts) {
            let text = match piece {
                Piece::Header(name) if name == CONTENT_TYPE.as_str() => match is_json {
                    true => "application/json".to_owned(),
                    false => "application/x-www-form-urlencoded".to_owned(),
                },
                Piece::Header(_) => Uuid::new_v4().to_string(),
                _ => continue,
            };
            all.push((piece.clone(), text));
        }
        let timed = self.time.as_ref().filter(|timed| timed.is_in_head());
        let time = timed.map(|timed| (&timed.at, self.time_unit.write(now)));
        // Fields of the header that are signed are times, whether they are judged or not.
        let pairs = self.message.iter().chain(time.as_ref().map(|(at, _)| *at));
        let pairs: BTreeMap<&str, String> = pairs
            .filter_map(|piece| match piece {
                Piece::Pair(name) => Some((name.as_str(), self.time_unit.write(now))),
                _ => None,
            })
            .collect();
        if let Some((at @ Piece::Header(_), text)) = &time {
            all.push(((*at).clone(), text.clone()));
        }
        for (piece, text) in &all {
            if let Piece::Header(name) = piece {
                head.headers.insert(name.parse::<HeaderName>().ok()?, text.parse().ok()?);
            }
        }
        let url = match self.url.as_deref() {
            None => url.to_owned(),
            told => message::url(told, &head),
        };
        let is_sorted = self.message.contains(&Piece::FormSorted);
        let needs_form = is_sorted || self.places.reads_body() && !is_json;
        let mut form = if needs_form { Form::of(body).ok()? } else { Form::default() };
        let sorted = if is_sorted { sorted(&mut form) } else { Vec::new() };
        let content = match (self.places.reads_body(), is_json) {
            (false, _) => Content::Unread,
            (true, true) => Content::Json(body),
            (true, false) => Content::Form(&form),
        };
        let values = self.places.read(&head, content).ok()?;
        self.check_message(&values).ok()?;
        let mut context = hmac::Context::with_key(key);
        for piece in &self.message {
            match (piece, self.places.number(piece)) {
                (Piece::Time, _) => {
                    context.update(time.as_ref().map_or("", |(_, text)| text).as_bytes());
                }
                (Piece::Pair(name), _) => context.update(pairs.get(name.as_str())?.as_bytes()),
                (place, Some(_)) => context.update(self.value(&values, place).ok()?.as_bytes()),
                (Piece::Optional(parts), None) => {
                    let bytes = |part| match self.places.number(part) {
                        Some(_) => self.value(&values, part).unwrap_or_default().as_bytes().into(),
                        None => message::bytes(part, &head, &url, body),
                    };
                    context.update(&message::optional(parts, bytes));
                }
                (Piece::FormSorted, None) => context.update(&sorted),
                (other, None) => context.update(&message::bytes(other, &head, &url, body)),
            }
        }
        let tag = context.sign();
        let signature = match self.encoding {
            Encoding::Hex => HEXLOWER.encode(tag.as_ref()),
            Encoding::Base64 => BASE64.encode(tag.as_ref()),
            Encoding::Base64url => BASE64URL_NOPAD.encode(tag.as_ref()),
        };
        let (prefix, separator) = (&self.prefix, &self.separator);
        let value = match (self.layout, &time) {
            (Layout::Pairs, _) => {
                let pairs = pairs.iter().map(|(name, text)| format!("{name}={text}{separator}"));
                format!("{}{prefix}={signature}", pairs.collect::<String>())
            }
            (Layout::Positional, Some((_, text))) => {
                format!("{text}{separator}{prefix}{signature}")
            }
            // Who signs is looked at by nobody here.
            (Layout::Last, _) => format!("{prefix}hookbus{separator}{signature}"),
            _ => format!("{prefix}{signature}"),
        };
        let numbered = || Some(format!("{}1", self.numbered.first()?));
        let header = || self.headers.first().map(|name| name.as_str().to_owned()).or_else(numbered);
        let at = self.at.clone().or_else(|| header().map(Piece::Header))?;
        all.push((at, value));
        Some(all)
    }
}

impl TimeUnit {
    /// A time as it is written.
    fn write(self, time: SystemTime) -> String {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Auto | Self::Seconds => since.as_secs().to_string(),
            Self::Milliseconds => since.as_millis().to_string(),
            Self::Rfc3339 => humantime::format_rfc3339_seconds(time).to_string(),
        }
    }
}
