//! Brokers and the bridge, as the tests start them.

#[path = "../../tests/end_to_end/support/bridge.rs"]
pub(crate) mod bridge;
#[path = "../../tests/end_to_end/support/certificates.rs"]
pub(crate) mod certificates;
#[path = "../../tests/end_to_end/support/http.rs"]
pub(crate) mod http;
#[path = "../../tests/end_to_end/support/kafka.rs"]
pub(crate) mod kafka;
#[path = "../../tests/end_to_end/support/nats.rs"]
pub(crate) mod nats;
#[path = "../../tests/end_to_end/support/ports.rs"]
pub(crate) mod ports;
#[path = "../../tests/end_to_end/support/process.rs"]
pub(crate) mod process;

pub(crate) use bridge::Bridge;
pub(crate) use kafka::Kafka;
pub(crate) use nats::Nats;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// There is nothing to measure without it.
pub(crate) fn missing(part: &str) {
    panic!("missing: {part}");
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
