//! A stop has an end, whatever clients do: it is over within `shutdown_delay` and `drain`, and sooner where nothing is
//! asked.

use super::frames::{Frames, HEADERS};
use super::held::Held;
use super::unread::{Stream, large, narrow, secure, stall};
use super::wire::{Wire, post};
use super::{event, question};
use crate::support::{Authority, Bridge, Nats, nats, sample};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// What a stop takes for its own, on a machine that is busy.
const SLACK: Duration = Duration::from_millis(1500);

const METRICS: &str = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn start(nats: &Nats, name: &str, http: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    let config = format!("[http]\nlisten = \"{{http}}\"\n{http}\n{}", large(name));
    Bridge::config(&config).nats(nats).start_ready().await
}

/// Stops it; returns how long that took.
async fn stop(bridge: &mut Bridge) -> Duration {
    bridge.signal("TERM");
    let began = Instant::now();
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
    let took = began.elapsed();
    println!("stopped within {took:?}");
    took
}

#[tokio::test]
async fn clients_that_read_nothing() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge =
        start(nats, "stop-unread", "shutdown_delay = \"300ms\"\ndrain = \"1500ms\"").await;
    let mut stuck: Vec<Box<dyn Stream>> = Vec::new();
    for (address, request) in [
        (bridge.address(), post("/stop-unread", &question("assistant-request"))),
        (bridge.admin_address(), METRICS.to_owned()),
    ] {
        let mut stream = narrow(&address).await;
        stall(&mut stream, &request).await;
        stuck.push(Box::new(stream));
    }
    let took = stop(&mut bridge).await;
    assert!(took < Duration::from_millis(1800) + SLACK, "{took:?}");
}

#[tokio::test]
async fn http2_windows_that_stay_shut() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "stop-windows", "drain = \"1500ms\"").await;
    let mut stuck = Vec::new();
    for window in [0, 1] {
        let mut frames = Frames::open(&bridge.address(), window).await;
        let stream = frames.post("/stop-windows", &event("c")).await;
        frames.find(HEADERS, stream).await;
        stuck.push(frames);
    }
    // These have asked for nothing, and don't answer a ping.
    stuck.push(Frames::open(&bridge.address(), 0).await);
    let took = stop(&mut bridge).await;
    assert!(took < Duration::from_millis(1500) + SLACK, "{took:?}");
}

#[tokio::test]
async fn clients_with_tls() {
    let (Some(nats), Some(authority)) = (nats::shared().await, Authority::new("test authority"))
    else {
        return;
    };
    let tls = authority.sign("server").section("http.tls", ["cert", "key"]);
    let config =
        format!("[http]\nlisten = \"{{http}}\"\ndrain = \"1500ms\"\n{tls}{}", large("stop-tls"));
    let mut bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let mut stuck = secure(&authority, narrow(&bridge.address()).await).await;
    stall(&mut stuck, &post("/stop-tls", &question("assistant-request"))).await;
    let silent = secure(&authority, narrow(&bridge.address()).await).await;
    // In the midst of the handshake.
    let begun = narrow(&bridge.address()).await;
    let took = stop(&mut bridge).await;
    assert!(took < Duration::from_millis(1500) + SLACK, "{took:?}");
    drop((stuck, silent, begun));
}

/// Half a head, half a body, an answer that isn't read while it is streamed, a question that nobody answers, and a
/// sender of one that has hung up.
#[tokio::test]
async fn requests_without_end() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "stop-endless", "drain = \"1500ms\"").await;
    let mut held = Held::on(nats, "stop-endless.ask.>").await;
    let request = post("/stop-endless", &event("c"));
    let mut wires = Vec::new();
    for cut in [1, 30, request.len() - 1] {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(&request[..cut]).await;
        wires.push(wire);
    }
    for hangs_up in [false, true] {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(post("/stop-endless", &question("transfer-destination-request"))).await;
        held.next().await;
        if !hangs_up {
            wires.push(wire);
        }
    }
    let mut unread = narrow(&bridge.address()).await;
    let voice = String::from_utf8(sample("voice-request.json").bytes.to_vec()).unwrap();
    unread.write_all(post("/stop-endless", &voice).as_bytes()).await.unwrap();
    let question = held.next().await;
    for _ in 0..20 {
        held.part(&question, vec![b'x'; 256 << 10], true).await;
    }
    let took = stop(&mut bridge).await;
    assert!(took < Duration::from_millis(1500) + SLACK, "{took:?}");
    assert!(bridge.log().contains("given up"), "{}", bridge.log());
}

/// Connections that nobody uses don't hold it up for long, and none at all not for a moment.
#[tokio::test]
async fn without_traffic_it_is_soon_over() {
    let Some(nats) = nats::shared().await else { return };
    for is_idle in [false, true] {
        let mut bridge = start(nats, "stop-idle", "drain = \"20s\"").await;
        let mut idle = Vec::new();
        if is_idle {
            for number in 0..4 {
                let mut wire = Wire::open(&bridge.address()).await;
                if number % 2 == 0 {
                    assert_eq!(wire.ask(post("/stop-idle", &event("c"))).await.status, 200);
                }
                idle.push(wire);
            }
            let mut frames = Frames::open(&bridge.address(), 1000).await;
            let stream = frames.post("/stop-idle", &event("c")).await;
            frames.find(HEADERS, stream).await;
            std::mem::forget(frames);
        }
        let took = stop(&mut bridge).await;
        // A second for those that may still be used, and another for HTTP/2.
        let limit = if is_idle { Duration::from_secs(2) } else { Duration::ZERO };
        assert!(took < limit + SLACK, "{took:?}");
    }
}
