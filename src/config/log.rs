//! `[log]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What went wrong and needs attention.
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
