//! A header that holds a shared secret as it is.

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::config;

/// The digests of the accepted values.
#[derive(Debug)]
pub(super) struct Secret {
    header: Option<HeaderName>,
    digests: Vec<[u8; 32]>,
}

impl Secret {
    pub(super) fn new(header: &str, secrets: &[config::secret::Secret]) -> Self {
        Self {
            // A name that is none was a problem of the configuration; it accepts nobody.
            header: header.parse().ok(),
            digests: secrets.iter().map(|secret| digest(secret.expose().as_bytes())).collect(),
        }
    }

    /// Exactly one such header, with one of the values.
    pub(super) fn accepts(&self, headers: &HeaderMap) -> bool {
        let Some(header) = &self.header else {
            return false;
        };
        let mut values = headers.get_all(header).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let given = digest(value.as_bytes());
        self.digests.iter().fold(false, |accepted, digest| accepted | same(digest, &given))
    }
}

/// Digests have one length, and comparing them tells nothing about the secret.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn one_header_with_one_of_the_secrets_is_let_in() {
        let secret = Secret::new(
            "X-Vapi-Secret",
            &[config::secret::Secret::new("old"), config::secret::Secret::new("new")],
        );
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-vapi-secret", value.parse().unwrap());
            }
            headers
        };
        assert!(secret.accepts(&headers(&["old"])));
        assert!(secret.accepts(&headers(&["new"])));
        for wrong in [&[][..], &[""], &["ol"], &["oldx"], &["old", "old"], &["x", "old"]] {
            assert!(!secret.accepts(&headers(wrong)), "{wrong:?}");
        }
    }
}
