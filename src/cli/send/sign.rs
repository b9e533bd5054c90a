//! What lets a request in: a secret of the command line, or what an endpoint of a configuration demands.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::edit::{self, Edit};
use super::{Arguments, secret_header};
use crate::auth::{Change, Signer};
use crate::cli::{Failure, load};
use crate::config::piece::Piece;
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint};
use crate::source;

/// What is added to each request.
pub(in crate::cli) enum Credential {
    /// Nothing.
    None,
    /// The same header each time.
    Header(HeaderName, HeaderValue),
    /// What depends on the body and the time.
    Signer(Box<Signer>),
}

/// A request that is allowed in.
pub(in crate::cli) struct Signed {
    pub(in crate::cli) to: Url,
    pub(in crate::cli) headers: HeaderMap,
    pub(in crate::cli) body: Bytes,
}

/// The endpoint at this path of a configuration.
pub(super) fn endpoint(file: &Path, to: &Url) -> Result<Endpoint, Failure> {
    let config = load(file)?;
    let paths: Vec<_> = config.endpoints.iter().map(|one| one.path.clone()).collect();
    let endpoint = config.endpoints.into_iter().find(|endpoint| endpoint.path == to.path());
    endpoint.ok_or_else(|| {
        let what = format!("{} has no endpoint at {}", file.display(), to.path());
        Failure::wrong(what)
            .hint(format_args!("--to names its address; there are {}", paths.join(", ")))
    })
}

impl Credential {
    /// As the arguments say; `endpoint` is what they name in a configuration.
    pub(super) fn find(
        arguments: &Arguments,
        to: &Url,
        provider: &str,
        endpoint: Option<&Endpoint>,
    ) -> Result<Self, Failure> {
        match (endpoint, &arguments.secret) {
            (Some(endpoint), _) => Self::configured(endpoint),
            (None, None) => Ok(Self::None),
            (None, Some(secret)) => match (&arguments.secret_header, secret_header(provider)) {
                (Some(name), _) => Self::header(name.clone(), secret),
                (None, Some(name)) => Self::header(name, secret),
                (None, None) => Self::of_provider(provider, secret, to),
            },
        }
    }

    /// What an endpoint takes, made with another secret than its own: for a server that demands the same.
    pub(in crate::cli) fn with_secret(
        endpoint: &Endpoint,
        secret: &Secret,
    ) -> Result<Self, Failure> {
        let mut endpoint = endpoint.clone();
        endpoint.auth.retain(|kind| !matches!(kind, Auth::None {} | Auth::Jwt(_)));
        if endpoint.auth.is_empty() {
            if let Some(name) = secret_header(&endpoint.source) {
                return Self::header(name, secret);
            }
            endpoint.auth = Endpoint::of("", Arc::default(), Vec::new(), "").auth;
        }
        for kind in &mut endpoint.auth {
            match kind {
                Auth::Secret { secrets, .. } => *secrets = vec![secret.clone()],
                Auth::Basic { passwords, .. } => *passwords = vec![secret.clone()],
                Auth::Hmac(hmac) => hmac.secrets = vec![secret.clone()],
                Auth::Signature(signature) => signature.secrets = vec![secret.clone()],
                Auth::None {} | Auth::Jwt(_) => {}
            }
        }
        Self::configured(&endpoint)
    }

    fn header(name: HeaderName, secret: &Secret) -> Result<Self, Failure> {
        let value = value(secret.expose())
            .ok_or_else(|| Failure::wrong("--secret holds characters that a header can't carry"))?;
        Ok(Self::Header(name, value))
    }

    /// As a provider signs for everybody who has this secret.
    fn of_provider(provider: &str, secret: &Secret, to: &Url) -> Result<Self, Failure> {
        let facts = source::facts(provider).unwrap_or_default();
        let endpoint = Endpoint::of(provider, facts, vec![secret.clone()], to.as_str());
        let made = endpoint.auth.iter().find_map(|kind| Signer::new(&endpoint, kind));
        made.map(|signer| Self::Signer(Box::new(signer))).ok_or_else(|| {
            let title = &endpoint.facts.provider;
            Failure::wrong(format_args!("a webhook of {title} can't be signed with this secret")).hint(
                "only the provider can where its key is a public one; --header sends a header of your own",
            )
        })
    }

    /// What an endpoint takes: the first of its kinds that can be made here.
    fn configured(endpoint: &Endpoint) -> Result<Self, Failure> {
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
                Signer::new(endpoint, kind).map(|signer| Self::Signer(Box::new(signer)))
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

    /// A request with what lets it in.
    pub(in crate::cli) fn apply(
        &self,
        method: &Method,
        to: &Url,
        body: Bytes,
    ) -> Result<Signed, String> {
        let mut signed = Signed { to: to.clone(), headers: HeaderMap::new(), body };
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
                let made = signer.sign(method, signed.to.as_str(), &signed.body, now);
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
                self.to.query_pairs_mut().append_pair(&name, text.expose());
            }
            // Some handshakes have none.
            Piece::Pointer(_) if self.body.is_empty() => {}
            Piece::Pointer(keys) => {
                let body = std::str::from_utf8(&self.body).map_err(|error| error.to_string())?;
                let edit = Edit::at(keys, text.expose());
                self.body = edit::apply(body, &[edit], 1)?.into();
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
