//! What lets a request in, for the commands that post or are posted to.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::HeaderName;

use super::Failure;
use crate::auth::credential::Credential;
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint};
use crate::source;

/// The header in which a provider usually sends a secret as it is, if it has one.
pub(super) fn secret_header(provider: &str) -> Option<HeaderName> {
    source::facts(provider)?.secret_header?.parse().ok()
}

/// Whatever it is: an error of clap would repeat the value.
pub(super) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// As a provider sends or signs with this secret, whoever has it.
pub(super) fn of_provider(
    provider: &str,
    secret: &Secret,
    url: &str,
) -> Result<Credential, Failure> {
    if let Some(name) = secret_header(provider) {
        return header(name, secret);
    }
    let facts = source::facts(provider).unwrap_or_default();
    let endpoint = Endpoint::of(provider, facts, vec![secret.clone()], url);
    Credential::of(&endpoint).ok_or_else(|| {
        let title = &endpoint.facts.provider;
        Failure::wrong(format_args!("a webhook of {title} can't be signed with this secret")).hint(
            "only the provider can where its key is a public one; --header sends a header of your own",
        )
    })
}

/// What an endpoint takes, made with another secret than its own: for a server that demands the same.
pub(super) fn with_secret(endpoint: &Endpoint, secret: &Secret) -> Result<Credential, Failure> {
    let mut endpoint = endpoint.clone();
    endpoint.auth.retain(|kind| !matches!(kind, Auth::None {} | Auth::Jwt(_)));
    if endpoint.auth.is_empty() {
        if let Some(name) = secret_header(&endpoint.source) {
            return header(name, secret);
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
    configured(&endpoint)
}

pub(super) fn header(name: HeaderName, secret: &Secret) -> Result<Credential, Failure> {
    Credential::header(name, secret.expose())
        .ok_or_else(|| Failure::wrong("--secret holds characters that a header can't carry"))
}

/// What an endpoint takes.
pub(super) fn configured(endpoint: &Endpoint) -> Result<Credential, Failure> {
    Credential::of(endpoint).ok_or_else(|| {
        let what = format!("nothing that the endpoint `{}` takes can be made here", endpoint.name);
        Failure::wrong(what).hint(
            "a token comes from your authorization server: pass it with --header 'Authorization: Bearer TOKEN'",
        )
    })
}
