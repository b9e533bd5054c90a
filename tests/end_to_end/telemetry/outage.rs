//! A collector that is gone, frozen, or speaks something else: no webhook notices.

use super::{dropped, hook, otlp};
use crate::http::event;
use crate::support::{Bridge, Collector, LOAD, eventually, ports};
use futures_util::StreamExt as _;
use futures_util::stream;
use std::time::{Duration, Instant};

/// More than wait and are on their way together.
const WEBHOOKS: usize = 4_000;

/// Posts them, and says how long the slowest took.
async fn load(bridge: &Bridge) -> Duration {
    let posts = (0..WEBHOOKS).map(async |number: usize| {
        let answer = bridge.post("/hook", event(&number.to_string()), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.elapsed
    });
    let took: Vec<_> = stream::iter(posts).buffer_unordered(20).collect().await;
    took.into_iter().max().unwrap()
}

async fn no_webhook_notices(bridge: &Bridge) {
    let slowest = load(bridge).await;
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    eventually("dropped spans", Duration::from_secs(30), async || {
        (dropped(bridge, "traces").await > 0.0).then_some(())
    })
    .await;
    // The queue is bounded: what it holds and what is on its way is no more than that.
    let lost = dropped(bridge, "traces").await;
    assert!(lost >= (WEBHOOKS - 2_048 - 512 - 512) as f64, "{lost}");
    bridge.logs("the OpenTelemetry collector takes nothing").await;
    let said = bridge.log().matches("the OpenTelemetry collector takes nothing").count();
    assert_eq!(said, 1, "{}", bridge.log());
}

/// It ends in time, too.
async fn ends(mut bridge: Bridge) {
    let began = Instant::now();
    bridge.signal("TERM");
    assert!(bridge.wait().await.success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
}

const TRACES: &str = "signals = [\"traces\"]";

#[tokio::test]
async fn a_collector_that_is_gone() {
    let _alone = LOAD.write().await;
    for protocol in ["grpc", "http"] {
        let nowhere = format!("http://127.0.0.1:{}", ports::free());
        let config = format!("{}{}", otlp(&nowhere, protocol, TRACES), hook());
        let bridge = Bridge::config(config).nats_at("nats://127.0.0.1:9").start().await;
        no_webhook_notices(&bridge).await;
        ends(bridge).await;
    }
}

#[tokio::test]
async fn a_collector_that_is_frozen() {
    let Some(mut collector) = Collector::start().await else { return };
    let _alone = LOAD.write().await;
    for protocol in ["grpc", "http"] {
        let keys = format!("{TRACES}\ntimeout = \"1s\"");
        let config = format!("{}{}", otlp(&collector.url(protocol), protocol, &keys), hook());
        let bridge = Bridge::config(config).nats_at("nats://127.0.0.1:9").start().await;
        bridge.post("/hook", event("before"), &[]).await;
        collector.receiver().span("POST /hook", None).await;
        collector.signal("STOP");
        no_webhook_notices(&bridge).await;
        collector.signal("CONT");
        bridge.logs("the OpenTelemetry collector takes it again").await;
        ends(bridge).await;
    }
}

#[tokio::test]
async fn a_collector_of_the_other_protocol() {
    let Some(collector) = Collector::start().await else { return };
    for (protocol, other) in [("grpc", "http"), ("http", "grpc")] {
        let config = format!("{}{}", otlp(&collector.url(other), protocol, TRACES), hook());
        let bridge = Bridge::config(config).nats_at("nats://127.0.0.1:9").start().await;
        let answer = bridge.post("/hook", event("1"), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        bridge.logs("the OpenTelemetry collector takes nothing").await;
        ends(bridge).await;
    }
}
