//! Why a request was refused: for the operator, never for its sender.
//!
//! Each way in is tried step by step. Where a signature doesn't fit, the likely causes are tried as well: another form
//! of the body, of the URL or of the secret, and the secrets of other endpoints. What that may cost is bounded, since
//! strangers can send anything; how often it is done is the caller's choice. No text here holds a secret or a body.

mod bodies;
mod jwt;
mod plain;
mod secrets;
mod signature;
mod trials;
mod urls;

use std::fmt;
use std::time::{Duration, SystemTime};

use http::request::Parts;

use self::trials::Trials;
use crate::config::{self, Auth, Endpoint};

/// Other endpoints that are looked at.
const MAX_OTHERS: usize = 64;

/// Why a request is refused, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// In one word.
    pub reason: Reason,
    /// What is wrong, as a part of a sentence.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.hint)
    }
}

/// The kinds of reasons. The later ones came nearer to being let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A header or a member of the body isn't there.
    NoHeader,
    /// It is there twice, or can't be read.
    Malformed,
    /// Only the issuer of a token could tell.
    Undecided,
    /// None of the secrets can be one.
    UndecodableSecret,
    /// Nothing that was tried fits.
    WrongSecret,
    /// A token is from somebody else, or doesn't say what it must.
    Claims,
    /// The secret fits in another form than it is configured in.
    SecretForm,
    /// It fits another URL.
    UrlDiffers,
    /// It fits another form of the body, or another body.
    BodyChanged,
    /// What another endpoint takes fits.
    OtherEndpoint,
    /// Signed too long ago.
    TooOld,
    /// Signed at a time that is still to come.
    FromFuture,
}

impl Reason {
    /// The label of a metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHeader => "no-header",
            Self::Malformed => "malformed",
            Self::Undecided => "undecided",
            Self::UndecodableSecret => "undecodable-secret",
            Self::WrongSecret => "wrong-secret",
            Self::Claims => "claims",
            Self::SecretForm => "secret-form",
            Self::UrlDiffers => "url-differs",
            Self::BodyChanged => "body-changed",
            Self::OtherEndpoint => "other-endpoint",
            Self::TooOld => "too-old",
            Self::FromFuture => "from-future",
        }
    }
}

/// One way in, and how far a request gets on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The way, such as "signature in `x-hub-signature-256`".
    pub way: String,
    /// What was looked at, in this order.
    pub steps: Vec<Step>,
    /// Why it ends; nothing where it leads in.
    pub refused: Option<Diagnosis>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub is_fine: bool,
    /// What was seen.
    pub text: String,
}

/// The likely cause of a refusal: that of the way on which the request came nearest. Nothing where it is let in.
/// `others` are endpoints that it may have been meant for.
pub fn diagnose(
    endpoint: &Endpoint,
    others: &[&Endpoint],
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Option<Diagnosis> {
    let attempts = attempts(endpoint, others, head, body, now);
    let is_let_in = attempts.iter().any(|attempt| attempt.refused.is_none());
    nearest(&attempts).filter(|_| !is_let_in).cloned()
}

/// The cause on the way on which a request came nearest.
pub fn nearest(attempts: &[Attempt]) -> Option<&Diagnosis> {
    // Of equals the first: it is the first in the configuration.
    let causes = attempts.iter().rev().filter_map(|attempt| attempt.refused.as_ref());
    causes.max_by_key(|cause| cause.reason)
}

/// Every way into an endpoint, tried with this request.
pub fn attempts(
    endpoint: &Endpoint,
    others: &[&Endpoint],
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Vec<Attempt> {
    let trials = Trials::default();
    let request = Request { endpoint, others, head, body, now, trials: &trials };
    let mut attempts = request.attempts();
    // That it fits somewhere else says more than what it lacks here.
    if attempts.iter().all(|attempt| attempt.refused.is_some())
        && let Some(other) = request.meant_for()
    {
        for refused in attempts.iter_mut().filter_map(|attempt| attempt.refused.as_mut()) {
            if refused.reason < Reason::OtherEndpoint {
                *refused = other_endpoint(other, "it is a webhook of");
            }
        }
    }
    attempts
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Request<'a> {
    endpoint: &'a Endpoint,
    others: &'a [&'a Endpoint],
    head: &'a Parts,
    body: &'a [u8],
    now: SystemTime,
    trials: &'a Trials,
}

impl<'a> Request<'a> {
    fn attempts(&self) -> Vec<Attempt> {
        let kinds = self.endpoint.auth.iter();
        kinds.flat_map(|kind| self.kind(kind)).collect()
    }

    fn kind(&self, kind: &Auth) -> Vec<Attempt> {
        let schemes = self.endpoint.schemes(kind);
        match kind {
            Auth::None {} => vec![Attempt::new("anybody may post").ended(None)],
            Auth::Secret { header, prefix, secrets } => {
                vec![plain::secret(self, header, prefix, secrets)]
            }
            Auth::Basic { user, passwords } => vec![plain::basic(self, user, passwords)],
            Auth::Jwt(_) => vec![plain::bearer(self)],
            Auth::Hmac(config::Hmac { secrets, .. }) => {
                let schemes = schemes.iter();
                schemes.map(|scheme| signature::attempt(self, scheme, secrets, true)).collect()
            }
            Auth::Signature(config::Signature { secrets, .. }) => {
                let schemes = schemes.iter();
                let mut all: Vec<_> = schemes
                    .map(|scheme| signature::attempt(self, scheme, secrets, false))
                    .collect();
                if let Some(provider) = &self.endpoint.facts.description {
                    let tokens = provider.tokens.iter();
                    all.extend(tokens.map(|token| plain::token(self, token, secrets)));
                    let jwts = provider.jwts.iter();
                    all.extend(jwts.map(|jwt| jwt::attempt(self, jwt, secrets)));
                }
                all
            }
        }
    }

    /// The endpoint that would let it in.
    fn meant_for(&self) -> Option<&'a Endpoint> {
        let others = self.others.iter().take(MAX_OTHERS).copied();
        let takes = |other: &&Endpoint| {
            let request = Request { endpoint: other, others: &[], ..*self };
            // It says nothing that one takes it which takes everything.
            let kinds = other.auth.iter().filter(|kind| !matches!(kind, Auth::None {}));
            kinds.flat_map(|kind| request.kind(kind)).any(|attempt| attempt.refused.is_none())
        };
        others.filter(|other| other.name != self.endpoint.name).find(takes)
    }
}

impl Attempt {
    fn new(way: impl Into<String>) -> Self {
        Self { way: way.into(), steps: Vec::new(), refused: None }
    }

    fn fine(&mut self, name: &'static str, text: impl Into<String>) {
        self.steps.push(Step { name, is_fine: true, text: text.into() });
    }

    fn wrong(&mut self, name: &'static str, text: impl Into<String>) {
        self.steps.push(Step { name, is_fine: false, text: text.into() });
    }

    fn ended(self, refused: Option<Diagnosis>) -> Self {
        Self { refused, ..self }
    }

    fn refused(self, reason: Reason, what: impl Into<String>, hint: impl Into<String>) -> Self {
        self.ended(Some(Diagnosis { reason, what: what.into(), hint: hint.into() }))
    }
}

fn other_endpoint(other: &Endpoint, what: &str) -> Diagnosis {
    Diagnosis {
        reason: Reason::OtherEndpoint,
        what: format!("{what} the endpoint `{}` ({})", other.name, other.path),
        hint:
            "check the URL that the provider was told, and which secret belongs to which endpoint"
                .to_owned(),
    }
}

/// A span for people: whole seconds are enough.
fn span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

#[cfg(test)]
mod tests;
