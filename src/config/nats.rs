//! `[nats]`: its servers and streams.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::units::{Size, Time};
use super::written::Written;

/// `[nats]`: where questions are asked and JetStream events are stored.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nats {
    /// Addresses of the servers, tried in turn. `tls://` demands TLS. A login in an address
    /// (`nats://USER:PASSWORD@HOST`) is percent-encoded.
    pub servers: Vec<String>,
    /// User name, together with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// Token, for servers that use one.
    pub token: Option<Secret>,
    /// File with a user JWT and its key (`.creds`).
    #[schemars(extend("format" = "file"))]
    pub credentials: Option<PathBuf>,
    /// Seed of an nkey (`SU…`).
    pub nkey: Option<Secret>,
    /// File with the certificate authorities (PEM) to trust instead of the system's.
    #[schemars(extend("format" = "file"))]
    pub tls_ca: Option<PathBuf>,
    /// File with the client certificate (PEM), together with `tls_key`.
    #[schemars(extend("format" = "file"))]
    pub tls_cert: Option<PathBuf>,
    /// File with the key (PEM) of `tls_cert`.
    #[schemars(extend("format" = "file"))]
    pub tls_key: Option<PathBuf>,
    /// Start with the TLS handshake instead of waiting for the server's greeting, for servers with `handshake_first`.
    pub tls_first: bool,
    /// JetStream domain of the declared streams, for servers that are leaf nodes of another JetStream.
    #[schemars(example = &"hub")]
    pub domain: Option<String>,
    /// First part of the reply subjects; for accounts that may not use `_INBOX`.
    pub inbox_prefix: String,
    /// How long storing an event may take, retries included, before it goes to the disk, or without a spool is refused.
    pub ack_timeout: Time,
    /// Streams to create at the start if they are missing.
    #[serde(rename = "stream")]
    pub streams: Vec<Stream>,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            user: None,
            password: None,
            token: None,
            credentials: None,
            nkey: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            tls_first: false,
            domain: None,
            inbox_prefix: "_INBOX".to_owned(),
            ack_timeout: Time::seconds(5),
            streams: Vec::new(),
        }
    }
}

/// `[[nats.stream]]`: a JetStream stream that is created if it is missing.
/// One that exists and differs is refused, unless `update = true`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Name of the stream.
    #[schemars(example = &"EVENTS")]
    pub name: String,
    /// Subjects that it stores.
    #[schemars(example = ["shop.events.>", "shop.jobs.>"])]
    pub subjects: Vec<String>,
    /// Oldest message that is kept; unset: for ever.
    #[serde(default)]
    pub max_age: Option<Time>,
    /// Bytes that are kept; unset: no limit but the server's.
    #[serde(default)]
    pub max_bytes: Option<Size>,
    /// Copies in a cluster.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Written<usize>,
    /// Where messages are kept.
    #[serde(default)]
    pub storage: Written<Storage>,
    /// When messages are removed.
    #[serde(default)]
    pub retention: Written<Retention>,
    /// What happens when the stream is full.
    #[serde(default)]
    pub discard: Written<Discard>,
    /// How long the server remembers message ids, to drop repetitions.
    #[serde(default = "two_minutes_window")]
    pub duplicate_window: Written<Time>,
    /// Change an existing stream at the start instead of refusing to start: what is written here is changed, and
    /// everything else stays as it is.
    #[serde(default)]
    pub update: bool,
}

/// Where a stream keeps its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In memory, and gone with the server.
    Memory,
}

/// When a stream removes messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// By its limits alone.
    #[default]
    Limits,
    /// When every consumer has acknowledged them.
    Interest,
    /// When one consumer has acknowledged them: a work queue.
    Workqueue,
}

/// What a full stream does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    /// Refuse new messages: their events wait on disk, or without a spool are refused.
    #[default]
    New,
    /// Delete the oldest ones, read or not.
    Old,
}

fn one() -> Written<usize> {
    Written::by_default(1)
}

fn two_minutes_window() -> Written<Time> {
    Written::by_default(Time::seconds(120))
}
