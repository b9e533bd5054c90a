//! What lets a request in: a secret of the command line, or what an endpoint of a configuration demands.

use std::path::Path;

use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::Arguments;
use crate::auth::Signature;
use crate::cli::{Failure, load};
use crate::config::Auth;
use crate::config::secret::Secret;

/// What is added to each request.
pub(super) enum Credential {
    /// Nothing.
    None,
    /// The same header each time.
    Header(HeaderName, HeaderValue),
    /// Headers that depend on the body and the time.
    Signature(Box<Signature>),
}

impl Credential {
    /// As the arguments say.
    pub(super) fn find(arguments: &Arguments) -> Result<Self, Failure> {
        match (&arguments.config, &arguments.secret) {
            (Some(file), _) => Self::configured(file, &arguments.to),
            (None, Some(secret)) => {
                let value = value(secret.expose()).ok_or_else(|| {
                    Failure::wrong("--secret holds characters that a header can't carry")
                })?;
                Ok(Self::Header(arguments.secret_header.clone(), value))
            }
            (None, None) => Ok(Self::None),
        }
    }

    /// What the endpoint at this path takes: the first of its kinds that can be made here.
    fn configured(file: &Path, to: &Url) -> Result<Self, Failure> {
        let config = load(file)?;
        let endpoint = config.endpoints.iter().find(|endpoint| endpoint.path == to.path());
        let Some(endpoint) = endpoint else {
            let paths: Vec<_> = config.endpoints.iter().map(|one| one.path.as_str()).collect();
            let what = format!("{} has no endpoint at {}", file.display(), to.path());
            return Err(Failure::wrong(what)
                .hint(format_args!("--to names its address; there are {}", paths.join(", "))));
        };
        let made = endpoint.auth.iter().find_map(|kind| match kind {
            Auth::None {} => Some(Self::None),
            Auth::Secret { header, prefix, secrets } => {
                let secret = secrets.first().map(Secret::expose)?;
                let name = header.parse().ok()?;
                Some(Self::Header(name, value(&format!("{prefix}{secret}"))?))
            }
            Auth::Basic { user, passwords } => {
                let pair = format!("{user}:{}", passwords.first()?.expose());
                let pair = data_encoding::BASE64.encode(pair.as_bytes());
                Some(Self::Header(AUTHORIZATION, value(&format!("Basic {pair}"))?))
            }
            Auth::Hmac(_) | Auth::Signature(_) => {
                let signature = Signature::all(endpoint, kind).into_iter().next()?;
                Some(Self::Signature(Box::new(signature)))
            }
            Auth::Jwt(_) => None,
        });
        made.ok_or_else(|| {
            let what = format!("nothing that the endpoint `{}` takes can be made here", endpoint.name);
            Failure::wrong(what).hint(
                "a token comes from your authorization server: pass it with --header 'Authorization: Bearer TOKEN'",
            )
        })
    }

    /// The headers for this body.
    pub(super) fn headers(&self, to: &Url, body: &[u8]) -> HeaderMap {
        match self {
            Self::None => HeaderMap::new(),
            Self::Header(name, value) => HeaderMap::from_iter([(name.clone(), value.clone())]),
            // Without a usable secret there is nothing to sign with, and the 401 says so.
            Self::Signature(hmac) => {
                hmac.sign(&Method::POST, to.as_str(), body).unwrap_or_default()
            }
        }
    }
}

/// A value that no debug print shows.
fn value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
