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
    let all =
        ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].map(|level| format!("hookbus::serve:{level}"));
    let expected: Vec<_> = all.iter().chain(of_others.iter().flatten()).cloned().collect();
    for variable in
        ["trace", "async_nats=trace,hyper=trace,h2=trace,unheard_of=trace,hookbus=trace"]
    {
        assert_eq!(passes(EnvFilter::new(variable)), expected, "{variable}");
    }
}
