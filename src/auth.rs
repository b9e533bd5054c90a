//! Who may call: the networks and the kinds of `[[endpoint.auth]]`.
//!
//! In this order: the address, what the head alone can decide, the body is read, the signature over it. Nothing is
//! looked for in a body before that. The sender isn't told why it was refused; a metric says it.

mod bound_jwt;
pub mod credential;
#[cfg(test)]
mod described;
pub mod diagnosis;
mod jwks;
mod jwt;
mod network;
mod seen;
pub mod secret;
pub mod signature;
mod signer;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::AsHeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use self::bound_jwt::{Bound, BoundJwt};
pub use self::jwks::Issuers;
use self::jwt::Jwt;
use self::network::Networks;
pub use self::seen::{Delivered, Entry, Found, Mark, Seen, SeenDeliveries};
pub use self::signature::Signature;
use self::signature::Signed;
pub use self::signer::{Change, Signer};
use self::token::Token;
use crate::config::{self, Replay};
use crate::message::{Client, Refusal};
use crate::places::Form;

/// What one endpoint demands; any of its kinds is enough.
pub struct Auth {
    from: Networks,
    proxies: Networks,
    /// Each with the number of its table in the configuration.
    kinds: Vec<(usize, Kind)>,
}

enum Kind {
    Secret(secret::Secret),
    Signature(Box<Signature>),
    Token(Token),
    BoundJwt(BoundJwt),
    Jwt(Jwt),
    None,
}

/// Why a request was refused, for the metric. With several kinds the last of these counts: the one that came nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Its address is in none of the networks.
    Address,
    /// A header isn't there.
    Missing,
    /// A header is there twice, or holds nothing that it could hold.
    Malformed,
    /// The wrong secret, or a signature over other bytes.
    Mismatch,
    /// It was signed too long ago, or is no longer valid.
    TooOld,
    /// It was signed at a time that is still to come, or is not valid yet.
    FromFuture,
    /// The token is for somebody else, or doesn't say for whom or until when it is.
    Audience,
    /// It came before, and its endpoint refuses repetitions.
    Repeated,
    /// Its endpoint refuses repetitions, and has no room to remember this one.
    Full,
    /// The keys that verify the sender cannot be fetched.
    Undecided,
}

/// All reasons for which a sender may be refused: causes, and what is found out about one ([`diagnosis::Reason`]).
pub const REASONS: [&str; 15] = [
    "address",
    "no-header",
    "malformed",
    "wrong-secret",
    "too-old",
    "from-future",
    "claims",
    "repeated",
    "full",
    "undecided",
    "undecodable-secret",
    "secret-form",
    "url-differs",
    "body-changed",
    "other-endpoint",
];

impl Cause {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Missing => "no-header",
            Self::Malformed => "malformed",
            Self::Mismatch => "wrong-secret",
            Self::TooOld => "too-old",
            Self::FromFuture => "from-future",
            Self::Audience => "claims",
            Self::Repeated => "repeated",
            Self::Full => "full",
            Self::Undecided => "undecided",
        }
    }

    /// What the sender gets: nothing about why, unless it isn't to blame.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Undecided => Refusal::Undecided,
            Self::Full => Refusal::Overloaded("deliveries to remember"),
            _ => Refusal::Unauthorized,
        }
    }
}

/// What let a request in: by their numbers, the table in the configuration, and the secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The table.
    pub auth: usize,
    /// The secret; zero where there are none.
    pub secret: usize,
}

/// What is known of an accepted request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The provider's id of this delivery, if its signature covers it or its endpoint trusts it as it is.
    pub id: Option<&'a str>,
    /// What tells it from all others, if anything does.
    pub mark: Option<Mark>,
    /// What becomes of a repetition.
    pub replay: Replay,
    /// The number of the scheme whose signature let it in, if one did.
    pub scheme: Option<usize>,
    /// What let it in.
    pub by: Option<By>,
}

/// A request that the head alone has accepted, or that may be accepted by its body.
pub struct Pending<'a> {
    head: &'a Parts,
    accepted: Option<By>,
    /// Each with the number of its table.
    open: Vec<(usize, Open<'a>)>,
    cause: Cause,
}

/// What the body has to decide.
enum Open<'a> {
    Signature(Signed<'a>),
    Token(&'a Token),
    Jwt(Bound),
}

impl Auth {
    /// The kinds of an endpoint, as configured. The keys of `issuers` are shared with other endpoints.
    pub fn new(endpoint: &config::Endpoint, proxies: &[String], issuers: &Issuers) -> Self {
        // As `Endpoint::schemes` lists them, of all kinds together. Without a usable secret nobody could meet one.
        let mut numbers = 0..;
        let mut signatures = |kind| -> Vec<Kind> {
            let all = Signature::all(endpoint, kind).into_iter().zip(numbers.by_ref());
            let all = all.map(|(signature, number)| signature.numbered(number));
            all.filter(Signature::has_keys).map(Box::new).map(Kind::Signature).collect()
        };
        let kinds = endpoint.auth.iter().enumerate().flat_map(|(auth, kind)| {
            let all = match kind {
                config::Auth::Secret { header, prefix, secrets } => {
                    vec![Kind::Secret(secret::Secret::new(header, prefix, secrets))]
                }
                config::Auth::Basic { user, passwords } => {
                    vec![Kind::Secret(secret::Secret::basic(user, passwords))]
                }
                config::Auth::Hmac(_) => signatures(kind),
                config::Auth::Signature(config::Signature { secrets, .. }) => {
                    let mut all = signatures(kind);
                    if let Some(provider) = &endpoint.facts.description {
                        let tokens = provider.tokens.iter();
                        all.extend(
                            tokens.filter_map(|it| Token::new(it, secrets)).map(Kind::Token),
                        );
                        let jwts = provider.jwts.iter().map(|it| BoundJwt::new(it, secrets));
                        all.extend(jwts.map(Kind::BoundJwt));
                    }
                    all
                }
                config::Auth::Jwt(settings) => vec![Kind::Jwt(Jwt::new(settings, issuers))],
                config::Auth::None {} => vec![Kind::None],
            };
            all.into_iter().map(move |kind| (auth, kind))
        });
        Self {
            from: Networks::new(&endpoint.allow_from),
            proxies: Networks::new(proxies),
            kinds: kinds.collect(),
        }
    }

    /// Keys that are fetched from elsewhere, so that the first request finds them.
    pub fn prepare(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let auth = self.clone();
        async move {
            for (_, kind) in &auth.kinds {
                if let Kind::Jwt(jwt) = kind {
                    jwt.prepare().await;
                }
            }
        }
    }

    /// Decide by the address.
    pub fn address(&self, head: &Parts, client: &Client) -> Result<(), Cause> {
        if self.from.is_empty() {
            return Ok(());
        }
        let sender = network::sender(client.address, &head.headers, &self.proxies);
        let is_let_in = sender.is_some_and(|sender| self.from.contains(sender));
        if is_let_in { Ok(()) } else { Err(Cause::Address) }
    }

    /// Decide by the head, as far as that is possible, before the body is read.
    pub async fn head<'a>(
        &'a self,
        head: &'a Parts,
        client: &Client,
    ) -> Result<Pending<'a>, Cause> {
        self.address(head, client)?;
        // Every kind is looked at, so that the time doesn't tell which one accepted.
        let mut pending = Pending { head, accepted: None, open: Vec::new(), cause: Cause::Address };
        for (auth, kind) in &self.kinds {
            let auth = *auth;
            let decided = match kind {
                Kind::None => Ok(Some(0)),
                Kind::Secret(secret) => secret.accepts(&head.headers).map(Some),
                Kind::Jwt(jwt) => jwt.accepts(&head.headers).await.and(Ok(Some(0))),
                Kind::Signature(signature) => {
                    let signed = signature.head(head).map(Open::Signature);
                    signed.map(|open| pending.open.push((auth, open))).and(Ok(None))
                }
                Kind::Token(token) if token.is_in_body() => {
                    pending.open.push((auth, Open::Token(token)));
                    Ok(None)
                }
                Kind::Token(token) => token.head(head).map(Some),
                Kind::BoundJwt(jwt) => {
                    let bound = jwt.head(head, SystemTime::now()).map(Open::Jwt);
                    bound.map(|open| pending.open.push((auth, open))).and(Ok(None))
                }
            };
            match decided {
                Ok(secret) => {
                    pending.accepted =
                        pending.accepted.or(secret.map(|secret| By { auth, secret }));
                }
                Err(cause) => pending.cause = pending.cause.max(cause),
            }
        }
        if pending.accepted.is_some() || !pending.open.is_empty() {
            Ok(pending)
        } else {
            Err(pending.cause)
        }
    }
}

impl<'a> Pending<'a> {
    /// Whether the head alone was enough.
    pub const fn is_known(&self) -> bool {
        self.accepted.is_some()
    }

    /// A body that comes in several pieces is shown here, all of it and in order: what takes long for a large one is
    /// done while it arrives, and not for all of it at its end, when others would have to wait.
    pub fn part(&mut self, part: &[u8]) {
        for (_, open) in &mut self.open {
            match open {
                Open::Signature(signed) => signed.part(self.head, part),
                Open::Jwt(bound) => bound.part(part),
                Open::Token(_) => {}
            }
        }
    }

    /// Whether deciding takes memory like that of the body once more.
    pub fn copies_body(&self) -> bool {
        let copies =
            |(_, open): &(usize, Open<'_>)| matches!(open, Open::Signature(it) if it.copies_body());
        self.open.iter().any(copies)
    }

    /// Decide by the received bytes. The fields of a form are left in `form`, if they had to be found.
    pub fn body(self, body: &[u8], form: &mut Option<Form>) -> Result<Delivery<'a>, Cause> {
        let mut cause = self.cause;
        let mut delivery = self.accepted.map(|by| Delivery { by: Some(by), ..Delivery::default() });
        let mut is_signed = false;
        for (auth, open) in self.open {
            // Which of several schemes fits is no secret.
            if is_signed {
                break;
            }
            let decided = match open {
                Open::Signature(signed) => signed.verify(self.head, body, form),
                Open::Token(token) => token.body(body).map(|secret| (Delivery::default(), secret)),
                Open::Jwt(bound) => bound.verify(body).map(|secret| (Delivery::default(), secret)),
            };
            match decided {
                Ok((known, secret)) => {
                    is_signed = known.scheme.is_some();
                    delivery = Some(Delivery { by: Some(By { auth, secret }), ..known });
                }
                Err(other) => cause = cause.max(other),
            }
        }
        delivery.ok_or(cause)
    }
}

/// The value of a header that must be there exactly once.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Result<&HeaderValue, Cause> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Cause::Missing),
        (Some(_), Some(_)) => Err(Cause::Malformed),
    }
}
