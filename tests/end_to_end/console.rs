//! The console: the page at the admin listener, in a real browser, and what it asks, without one.

mod answers;
mod bad_input;
mod certificate;
mod disk;
mod kafka;
mod load;
mod outage;
mod picture;
mod replaced;
mod token;
mod views;

use crate::http::tool_calls;
use crate::support::{Bridge, Nats, endpoint};

/// An event of a type and a key, which may hold anything.
fn event(kind: &str, key: &str) -> String {
    serde_json::json!({"message": {"type": kind, "call": {"id": key}}}).to_string()
}

/// Events go to a stream, one function has a worker, another one none, and everything is kept from the start on.
async fn bridge(nats: &Nats) -> Bridge {
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let config = endpoint("hook").tables(
        "[[endpoint.tool]]\nnames = [\"weather\", \"book\"]\ntimeout = \"3s\"\nfallback = \"later\"",
    );
    let config = format!("[tail]\nalways_recent = true\nbodies = true\n{config}");
    Bridge::config(config).nats(nats).start_ready().await
}

/// Some of everything: an event, an answered question, and one without a worker.
async fn some_of_everything(bridge: &Bridge) {
    for (body, status) in [
        (event("status-update", "call-7"), 200),
        (tool_calls(&["weather"]), 200),
        (tool_calls(&["book"]), 200),
    ] {
        let answer = bridge.post("/hook", body, &[]).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}
