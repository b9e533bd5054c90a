//! Every setting of the configuration file as plain typed data.
//!
//! The doc comment of a key is its reference: `hookbus schema` and
//! `docs/configuration.md` are made from these types, and so is the search for
//! misspelt keys and wrong values. What a file may hold beyond its shape (unique
//! names, templates that make sense) is in [`check`]; how text becomes these types
//! is in [`load`].

pub mod address;
pub mod facts;
pub mod homes;
pub mod load;
pub mod check;
mod shape;
#[cfg(test)]
mod reference;
mod schema;
mod tree;
mod variables;
mod problem;
pub mod librdkafka;
pub mod secret;
pub mod signature;
pub mod units;
pub mod written;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::facts::Facts;
pub use self::problem::{Problem, Severity};
pub use self::schema::schema;
use self::secret::Secret;
use self::units::{Rate, Size, Time};
use self::written::Written;
use crate::tls;

/// The whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The public listener, where providers post their webhooks.
    pub http: Http,
    /// The second listener: health, readiness and metrics.
    pub admin: Admin,
    /// What `hookbus tail` may show.
    pub tail: Tail,
    /// What is logged, and how.
    pub log: Log,
    /// Where events wait on this machine while their destination can't store them.
    pub spool: Spool,
    /// The NATS servers; without this table nothing is asked and nothing goes to JetStream.
    pub nats: Option<Nats>,
    /// The Kafka cluster; without this table nothing goes to Kafka.
    pub kafka: Option<Kafka>,
    /// The paths that webhooks arrive at, one table each.
    #[serde(rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
}

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
    /// no room for so many beside the spool and the brokers.
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
    /// The same where only a signature over the body can tell who sends it (`kind = "hmac"`): such a body may be
    /// anybody's, until it is complete.
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

/// `[admin]`: the second listener.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of `/livez`, `/readyz` and `/metrics`, of `/reload` and `/workers`, and of what `hookbus dlq`,
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
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Whether it shows their bodies, up to 64 KiB of each, to those who ask with `--bodies`.
    pub bodies: bool,
}

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

/// `[log]`: what is logged, to standard error.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least severe level that is logged.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What went wrong and needs somebody.
    Error,
    /// What went wrong.
    Warn,
    /// What happened to the bridge and its brokers.
    #[default]
    Info,
    /// One line a webhook.
    Debug,
    /// Everything.
    Trace,
}

/// `[spool]`: the queues on disk, for events that a destination doesn't acknowledge in time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Whether there is one. Without it, an event that isn't acknowledged in time is refused with a 503.
    pub enabled: bool,
    /// Directory of the queues, seen from the working directory; made when it is missing, and used by one process at a
    /// time.
    pub dir: PathBuf,
    /// Bytes that all queues may take together; when they are full, senders get a 503.
    pub max_bytes: Size,
    /// How long writing and syncing an event may take before the sender gets a 503.
    pub sync_timeout: Time,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: PathBuf::from("hookbus-spool"),
            max_bytes: Size::mib(10 << 10),
            sync_timeout: Time::seconds(3),
        }
    }
}

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
    /// How long storing an event may take before the sender gets a 503, retries included.
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
    #[schemars(example = &"VAPI")]
    pub name: String,
    /// Subjects that it stores.
    #[schemars(example = ["vapi.events.>", "vapi.jobs.>"])]
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
    /// Refuse new messages: their senders get a 503.
    #[default]
    New,
    /// Delete the oldest ones, read or not.
    Old,
}

/// `[kafka]`: the cluster that `kafka:` destinations write to.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Addresses (`host:port`) of some brokers of the cluster.
    pub brokers: Vec<String>,
    /// How long storing an event may take before it goes to the disk, or without a spool is refused. At least `"1500ms"`: librdkafka stops trying 1.2 s before.
    pub ack_timeout: Time,
    /// Any property of librdkafka: `security.protocol`, `sasl.mechanism`, `compression.type` and so on.
    /// The ones that the promises of the bridge rest on (`acks`, `enable.idempotence` and a few more) can't be set.
    pub properties: BTreeMap<String, Secret>,
    /// Topics to create at the start if they are missing.
    #[serde(rename = "topic")]
    pub topics: Vec<Topic>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            ack_timeout: Time::seconds(5),
            properties: BTreeMap::new(),
            topics: Vec::new(),
        }
    }
}

/// `[[kafka.topic]]`: a topic that is created if it is missing.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Name of the topic.
    #[schemars(example = &"calls.reports")]
    pub name: String,
    /// Number of partitions; unset: the broker's default.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub partitions: Option<i32>,
    /// Number of copies; unset: the broker's default.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub replication_factor: Option<i32>,
    /// Settings of the topic, such as `retention.ms`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// `[[endpoint]]`: a path, the provider that posts to it, and what becomes of its webhooks.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Name in subjects, metrics and logs: `[a-z0-9-]+`.
    #[schemars(example = &"vapi")]
    pub name: String,
    /// Path of the URL, for example `/vapi`.
    #[schemars(example = &"/vapi")]
    pub path: String,
    /// Dialect of the provider.
    pub source: SourceName,
    /// What its source says of itself.
    #[serde(skip)]
    pub facts: Arc<Facts>,
    /// What tells a repeated delivery, so that it is stored once.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// How long a worker's answer to a tool call is kept: the same call, sent again, gets it, and is not executed
    /// twice. `"0s"` turns it off.
    #[serde(default = "two_minutes")]
    pub answer_window: Time,
    /// Events of this endpoint being handled at the same time, within `http.max_events`; over it: 503.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_events: Option<usize>,
    /// Webhooks with questions of this endpoint being handled at the same time, within `http.max_questions`; over it
    /// they get their fallbacks, or a 503.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_questions: Option<usize>,
    /// How many events may come in a second, a minute or an hour (`"100/s"`, `"6000/m"`, `"10/h"`); over it: 429.
    /// Questions are not counted: a caller is waiting.
    #[serde(default)]
    pub rate_limit: Option<Rate>,
    /// How many events may come at once after a while without any; unset: those of a second.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub rate_burst: Option<u32>,
    /// Networks that may post here, such as `"167.150.224.0/23"`; without any, all may.
    #[serde(default)]
    #[schemars(example = ["167.150.224.0/23"])]
    pub allow_from: Vec<String>,
    /// Headers that count although the signature doesn't cover them, such as a message id. Whoever can send a webhook
    /// again can change them.
    #[serde(default)]
    #[schemars(example = ["x-webhook-id"])]
    pub trust_unsigned: Vec<String>,
    /// How many deliveries are remembered, to tell repetitions (`replay`); each takes up to 100 bytes of memory.
    /// `"dedupe"` forgets the oldest first. `"refuse"` forgets none whose timestamp would still be accepted, and when
    /// there is no room, new deliveries get a 503. Unset: with `"refuse"` 1,000 for each second of `tolerance` (300,000
    /// for five minutes), else 65,536.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_seen_deliveries: Option<usize>,
    /// The URL that the provider was told, where signatures cover it.
    #[schemars(example = &"https://hooks.example.com/vapi")]
    pub public_url: Option<String>,
    /// Who may post here; any that accepts is enough.
    #[serde(default)]
    pub auth: Vec<Auth>,
    /// Where events go; the first rule whose types match decides.
    #[serde(default, rename = "event")]
    pub events: Vec<EventRule>,
    /// How questions are asked, by type.
    #[serde(default, rename = "question")]
    pub questions: Vec<QuestionRule>,
    /// How tool calls are asked, by function.
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRule>,
    /// Where it is told what became of each question.
    #[serde(default)]
    pub audit: Option<Audit>,
}

impl Endpoint {
    /// The signatures that are accepted here, each with its secrets.
    pub fn signatures(&self) -> impl Iterator<Item = Cow<'_, Hmac>> {
        self.auth.iter().filter_map(|auth| self.signature(auth))
    }

    /// What a signature of this kind is like, if it is one.
    pub fn signature<'a>(&'a self, auth: &'a Auth) -> Option<Cow<'a, Hmac>> {
        match auth {
            Auth::Hmac(hmac) => Some(Cow::Borrowed(hmac)),
            Auth::Signature(Signature { secrets }) => {
                let scheme = self.facts.signature.clone()?;
                Some(Cow::Owned(Hmac { secrets: secrets.clone(), ..scheme }))
            }
            _ => None,
        }
    }

    /// How many deliveries are remembered.
    pub fn max_seen(&self) -> usize {
        const USUAL: usize = 65_536;
        const A_SECOND: usize = 1_000;
        self.max_seen_deliveries.unwrap_or_else(|| {
            let refusing = self.signatures().filter(|hmac| hmac.replay == Replay::Refuse);
            let longest =
                refusing.map(|hmac| hmac.tolerance.get()).max().unwrap_or_default().as_secs();
            usize::try_from(longest).unwrap_or(usize::MAX).saturating_mul(A_SECOND).max(USUAL)
        })
    }
}

/// `[endpoint.audit]`: one event for each question, after its answer: who was asked, what came of it, and how long it
/// took.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Destinations that store these events, at the promises of any event.
    #[schemars(example = ["nats:{endpoint}.audit.{type}"])]
    pub to: Vec<String>,
}

/// The dialects that are spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    /// Vapi server messages.
    #[default]
    Vapi,
    /// GitHub webhooks.
    Github,
}

/// What tells a repeated delivery of the same webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dedupe {
    /// The provider's delivery id, where it sends one; else every delivery is a new one.
    #[default]
    DeliveryId,
    /// A hash of the received bytes.
    Body,
    /// Nothing: every delivery is stored, and no `Nats-Msg-Id` is sent.
    Off,
}

/// `[[endpoint.auth]]`: one way to be let in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// A header that holds one of the secrets.
    Secret {
        /// Name of the header.
        #[schemars(example = &"x-vapi-secret")]
        header: String,
        /// What stands before the secret, such as `"Bearer "`.
        #[serde(default)]
        prefix: String,
        /// Values that are accepted; several while one is being replaced.
        #[schemars(example = ["${VAPI_SECRET}"])]
        secrets: Vec<Secret>,
    },
    /// HTTP's own user and password, in the header `authorization`.
    Basic {
        /// The user.
        #[schemars(example = &"vapi")]
        user: String,
        /// Passwords that are accepted; several while one is being replaced.
        #[schemars(example = ["${VAPI_PASSWORD}"])]
        passwords: Vec<Secret>,
    },
    /// The provider's own signature.
    Signature(Signature),
    /// A signature over the received bytes.
    Hmac(Hmac),
    /// An OAuth 2 access token, as `authorization: Bearer ...`.
    Jwt(Jwt),
    /// Everybody may post. It must be written out, so that nobody gets it by forgetting something.
    None {},
}

/// `kind = "signature"`: signatures as the provider of the endpoint makes them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Secrets that are accepted; several while one is being replaced.
    #[schemars(example = ["${GITHUB_SECRET}"])]
    pub secrets: Vec<Secret>,
}

/// `kind = "hmac"`: what signatures are like; the knobs of Vapi's HMAC credential.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// Secrets that are accepted; several while one is being replaced.
    #[schemars(example = ["${VAPI_HMAC_SECRET}"])]
    pub secrets: Vec<Secret>,
    /// The hash.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// Header with the signature.
    #[serde(default = "x_signature")]
    pub signature_header: String,
    /// What stands before the signature, such as `"sha256="`.
    #[serde(default)]
    pub signature_prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub signature_encoding: SignatureEncoding,
    /// Header with the time of signing, as Unix seconds or milliseconds.
    #[serde(default = "x_timestamp")]
    pub timestamp_header: String,
    /// Whether there is a time of signing.
    #[serde(default = "yes")]
    pub include_timestamp: bool,
    /// How far that time may be from ours, in either direction.
    #[serde(default = "five_minutes")]
    pub tolerance: Time,
    /// What is signed: a text with `{body}`, `{timestamp}`, `{method}`, `{url}` and `{svix-id}`, the message id. By
    /// default `{timestamp}.{body}`, and `{body}` without a timestamp.
    #[schemars(example = &"{timestamp}.{body}")]
    pub payload_format: Option<String>,
    /// Header with an id that a repeated delivery has again. It counts only where `payload_format` covers it, or
    /// `trust_unsigned` of the endpoint names it. Where `{svix-id}` is signed and nothing is said here, it is `svix-id`.
    #[schemars(example = &"svix-id")]
    pub message_id_header: Option<String>,
    /// What becomes of a delivery that got its 2xx before, or is being handled. It is told by its message id; without
    /// one, `"refuse"` tells it by its signature.
    #[serde(default)]
    pub replay: Replay,
    /// Whether the secrets are written in base64.
    #[serde(default)]
    pub secret_is_base64: bool,
}

impl Hmac {
    /// What is signed.
    pub fn format(&self) -> &str {
        let by_default = if self.include_timestamp { "{timestamp}.{body}" } else { "{body}" };
        self.payload_format.as_deref().unwrap_or(by_default)
    }
}

/// The hash of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// HMAC-SHA-256.
    #[default]
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
    /// HMAC-SHA-1, for those who have nothing better.
    Sha1,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Two characters a byte, of either case.
    #[default]
    Hex,
    /// Base64 with its padding.
    Base64,
}

/// What becomes of a delivery that came before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// An event gets the same answer again, and is not published; while the first one is being stored, it waits for it.
    #[default]
    Dedupe,
    /// The same id with the same timestamp gets a 401, and so does the same signature.
    Refuse,
}

/// `kind = "jwt"`: which tokens are accepted.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Who must have made the token: its `iss`.
    #[schemars(example = &"https://login.example.com/")]
    pub issuer: String,
    /// For whom the token must be: its `aud`.
    #[schemars(example = &"hookbus")]
    pub audience: String,
    /// Where the issuer's public keys are: a URL, or a file.
    #[schemars(example = &"https://login.example.com/.well-known/jwks.json")]
    pub jwks: String,
    /// Algorithms that are accepted.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
}

/// The algorithm of a token's signature; all of them have a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// `[[endpoint.event]]`: where events of some types go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// Types, exact or with `*` as a wildcard.
    #[schemars(example = ["end-of-call-report"])]
    pub types: Vec<String>,
    /// Destinations that all must store the event; an empty list drops it on purpose.
    #[schemars(example = ["nats:{endpoint}.events.{type}"])]
    pub to: Vec<String>,
}

/// `[[endpoint.question]]`: how questions of some types are asked. The first rule whose types match decides.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionRule {
    /// Types, exact or with `*` as a wildcard.
    #[schemars(example = ["assistant-request"])]
    pub types: Vec<String>,
    /// Subject that workers listen on.
    #[serde(default = "ask_subject")]
    pub subject: String,
    /// Time from the request head to the answer; unset: 6 s for assistant-request, 8 s for
    /// knowledge-base-request, 3 s for call.endpointing.request, 18 s for all others. Where the webhook says how long
    /// its sender waits, by `server.timeoutSeconds`, and the sender keeps to that, the answer comes 2 s before.
    #[serde(default)]
    pub timeout: Option<Time>,
    /// When no worker is there: ask again every 250 ms for so long (rolling restarts).
    #[serde(default)]
    pub no_responders_grace: Time,
    /// How long a streamed answer may pause between two parts; then the response breaks.
    #[serde(default = "chunk_timeout")]
    pub chunk_timeout: Time,
    /// Answer when no worker gives one; any value that the sender understands.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
    /// Destinations that store the webhook as an event too, beside the answer and never in its way.
    #[serde(default)]
    pub copy_to: Vec<String>,
}

/// `[[endpoint.tool]]`: how tool calls of some functions are asked. The first rule whose names match decides.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolRule {
    /// Functions, exact or with `*` as a wildcard.
    #[schemars(example = ["get_weather"])]
    pub names: Vec<String>,
    /// Subject that workers listen on.
    #[serde(default = "tool_subject")]
    pub subject: String,
    /// Time from the request head to the answer; unset: 18 s. Where the webhook says how long its sender waits, by
    /// `server.timeoutSeconds` of the tool, the assistant or the phone number, the answer comes 2 s before that.
    #[serde(default)]
    pub timeout: Option<Time>,
    /// When no worker is there: ask again every 250 ms for so long (rolling restarts).
    #[serde(default)]
    pub no_responders_grace: Time,
    /// Result when no worker gives one; text, or any value, which becomes text.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
    /// Members of the message that are handed on beside the arguments.
    #[serde(default)]
    pub context: Context,
    /// Destinations that store the webhook as an event too, beside the answer and never in its way.
    #[serde(default)]
    pub copy_to: Vec<String>,
}

/// Which members of the message a tool worker gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Context {
    /// These members.
    Members(Vec<String>),
    /// `"all"`: every member of the message.
    All(All),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every member.
    All,
}

impl Default for Context {
    fn default() -> Self {
        let members = ["call", "chat", "customer", "phoneNumber"];
        Self::Members(members.map(str::to_owned).to_vec())
    }
}

/// Where JetStream stores the events of an endpoint unless a rule says otherwise.
pub const EVENT_SUBJECT: &str = "nats:{endpoint}.events.{type}";
/// Where the events of an endpoint go unless a rule says otherwise, without `[nats]`.
pub const EVENT_TOPIC: &str = "kafka:{endpoint}.events";
/// Where JetStream stores the jobs of an endpoint: tool calls that nobody waits for.
pub const JOB_SUBJECT: &str = "nats:{endpoint}.jobs.{function}";
/// Where the jobs of an endpoint go without `[nats]`.
pub const JOB_TOPIC: &str = "kafka:{endpoint}.jobs";
/// Where questions of an endpoint go unless a rule says otherwise.
pub const ASK_SUBJECT: &str = "{endpoint}.ask.{type}";
/// Where tool calls of an endpoint go unless a rule says otherwise.
pub const TOOL_SUBJECT: &str = "{endpoint}.tool.{function}";

impl Config {
    /// The destination of events that no rule matches.
    pub fn event_destination(&self) -> &'static str {
        if self.nats.is_some() { EVENT_SUBJECT } else { EVENT_TOPIC }
    }

    /// Where events and jobs go unless a rule says otherwise; nowhere without a broker.
    pub fn default_destinations(&self) -> (Option<&'static str>, Option<&'static str>) {
        let has_broker = self.nats.is_some() || self.kafka.is_some();
        let some = |text| has_broker.then_some(text);
        (some(self.event_destination()), some(self.job_destination()))
    }

    /// The destination of jobs.
    pub fn job_destination(&self) -> &'static str {
        if self.nats.is_some() { JOB_SUBJECT } else { JOB_TOPIC }
    }
}

fn ask_subject() -> String {
    ASK_SUBJECT.to_owned()
}

fn tool_subject() -> String {
    TOOL_SUBJECT.to_owned()
}

fn one() -> Written<usize> {
    Written::by_default(1)
}

fn two_minutes_window() -> Written<Time> {
    Written::by_default(two_minutes())
}

fn two_minutes() -> Time {
    Time::seconds(120)
}

/// How long a streamed answer may pause unless a rule says otherwise.
pub const CHUNK_TIMEOUT: Time = Time::seconds(5);

fn chunk_timeout() -> Time {
    CHUNK_TIMEOUT
}

fn five_minutes() -> Time {
    Time::seconds(300)
}

fn yes() -> bool {
    true
}

fn x_signature() -> String {
    "x-signature".to_owned()
}

fn x_timestamp() -> String {
    "x-timestamp".to_owned()
}

fn usual_algorithms() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256]
}
