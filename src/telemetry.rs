//! What the bridge says about itself: logs on standard error, metrics, health.
//!
//! A failure is logged once, where it is handled, with the same field names everywhere
//! (`id`, `endpoint`, `kind`, `destination`, `error`). No body and no secret is ever a field.

pub mod health;
pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// Send the log to standard error, as configured. `RUST_LOG` wins where it is set.
/// A second call changes nothing.
pub fn init(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The NATS client reports every planned goodbye as an error, and librdkafka's own
    // log repeats what the sink says once: both are left to those who ask for them.
    let ours = format!("warn,hookbus={level},async_nats=off,librdkafka=off,rdkafka=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(ours));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // The only error is that a logger is already in place.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
