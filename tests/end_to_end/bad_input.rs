//! Input that is broken, hostile or just unusual, through the built binary: a clear error or a correct pass. Never a
//! panic, a hang, a wildcard publish, a forged header or a lost message.

mod events;
mod names;
mod refused;
mod tools;

use crate::http::open;
use crate::support::{Bridge, Nats};
use percent_encoding::percent_decode_str;

/// A bridge with the endpoint `name` and a stream for its events.
async fn start(nats: &Nats, name: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    Bridge::config(open(name)).nats(nats).start_ready().await
}

/// Fails where something went wrong inside.
fn assert_calm(bridge: &Bridge) {
    let log = bridge.log();
    for word in ["panicked", "overflow", "ERROR"] {
        assert!(!log.contains(word), "{log}");
    }
}

/// A header's value as it is meant (CloudEvents' HTTP binding, §3.1.3.2).
fn decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8().unwrap().into_owned()
}

/// A list within a list, and so on.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}
