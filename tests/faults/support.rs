//! Brokers, the bridge and workers, as the tests of `end_to_end` start them.

#[path = "../end_to_end/support/bridge.rs"]
pub(crate) mod bridge;
#[path = "../end_to_end/support/certificates.rs"]
pub(crate) mod certificates;
#[path = "../end_to_end/support/haproxy.rs"]
pub(crate) mod haproxy;
#[path = "../end_to_end/support/http.rs"]
pub(crate) mod http;
#[path = "../end_to_end/support/kafka.rs"]
pub(crate) mod kafka;
#[path = "../end_to_end/support/nats.rs"]
pub(crate) mod nats;
#[path = "../end_to_end/support/ports.rs"]
pub(crate) mod ports;
#[path = "../end_to_end/support/process.rs"]
pub(crate) mod process;

#[path = "../end_to_end/support/worker.rs"]
pub(crate) mod worker;

pub(crate) use bridge::Bridge;
pub(crate) use haproxy::Haproxy;
pub(crate) use kafka::Kafka;
pub(crate) use nats::Nats;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Says that something is skipped and why. Panics with `CI=true`: there, every part has to be.
pub(crate) fn missing(part: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "missing: {part}");
    println!("skipped: {part}");
}

/// A path below `.tools`, where `make tools` puts what is downloaded.
pub(crate) fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools").join(path)
}

/// Waits until `probe` gives a value.
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
