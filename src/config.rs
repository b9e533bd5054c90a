//! Every setting of the configuration file as plain typed data, in a file for each subject.
//!
//! The doc comment of a key is its reference: `hookbus schema` and
//! `docs/configuration.md` are made from these types, and so is the search for
//! misspelt keys and wrong values. What a file may hold beyond its shape (unique
//! names, templates that make sense) is in [`check`]; how text becomes these types
//! is in [`load`].

pub mod address;
mod admin;
mod auth;
pub mod check;
mod endpoint;
pub mod facts;
pub mod homes;
mod http;
mod kafka;
pub mod librdkafka;
pub mod load;
mod log;
mod nats;
pub mod piece;
mod problem;
pub mod provider;
#[cfg(test)]
mod reference;
mod rules;
pub mod scheme;
pub mod secret;
pub mod sources;
mod spool;
mod telemetry;
mod tls;
pub mod units;
pub mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::admin::{Admin, Tail};
pub use self::auth::{
    Auth, Hmac, HmacAlgorithm, Jwt, JwtAlgorithm, Replay, Signature, SignatureEncoding,
};
pub use self::endpoint::{Audit, Dedupe, Endpoint};
pub use self::http::Http;
pub use self::kafka::{Kafka, Topic};
pub use self::load::schema::schema;
pub use self::log::{Log, LogFormat, LogLevel};
pub use self::nats::{Discard, Nats, Retention, Storage, Stream};
pub use self::problem::{Problem, Severity};
use self::provider::Provider;
pub use self::rules::{
    ASK_SUBJECT, All, CHUNK_TIMEOUT, Context, EVENT_SUBJECT, EVENT_TOPIC, EventRule, JOB_SUBJECT,
    JOB_TOPIC, QuestionRule, TOOL_SUBJECT, ToolRule,
};
pub use self::spool::Spool;
pub use self::telemetry::{Otlp, OtlpProtocol, Signal, Telemetry};
pub use self::tls::Tls;

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
    /// What the bridge reports to an OpenTelemetry collector.
    pub telemetry: Telemetry,
    /// Where events wait on this machine while their destination can't store them.
    pub spool: Spool,
    /// The NATS servers; without this table nothing is asked and nothing goes to JetStream.
    pub nats: Option<Nats>,
    /// The Kafka cluster; without this table nothing goes to Kafka.
    pub kafka: Option<Kafka>,
    /// Providers that are described here; an endpoint speaks one with `source = "NAME"`.
    #[serde(rename = "provider")]
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// The paths that webhooks arrive at, one table each.
    #[serde(rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
}

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
