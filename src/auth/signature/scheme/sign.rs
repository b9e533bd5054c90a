//! Signing as the provider would, for `hookbus send` and tests.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use ring::hmac;
use uuid::Uuid;

use super::{Encoding, Key, Layout, Piece, Scheme, TimeUnit, message};

impl Scheme {
    /// The headers of these bytes, by the first of the keys; nothing where that is a public one. What else is signed of
    /// the head gets a new id each.
    pub fn sign(
        &self,
        method: &Method,
        url: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Option<HeaderMap> {
        let Key::Secret(key) = self.keys.first()? else { return None };
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method.clone();
        head.uri = url.parse().ok()?;
        let mut headers = HeaderMap::new();
        let mut insert = |name: &str, value: &str| -> Option<()> {
            headers.insert(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
            Some(())
        };
        for piece in &self.message {
            if let Piece::Header(name) = piece {
                insert(name, &Uuid::new_v4().to_string())?;
            }
        }
        let time = self.time.as_ref().map(|timed| (&timed.at, timed.unit.write(now)));
        if let Some((Piece::Header(name), text)) = &time {
            insert(name, text)?;
        }
        head.headers = headers.clone();
        let url = self.url.as_deref().unwrap_or(url);
        let mut context = hmac::Context::with_key(key);
        for piece in &self.message {
            match piece {
                Piece::Time => {
                    context.update(time.as_ref().map_or("", |(_, text)| text).as_bytes());
                }
                other => context.update(&message::bytes(other, &head, url, body)),
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
            (Layout::Pairs, Some((Piece::Pair(name), text))) => {
                format!("{name}={text}{separator}{prefix}={signature}")
            }
            (Layout::Pairs, _) => format!("{prefix}={signature}"),
            (Layout::Positional, Some((_, text))) => {
                format!("{text}{separator}{prefix}{signature}")
            }
            _ => format!("{prefix}{signature}"),
        };
        headers.insert(self.headers.first()?, HeaderValue::from_str(&value).ok()?);
        Some(headers)
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
