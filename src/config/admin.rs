//! `[admin]` and `[tail]`: the second listener.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::Secret;
use super::tls::Tls;

/// `[admin]`: the second listener.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of `/livez`, `/readyz` and `/metrics`, of the console, and of what `hookbus status`, `hookbus dlq`,
    /// `hookbus spool` and `hookbus tail` use. On another address than loopback, all but the first three need `token`,
    /// or a certificate that `client_ca` of `[admin.tls]` signed.
    #[schemars(extend("format" = "address"))]
    pub listen: SocketAddr,
    /// What a request has to bring as `authorization: Bearer ...`, except for `/livez`, `/readyz` and `/metrics`.
    #[schemars(example = &"${HOOKBUS_ADMIN_TOKEN}")]
    pub token: Option<Secret>,
    /// TLS, with the keys below; without this table the listener speaks plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9180)), token: None, tls: None }
    }
}

/// `[tail]`: what `hookbus tail` may show of webhooks.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Whether it shows their bodies, up to 64 KiB of each, to those who ask with `--bodies`.
    pub bodies: bool,
    /// Names of what is left out of such bodies, wherever it stands in JSON or in a form: each a name or a pattern with `*`,
    /// whatever its case, hyphens and underscores. `[]`: nothing.
    pub redact: Vec<String>,
    /// How many of the last webhooks are kept in memory, without their bodies, for the console and `GET /recent`. Together
    /// they take at most 3 MiB. `0`: none.
    pub recent: usize,
    /// Keep them from the start on. Otherwise they are kept from the first request for them on, until there was none for a
    /// quarter of an hour.
    pub always_recent: bool,
}

impl Default for Tail {
    fn default() -> Self {
        let redact = [
            "*secret*",
            "*password*",
            "*passphrase*",
            "*token",
            "*authorization",
            "*api_key",
            "*private_key",
            "*credential*",
            "cookie",
            "set_cookie",
        ];
        Self {
            bodies: false,
            redact: redact.map(str::to_owned).to_vec(),
            recent: 2000,
            always_recent: false,
        }
    }
}
