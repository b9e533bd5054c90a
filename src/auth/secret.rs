//! A header that holds a shared secret, as it is or behind a fixed prefix.

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::{Cause, only};
use crate::config;

/// A header, and the digests of the values that are accepted in it.
#[derive(Debug)]
pub struct Secret {
    header: Option<HeaderName>,
    digests: Vec<[u8; 32]>,
}

impl Secret {
    /// Accept these values behind `prefix`.
    pub fn new(header: &str, prefix: &str, secrets: &[config::secret::Secret]) -> Self {
        let digests = secrets.iter().map(|secret| digest(&[prefix, secret.expose()]));
        // A name that is none was a problem of the configuration; it accepts nobody.
        Self { header: header.parse().ok(), digests: digests.collect() }
    }

    /// HTTP's own scheme: a name and a password, in base64 (RFC 7617).
    pub(super) fn basic(user: &str, passwords: &[config::secret::Secret]) -> Self {
        let value = |password: &config::secret::Secret| {
            let pair = format!("{user}:{}", password.expose());
            digest(&["Basic ", &data_encoding::BASE64.encode(pair.as_bytes())])
        };
        let digests = passwords.iter().map(value).collect();
        Self { header: Some(http::header::AUTHORIZATION), digests }
    }

    /// Exactly one such header, with one of the values: its number.
    pub fn accepts(&self, headers: &HeaderMap) -> Result<usize, Cause> {
        let header = self.header.as_ref().ok_or(Cause::Missing)?;
        let given: [u8; 32] = Sha256::digest(only(headers, header)?.as_bytes()).into();
        find(&self.digests, |digest| same(digest, &given)).ok_or(Cause::Mismatch)
    }
}

/// The number of the first that it is, if it is one of these. All of them are looked at, so that the time doesn't tell
/// which.
pub(super) fn find<T>(
    all: impl IntoIterator<Item = T>,
    mut is_it: impl FnMut(T) -> bool,
) -> Option<usize> {
    all.into_iter().enumerate().fold(None, |found, (number, one)| {
        let is_it = is_it(one).then_some(number);
        found.or(is_it)
    })
}

/// Digests have one length, and comparing them tells nothing about the secret.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether two values are equal, in a time that doesn't depend on where they differ.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
