//! What tests and benches start: brokers, the bridge, clients. Everything that is started here listens on loopback, is
//! ready when its `start` returns, and ends when its guard is dropped or this process dies.
//!
//! A part that isn't on the machine skips the test (`let Some(nats) = Nats::start().await else { return };`) and
//! fails it where `CI=true` is set.

pub(crate) mod bridge;
pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod endpoint;
pub(crate) mod haproxy;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod nats;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod samples;
pub(crate) mod tmux;
pub(crate) mod worker;

pub(crate) use bridge::Bridge;
pub(crate) use browser::Browser;
pub(crate) use certificates::{Authority, Identity};
pub(crate) use collector::{Collector, Receiver};
pub(crate) use endpoint::{DROP, Endpoint, HOOK, endpoint};
pub(crate) use haproxy::Haproxy;
pub(crate) use kafka::Kafka;
pub(crate) use nats::Nats;
pub(crate) use samples::{Sample, sample, samples};
pub(crate) use tmux::Terminal;
pub(crate) use worker::{Question, Reply, Worker};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::Instant;

/// Held alone by tests that load the machine, and together by those that look at the clock.
pub(crate) static LOAD: RwLock<()> = RwLock::const_new(());

/// Says that a test is skipped and why. Panics with `CI=true`: there, every part has to be.
pub(crate) fn missing(part: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "missing: {part}");
    println!("skipped: {part}");
}

/// The folder of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path below `.tools`, where `make tools` puts what is downloaded.
pub(crate) fn tool(path: &str) -> PathBuf {
    project().join(".tools").join(path)
}

/// A program of this name below `.tools`, else the one on the `PATH`; nothing where there is neither.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let downloaded = tool(&format!("{program}/{program}"));
    if downloaded.exists() {
        return Some(downloaded);
    }
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().ok()?;
    let path = String::from_utf8(found.stdout).ok()?;
    (!path.trim().is_empty()).then(|| path.trim().into())
}

/// Waits until `probe` gives a value; fails after `limit`, saying what it waited for.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
