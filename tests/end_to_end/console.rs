//! The console: the page at the admin listener, in a real browser, and what it asks, without one.

mod answers;
mod bad_input;
mod disk;
mod outage;
mod picture;
mod token;
mod views;

use crate::http::tool_calls;
use crate::support::worker::round_trip;
use crate::support::{Bridge, Nats, endpoint};
use async_nats::service::{Service, ServiceExt as _};
use bytes::Bytes;
use futures_util::StreamExt as _;

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

/// A worker for `weather` that says who it is.
async fn weather(nats: &Nats) -> Service {
    let client = nats.client().await;
    let service = client.service_builder().queue_group("q").start("forecast", "1.2.3").await;
    let service = service.unwrap();
    let mut endpoint = service.endpoint("hook.tool.weather").await.unwrap();
    round_trip(&client).await;
    tokio::spawn(async move {
        while let Some(request) = endpoint.next().await {
            let _ = request.respond(Ok(Bytes::from("sunny"))).await;
        }
    });
    service
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
