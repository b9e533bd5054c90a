//! What the bridge says about itself: logs on standard error, metrics, health.
//!
//! A failure is logged once, where it is handled, with the same field names everywhere
//! (`id`, `endpoint`, `kind`, `destination`, `error`). No body and no secret is ever a field. What libraries log
//! below a warning may hold either: no level and no variable lets it through.

pub mod health;
pub mod metrics;
pub mod stderr;
pub mod terminal;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// Send the log to standard error, as configured. `RUST_LOG` wins where it is set, within `ceiling`.
/// A second call changes nothing.
pub fn init(log: &Log) {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| stderr::Writer).with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(ceiling());
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        // It is the first call.
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
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// Each of these once at every level; returns what is let through, as `target:level`.
    fn passes(filter: EnvFilter) -> Vec<String> {
        let written = Written::default();
        let lines = tracing_subscriber::fmt::layer().with_writer(written.clone()).with_ansi(false);
        let lines = lines.without_time().with_filter(ceiling());
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            macro_rules! log {
                ($($target:literal)*) => {$(
                    tracing::error!(target: $target, "");
                    tracing::warn!(target: $target, "");
                    tracing::info!(target: $target, "");
                    tracing::debug!(target: $target, "");
                    tracing::trace!(target: $target, "");
                )*};
            }
            log!("hookbus::serve" "async_nats::connection" "hyper::proto" "h2" "unheard_of");
        });
        let written = String::from_utf8_lossy(&written.0.lock()).into_owned();
        let lines = written.lines().map(|line| {
            let (level, target) = line.trim().split_once(' ').unwrap_or_default();
            format!("{}{level}", target.trim())
        });
        lines.collect()
    }

    #[test]
    fn of_others_only_warnings_are_logged_and_nothing_of_the_nats_client() {
        let of_others = ["hyper::proto", "h2", "unheard_of"];
        let of_others =
            of_others.map(|target| ["ERROR", "WARN"].map(|level| format!("{target}:{level}")));
        let levels = [
            (LogLevel::Error, 1),
            (LogLevel::Warn, 2),
            (LogLevel::Info, 3),
            (LogLevel::Debug, 4),
            (LogLevel::Trace, 5),
        ];
        for (level, ours) in levels {
            let ours = &["ERROR", "WARN", "INFO", "DEBUG", "TRACE"][..ours];
            let ours = ours.iter().map(|level| format!("hookbus::serve:{level}"));
            let expected: Vec<_> = ours.chain(of_others.iter().flatten().cloned()).collect();
            assert_eq!(passes(configured(level)), expected, "{level:?}");
        }
        // A variable may ask for all of it.
        let all = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
            .map(|level| format!("hookbus::serve:{level}"));
        let expected: Vec<_> = all.iter().chain(of_others.iter().flatten()).cloned().collect();
        for variable in
            ["trace", "async_nats=trace,hyper=trace,h2=trace,unheard_of=trace,hookbus=trace"]
        {
            assert_eq!(passes(EnvFilter::new(variable)), expected, "{variable}");
        }
    }
}
