//! What lets a request in that is made here: for `hookbus send`, `hookbus forward` and the console's samples.

use std::time::SystemTime;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::signer::{Change, Signer};
use crate::config::piece::Piece;
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint};
use crate::json::edit;

/// What is added to each request.
#[derive(Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// The same header each time.
    Header(HeaderName, HeaderValue),
    /// What depends on the body and the time.
    Signer(Box<Signer>),
}

/// A request that is let in.
#[derive(Debug)]
pub struct Signed {
    /// Where it goes.
    pub url: Url,
    /// Headers beside those that it has.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Credential {
    /// What an endpoint takes: the first of its kinds that can be made here, if one can.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        endpoint.auth.iter().find_map(|kind| match kind {
            Auth::None {} => Some(Self::None),
            Auth::Secret { header, prefix, secrets } => {
                let secret = secrets.first().map(Secret::expose)?;
                Self::header(header.parse().ok()?, &format!("{prefix}{secret}"))
            }
            Auth::Basic { user, passwords } => {
                let pair = format!("{user}:{}", passwords.first()?.expose());
                let pair = data_encoding::BASE64.encode(pair.as_bytes());
                Self::header(AUTHORIZATION, &format!("Basic {pair}"))
            }
            Auth::Hmac(_) | Auth::Signature(_) => {
                Signer::new(endpoint, kind).map(|signer| Self::Signer(Box::new(signer)))
            }
            Auth::Jwt(_) => None,
        })
    }

    /// A header with this text; nothing where a header can't carry it.
    pub fn header(name: HeaderName, text: &str) -> Option<Self> {
        Some(Self::Header(name, value(text)?))
    }

    /// A request with what lets it in; else why its body can't carry that.
    pub fn apply(&self, method: &Method, url: &Url, body: Bytes) -> Result<Signed, String> {
        let mut signed = Signed { url: url.clone(), headers: HeaderMap::new(), body };
        match self {
            Self::None => {}
            Self::Header(name, value) => {
                signed.headers.insert(name.clone(), value.clone());
            }
            Self::Signer(signer) => {
                let now = SystemTime::now();
                for change in signer.before(&signed.body, now) {
                    signed.change(change)?;
                }
                let made = signer.sign(method, signed.url.as_str(), &signed.body, now);
                // Without a usable secret there is nothing to sign with, and the 401 says so.
                for change in made.into_iter().flatten() {
                    signed.change(change)?;
                }
            }
        }
        Ok(signed)
    }
}

impl Signed {
    /// Put a text where it belongs.
    fn change(&mut self, (at, text): Change) -> Result<(), String> {
        match at {
            Piece::Header(name) => {
                let name: Option<HeaderName> = name.parse().ok();
                if let (Some(name), Some(value)) = (name, value(text.expose())) {
                    self.headers.insert(name, value);
                }
            }
            Piece::Query(name) => {
                self.url.query_pairs_mut().append_pair(&name, text.expose());
            }
            // Some handshakes have none.
            Piece::Pointer(_) if self.body.is_empty() => {}
            Piece::Pointer(keys) => {
                let body = std::str::from_utf8(&self.body).map_err(|error| error.to_string())?;
                let value = edit::text_or_json(text.expose());
                let changed = edit::set(body, &keys, &value);
                let path = || keys.join(".");
                self.body = changed.map_err(|problem| format!("{}: {problem}", path()))?.into();
            }
            other => return Err(format!("nothing can be put at `{other}` here")),
        }
        Ok(())
    }
}

/// A value that no debug print shows.
fn value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
