//! What the bridge says about itself: logs on standard error, metrics, health.
//!
//! A failure is logged once, where it is handled, with the same field names everywhere
//! (`id`, `endpoint`, `kind`, `destination`, `error`). No body and no secret is ever a field. What libraries log
//! below a warning may hold either: no level and no variable lets it through.

pub mod exposition;
pub mod health;
pub mod histogram;
pub mod metrics;
pub mod otlp;
pub mod samples;
pub mod stderr;
pub mod terminal;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Log, LogFormat, LogLevel, Otlp, Signal};

/// Send the log to standard error, as configured, and to a collector, if there is one for it. `RUST_LOG` wins where it is
/// set, within `ceiling`. A second call changes nothing.
pub fn init(log: &Log, otlp: Option<&Otlp>) {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| stderr::Writer).with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(ceiling());
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    // A layer that isn't there would do as well, but then nothing that is never logged is known to be so: each `trace!` of
    // a library would be looked up again whenever it is met.
    let is_first = match otlp.is_some_and(|otlp| otlp.sends(Signal::Logs)) {
        true => subscriber.with(otlp::Layer.with_filter(ceiling())).try_init(),
        false => subscriber.try_init(),
    };
    if is_first.is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Log from another level on. `RUST_LOG` wins where it is set.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = FILTER.get() {
        // It lives as long as the logger, which is as long as the process.
        let _ = handle.reload(filter(level));
    }
}

/// What may be logged at all. Only our own lines are known to hold no body and no secret: those of the NATS client, at
/// `trace`, hold every message, and those of HTTP every header. A new library is held to the same without being named.
fn ceiling() -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        // Its warnings and errors hold what the server said, and call every planned goodbye a failure.
        .with_target("async_nats", LevelFilter::OFF)
}

/// The filter in use.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| configured(level))
}

fn configured(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    EnvFilter::new(format!("warn,hookbus={level}"))
}

#[cfg(test)]
mod tests;
