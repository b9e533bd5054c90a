//! Who may call: the networks and the kinds of `[[endpoint.auth]]`.
//!
//! In this order: the address, what the head alone can decide, the body is read, the signature over it. Nothing is
//! looked for in a body before that. The sender isn't told why it was refused; a metric says it.

mod jwks;
mod jwt;
mod network;
mod seen;
pub mod secret;
pub mod signature;

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::jwks::Issuers;
use self::jwt::Jwt;
use self::network::Networks;
pub use self::seen::{Delivered, Entry, Found, Mark, Seen, SeenDeliveries};
pub use self::signature::Signature;
use self::signature::Signed;
use crate::config::{self, Replay};
use crate::message::Refusal;

/// What one endpoint demands; any of its kinds is enough.
pub struct Auth {
    from: Networks,
    proxies: Networks,
    kinds: Vec<Kind>,
}

enum Kind {
    Secret(secret::Secret),
    Signature(Signature),
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
    /// Its time is too far from ours.
    Stale,
    /// The token is for somebody else, or doesn't say for whom or until when it is.
    Audience,
    /// It came before, and its endpoint refuses repetitions.
    Repeated,
    /// Its endpoint refuses repetitions, and has no room to remember this one.
    Full,
    /// The keys that would tell can't be had.
    Undecided,
}

impl Cause {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
            Self::Audience => "audience",
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

/// Who holds the other end of the connection, as an extension of a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What is known of an accepted request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The provider's id of this delivery, if its signature covers it or its endpoint trusts it as it is.
    pub id: Option<&'a str>,
    /// What tells it from all others, if anything does.
    pub mark: Option<Mark>,
    /// What becomes of a repetition.
    pub replay: Replay,
}

/// A request that the head alone has accepted, or that may be accepted by its body.
pub struct Pending<'a> {
    head: &'a Parts,
    is_accepted: bool,
    signed: Vec<Signed<'a>>,
    cause: Cause,
}

impl Auth {
    /// The kinds of an endpoint, as configured. The keys of `issuers` are shared with other endpoints.
    pub fn new(endpoint: &config::Endpoint, proxies: &[String], issuers: &Issuers) -> Self {
        let signature = |kind: &config::Auth| {
            Signature::all(endpoint, kind).into_iter().map(Kind::Signature).collect()
        };
        let kinds = endpoint.auth.iter().flat_map(|kind| match kind {
            config::Auth::Secret { header, prefix, secrets } => {
                vec![Kind::Secret(secret::Secret::new(header, prefix, secrets))]
            }
            config::Auth::Basic { user, passwords } => {
                vec![Kind::Secret(secret::Secret::basic(user, passwords))]
            }
            config::Auth::Hmac(_) | config::Auth::Signature(_) => signature(kind),
            config::Auth::Jwt(settings) => vec![Kind::Jwt(Jwt::new(settings, issuers))],
            config::Auth::None {} => vec![Kind::None],
        });
        Self {
            from: Networks::new(&endpoint.allow_from),
            proxies: Networks::new(proxies),
            kinds: kinds.collect(),
        }
    }

    /// Whether it has to know where requests come from.
    pub fn wants_peer(&self) -> bool {
        !self.from.is_empty()
    }

    /// Keys that are fetched from elsewhere, so that the first request finds them.
    pub fn prepare(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let auth = self.clone();
        async move {
            for kind in &auth.kinds {
                if let Kind::Jwt(jwt) = kind {
                    jwt.prepare().await;
                }
            }
        }
    }

    /// Decide by the head, as far as that is possible, before the body is read.
    pub async fn head<'a>(&'a self, head: &'a Parts) -> Result<Pending<'a>, Cause> {
        if !self.from.is_empty() {
            let peer = head.extensions.get::<Peer>();
            let sender =
                peer.and_then(|peer| network::sender(peer.0, &head.headers, &self.proxies));
            if !sender.is_some_and(|sender| self.from.contains(sender)) {
                return Err(Cause::Address);
            }
        }
        // Every kind is looked at, so that the time doesn't tell which one accepted.
        let mut pending =
            Pending { head, is_accepted: false, signed: Vec::new(), cause: Cause::Address };
        for kind in &self.kinds {
            let decided = match kind {
                Kind::None => Ok(()),
                Kind::Secret(secret) => secret.accepts(&head.headers),
                Kind::Jwt(jwt) => jwt.accepts(&head.headers).await,
                Kind::Signature(signature) => match signature.head(head) {
                    Ok(signed) => {
                        pending.signed.push(signed);
                        continue;
                    }
                    Err(cause) => Err(cause),
                },
            };
            match decided {
                Ok(()) => pending.is_accepted = true,
                Err(cause) => pending.cause = pending.cause.max(cause),
            }
        }
        if pending.is_accepted || !pending.signed.is_empty() {
            Ok(pending)
        } else {
            Err(pending.cause)
        }
    }
}

impl<'a> Pending<'a> {
    /// Whether the head alone was enough.
    pub const fn is_known(&self) -> bool {
        self.is_accepted
    }

    /// A body that comes in several pieces is shown here, all of it and in order: what takes long for a large one is
    /// done while it arrives, and not for all of it at its end, when others would have to wait.
    pub fn part(&mut self, part: &[u8]) {
        for signed in &mut self.signed {
            signed.part(self.head, part);
        }
    }

    /// Decide by the received bytes.
    pub fn body(self, body: &[u8]) -> Result<Delivery<'a>, Cause> {
        let mut cause = self.cause;
        let mut delivery = self.is_accepted.then(Delivery::default);
        for signed in self.signed {
            match signed.verify(self.head, body) {
                Ok(known) => delivery = Some(known),
                Err(other) => cause = cause.max(other),
            }
        }
        delivery.ok_or(cause)
    }
}

/// The value of a header that must be there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, Cause> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Cause::Missing),
        (Some(_), Some(_)) => Err(Cause::Malformed),
    }
}
