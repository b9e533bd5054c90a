//! Signing what is posted, as the provider signs what it posts.

use bytes::Bytes;
use http::Method;
use reqwest::Url;

use crate::cli::Failure;
use crate::cli::send::sign::{self, Credential};
use crate::config::Endpoint;
use crate::config::secret::Secret;
use crate::forward;

/// What lets a request in at a server that verifies.
pub(super) struct Signing(Credential);

impl Signing {
    pub(super) fn new(endpoint: &Endpoint, secret: &Secret) -> Result<Self, Failure> {
        Credential::with_secret(endpoint, secret).map(Self)
    }
}

impl forward::Credential for Signing {
    fn apply(&self, url: &Url, body: Bytes) -> Result<forward::Signed, String> {
        let sign::Signed { to, headers, body } = self.0.apply(&Method::POST, url, body)?;
        Ok(forward::Signed { url: to, headers, body })
    }
}
