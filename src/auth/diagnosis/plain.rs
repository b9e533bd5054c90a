//! Secrets that come as they are: in a header, as a name and a password, in the query or in the body.

use http::header::{AUTHORIZATION, HeaderName};

use super::{Attempt, Reason, Request, other_endpoint};
use crate::auth::secret::Secret as Header;
use crate::auth::token::Token;
use crate::auth::{Cause, only};
use crate::config::provider;
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint};

const WRONG: &str = "compare it with what the sender was told for this very endpoint";

/// `kind = "secret"`.
pub(super) fn secret(
    request: &Request<'_>,
    header: &str,
    prefix: &str,
    secrets: &[Secret],
) -> Attempt {
    let attempt = Attempt::new(format!("secret in `{header}`"));
    let (mut attempt, value) = match value(request, attempt, header) {
        Ok(found) => found,
        Err(attempt) => return attempt,
    };
    match Header::new(header, prefix, secrets).accepts(&request.head.headers) {
        Ok(_) => {
            attempt.fine("secret", "it is one of the secrets");
            attempt
        }
        Err(_) => {
            attempt.wrong("secret", "it is none of the secrets");
            let is = |secret: &Secret, text: &str| secret.is(text);
            let any = |text: &str| secrets.iter().any(|secret| is(secret, text));
            let bare = value.strip_prefix(prefix);
            if !prefix.is_empty() && any(&value) {
                let what = format!("the secret came without `{}` before it", prefix.trim_end());
                let hint = "remove `prefix`, or have the sender write it";
                return attempt.refused(Reason::SecretForm, what, hint);
            }
            let trimmed = |secret: &Secret| {
                let text = secret.expose();
                let bare = text.trim().trim_matches(['"', '\'']);
                Some(Secret::new(bare)).filter(|_| bare.len() < text.len())
            };
            if secrets
                .iter()
                .filter_map(trimmed)
                .any(|secret| is(&secret, bare.unwrap_or_default()))
            {
                let what = "it is the secret without the blanks, line breaks or quotes around it";
                let hint = "remove them where the secret is set";
                return attempt.refused(Reason::SecretForm, what, hint);
            }
            let other = request.others.iter().find(|other| takes(other, bare.unwrap_or(&value)));
            match other.filter(|other| other.name != request.endpoint.name) {
                Some(other) => attempt.ended(Some(other_endpoint(other, "it is a secret of"))),
                None => {
                    let what = format!("`{header}` holds none of the secrets");
                    attempt.refused(Reason::WrongSecret, what, WRONG)
                }
            }
        }
    }
}

/// Whether this is a secret of an endpoint.
fn takes(endpoint: &Endpoint, text: &str) -> bool {
    endpoint.auth.iter().any(|kind| match kind {
        Auth::Secret { secrets, .. } => secrets.iter().any(|secret| secret.is(text)),
        Auth::Signature(settings) => settings.secrets.iter().any(|secret| secret.is(text)),
        _ => false,
    })
}

/// `kind = "basic"`.
pub(super) fn basic(request: &Request<'_>, user: &str, passwords: &[Secret]) -> Attempt {
    let attempt = Attempt::new("user and password in `authorization`");
    let (mut attempt, value) = match value(request, attempt, AUTHORIZATION.as_str()) {
        Ok(found) => found,
        Err(attempt) => return attempt,
    };
    if Header::basic(user, passwords).accepts(&request.head.headers).is_ok() {
        attempt.fine("password", "the user and one of the passwords");
        return attempt;
    }
    let decoded = value.strip_prefix("Basic ").map(|pair| {
        data_encoding::BASE64.decode(pair.as_bytes()).ok().and_then(|it| String::from_utf8(it).ok())
    });
    let (what, reason) = match decoded {
        None => ("`authorization` holds something else than `Basic`", Reason::Malformed),
        Some(None) => ("`authorization` can't be read", Reason::Malformed),
        Some(Some(pair)) if pair.split_once(':').is_some_and(|(given, _)| given == user) => {
            ("the user is right, the password isn't", Reason::WrongSecret)
        }
        Some(Some(_)) => ("it is another user", Reason::WrongSecret),
    };
    attempt.wrong("password", what);
    attempt.refused(reason, what, WRONG)
}

/// `kind = "jwt"`: the keys of the issuer are not at hand here.
pub(super) fn bearer(request: &Request<'_>) -> Attempt {
    let attempt = Attempt::new("token in `authorization`");
    match value(request, attempt, AUTHORIZATION.as_str()) {
        Ok((attempt, _)) => attempt.refused(
            Reason::Undecided,
            "the token is not looked at here, since that takes the keys of its issuer",
            "compare its `iss`, `aud` and `exp` with the configuration",
        ),
        Err(attempt) => attempt,
    }
}

/// A secret that a provider repeats.
pub(super) fn token(
    request: &Request<'_>,
    settings: &provider::Token,
    secrets: &[Secret],
) -> Attempt {
    let mut attempt = Attempt::new(format!("secret at `{}`", settings.at));
    let check = |secrets: &[Secret]| match Token::new(settings, secrets) {
        Some(token) if token.is_in_body() => token.body(request.body),
        Some(token) => token.head(request.head),
        None => Err(Cause::Missing),
    };
    let at = &settings.at;
    match check(secrets) {
        Ok(_) => {
            attempt.fine("secret", "it is one of the secrets");
            attempt
        }
        Err(Cause::Missing) => {
            let what = format!("there is nothing at `{at}`");
            attempt.wrong("secret", &*what);
            let hint =
                "is the secret set at the provider's side, and does nothing drop it on its way?";
            attempt.refused(Reason::NoHeader, what, hint)
        }
        Err(Cause::Malformed) => {
            let what = format!(
                "`{at}` is there more than once, or isn't `{}` and a secret",
                settings.prefix
            );
            attempt.wrong("secret", &*what);
            attempt.refused(Reason::Malformed, what, "look at it as the provider sent it")
        }
        Err(_) => {
            attempt.wrong("secret", "it is none of the secrets");
            let theirs = |other: &&&Endpoint| {
                let signatures = other.auth.iter().filter_map(|kind| match kind {
                    Auth::Signature(settings) => Some(check(&settings.secrets)),
                    _ => None,
                });
                other.name != request.endpoint.name && signatures.into_iter().any(|it| it.is_ok())
            };
            match request.others.iter().find(theirs) {
                Some(other) => attempt.ended(Some(other_endpoint(other, "it is a secret of"))),
                None => {
                    let what = format!("`{at}` holds none of the secrets");
                    attempt.refused(Reason::WrongSecret, what, WRONG)
                }
            }
        }
    }
}

/// The one value of a header, or the end of the attempt.
fn value(
    request: &Request<'_>,
    mut attempt: Attempt,
    header: &str,
) -> Result<(Attempt, String), Attempt> {
    let name: Option<HeaderName> = header.parse().ok();
    let found = name.ok_or(Cause::Missing).and_then(|name| only(&request.head.headers, &name));
    match found {
        Ok(value) => {
            attempt.fine("header", format!("`{header}` is there once"));
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            Ok((attempt, value))
        }
        Err(Cause::Missing) => {
            let what = format!("there is no header `{header}`");
            attempt.wrong("header", &*what);
            let hint =
                "is it set at the provider's side, and does nothing on its way drop headers?";
            Err(attempt.refused(Reason::NoHeader, what, hint))
        }
        Err(_) => {
            let what = format!("the header `{header}` is there more than once");
            attempt.wrong("header", &*what);
            Err(attempt.refused(Reason::Malformed, what, "something on its way repeats headers"))
        }
    }
}
