//! `[telemetry]`: what the bridge reports to an OpenTelemetry collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::units::Time;

/// `[telemetry]`: where the bridge reports to, beside the log and `/metrics`.
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
    /// Address of the collector. With `http`, `/v1/traces` and the like are appended to it.
    #[schemars(example = &"http://127.0.0.1:4317")]
    pub endpoint: String,
    /// The protocol to use.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// What is sent: spans of webhooks, the metrics that `/metrics` shows, the lines of the log.
    #[serde(default = "all")]
    pub signals: Vec<Signal>,
    /// Share of the traces that start here which is recorded, from 0 to 1. Where a webhook is part of a trace already, its sender decides.
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
    /// Headers to send with each export, such as `authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Further attributes of this process, such as `deployment.environment.name`. `service.name` is `hookbus` unless it is set here.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
}

impl Otlp {
    /// Whether this is sent.
    pub fn sends(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }
}

/// The protocol that a collector speaks.
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
    /// One span for each webhook, and below it one for each event that is stored and each question.
    Traces,
    /// The metrics that `/metrics` shows.
    Metrics,
    /// The lines of the log.
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
