//! `[http.tls]` and `[admin.tls]`: TLS on a listener.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::tls;

/// `[http.tls]` and `[admin.tls]`: TLS 1.2 and 1.3 on a listener. The files are looked at once a second, and what
/// changed is used for new connections.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the certificate of the server and then its chain (PEM).
    #[schemars(extend("format" = "file"), example = &"tls/cert.pem")]
    pub cert: PathBuf,
    /// File with the key (PEM) of the certificate, without a passphrase.
    #[schemars(extend("format" = "file"), example = &"tls/key.pem")]
    pub key: PathBuf,
    /// File with the certificate authorities (PEM) of clients. With it, a client without a certificate from one of
    /// them is refused in the handshake.
    #[serde(default)]
    #[schemars(extend("format" = "file"))]
    pub client_ca: Option<PathBuf>,
}

impl From<&Tls> for tls::Files {
    fn from(tls: &Tls) -> Self {
        Self { cert: tls.cert.clone(), key: tls.key.clone(), client_ca: tls.client_ca.clone() }
    }
}
