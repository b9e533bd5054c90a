//! `[telemetry]`: what the bridge tells an OpenTelemetry collector of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::units::Time;

/// `[telemetry]`: what is told of the bridge, beside the log and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The OpenTelemetry collector, with the keys below; without this table nothing is sent.
    pub otlp: Option<Otlp>,
}

/// `[telemetry.otlp]`: traces, metrics and logs for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Where the collector listens. With `http` it is the address to which `/v1/traces` and the like are added.
    #[schemars(example = &"http://127.0.0.1:4317")]
    pub endpoint: String,
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// What is sent: spans of webhooks, what `/metrics` shows, what the log says.
    #[serde(default = "all")]
    pub signals: Vec<Signal>,
    /// Part of the traces that begin here that is recorded, from 0 to 1. A sender that is in a trace decides for itself.
    #[serde(default = "whole")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// Time between two exports of the metrics.
    #[serde(default = "a_minute")]
    pub metrics_interval: Time,
    /// How long an export may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Time,
    /// File with the certificate authorities (PEM) to trust instead of the system's.
    #[serde(default)]
    #[schemars(extend("format" = "file"))]
    pub tls_ca: Option<PathBuf>,
    /// Headers of each export, such as `authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// More about this process, such as `deployment.environment.name`. `service.name` is `hookbus` unless it is set here.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
}

impl Otlp {
    /// Whether this is sent.
    pub fn sends(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC; collectors listen on port 4317.
    #[default]
    Grpc,
    /// Protocol Buffers over HTTP; collectors listen on port 4318.
    Http,
}

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// A span a webhook, and below it one an event that is stored and one a question.
    Traces,
    /// What `/metrics` shows.
    Metrics,
    /// What the log says.
    Logs,
}

impl Signal {
    /// The word in the configuration and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

fn all() -> Vec<Signal> {
    vec![Signal::Traces, Signal::Metrics, Signal::Logs]
}

fn whole() -> f64 {
    1.0
}

fn a_minute() -> Time {
    Time::seconds(60)
}

fn ten_seconds() -> Time {
    Time::seconds(10)
}
