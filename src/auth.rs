//! Who may call: the kinds of `[[endpoint.auth]]`.
//!
//! Nothing says why a request was refused; the sender either knows the secret or doesn't.

mod secret;

use http::HeaderMap;

use crate::config;
use crate::message::Refusal;

/// What one endpoint demands; any of its kinds is enough.
#[derive(Debug)]
pub struct Auth {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
enum Kind {
    Secret(secret::Secret),
    None,
}

impl Auth {
    /// The kinds of an endpoint, as configured.
    pub fn new(kinds: &[config::Auth]) -> Self {
        let kinds = kinds.iter().map(|kind| match kind {
            config::Auth::Secret { header, secrets } => {
                Kind::Secret(secret::Secret::new(header, secrets))
            }
            config::Auth::None {} => Kind::None,
        });
        Self { kinds: kinds.collect() }
    }

    /// Decide by the headers alone, before the body is read.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let accepts = |kind: &Kind| match kind {
            Kind::Secret(secret) => secret.accepts(headers),
            Kind::None => true,
        };
        // Every kind is looked at, so that the time doesn't tell which one accepted.
        let accepted = self.kinds.iter().fold(false, |accepted, kind| accepted | accepts(kind));
        if accepted { Ok(()) } else { Err(Refusal::Unauthorized) }
    }
}
