//! `[http]`: the public listener.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::tls::Tls;
use super::units::{Size, Time};

/// `[http]`: the public listener and its limits.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen on.
    #[schemars(extend("format" = "address"))]
    pub listen: SocketAddr,
    /// Largest body, as received and decompressed; a larger one is answered with 413.
    pub max_body: Size,
    /// Open connections; further ones wait in the kernel's queue. There are fewer where the limit of open files leaves
    /// no room for this many beside the spool and the brokers.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_connections: usize,
    /// Requests whose body is being read at the same time; over it: 503. Bodies of unknown senders are counted apart, by
    /// endpoint, up to the same number.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_reading: usize,
    /// Events being handled at the same time; over it: 503.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_events: usize,
    /// Webhooks with questions being handled at the same time, a pool of its own; over it: 503.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_questions: usize,
    /// Bytes of all bodies and payloads held at the same time; over it: 503.
    pub max_in_flight_bytes: Size,
    /// Time for the head of a request from its first byte on, and for the first byte of a connection.
    pub header_timeout: Time,
    /// How long a connection may be silent between two requests.
    pub keep_alive: Time,
    /// Time for the whole body; over it: 503.
    pub body_timeout: Time,
    /// The same where only a signature over the body can tell who sends it (`kind = "hmac"` and
    /// `kind = "signature"`): until such a body is complete, it may be anyone's.
    pub unverified_timeout: Time,
    /// Bytes of all such bodies that one endpoint holds at the same time, which are counted apart from all others. When
    /// they are more, the oldest incomplete one is refused with a 503. Unset: four times `max_body`.
    pub max_unverified_bytes: Option<Size>,
    /// How long a client may take nothing of what is written to it before its connection is ended; on the admin
    /// listener too.
    pub write_timeout: Time,
    /// After SIGTERM: not ready, but still serving for so long, so that load balancers notice. Clients are told not to
    /// use their connections again.
    pub shutdown_delay: Time,
    /// After that: how long what is in flight may take to end.
    pub drain: Time,
    /// Networks of proxies whose `X-Forwarded-For` says where a request comes from, for `allow_from`.
    pub trusted_proxies: Vec<String>,
    /// Path, such as `/healthz`, that answers GET and HEAD with 200 while this instance should get traffic and with 503
    /// while it shouldn't, as `/readyz` of the admin listener does, for load balancers that know one port. Unset: none.
    #[schemars(example = &"/healthz")]
    pub health: Option<String>,
    /// TLS, with the keys below; without this table the listener speaks plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body: Size::mib(8),
            max_connections: 20_000,
            max_reading: 4_096,
            max_events: 8_192,
            max_questions: 2_048,
            max_in_flight_bytes: Size::mib(512),
            header_timeout: Time::seconds(10),
            keep_alive: Time::seconds(75),
            body_timeout: Time::seconds(30),
            write_timeout: Time::seconds(30),
            unverified_timeout: Time::seconds(10),
            max_unverified_bytes: None,
            shutdown_delay: Time::seconds(0),
            drain: Time::seconds(20),
            trusted_proxies: Vec::new(),
            health: None,
            tls: None,
        }
    }
}

impl Http {
    /// Bytes of bodies that an endpoint holds before it knows who sent them.
    pub fn unverified_bytes(&self) -> Size {
        let usual = self.max_body.get().saturating_mul(4);
        self.max_unverified_bytes.unwrap_or_else(|| Size::bytes(usual))
    }
}
