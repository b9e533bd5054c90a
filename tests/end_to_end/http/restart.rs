//! Restarts that senders with pooled connections don't notice: they are told before anything is closed, and what they
//! keep in silence is closed last.

mod pool;
mod proxies;

use super::frames::{Frames, GOAWAY, HEADERS, WINDOW_UPDATE};
use super::held::Held;
use super::wire::{Response, Wire, post};
use super::{event, open, question};
use crate::support::Haproxy;
use crate::support::{Bridge, Nats, eventually, nats};
use pool::Pool;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// So often it is restarted under load.
const RESTARTS: usize = 20;

async fn start(nats: &Nats, name: &str, http: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    Bridge::config(config(name, http)).nats(nats).start_ready().await
}

fn config(name: &str, http: &str) -> String {
    format!("[http]\nlisten = \"{{http}}\"\n{http}\n{}", open(name))
}

/// Tells it to stop, and waits until it says so.
async fn terminate(bridge: &mut Bridge) {
    bridge.signal("TERM");
    eventually("not ready", SOON, async || {
        (bridge.admin("/readyz").await.status == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_response_tells_of_the_end() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "told", "shutdown_delay = \"30s\"\nhealth = \"/healthz\"").await;
    let mut held = Held::on(nats, "told.ask.>").await;
    let event = event("c");
    let requests = [
        (200, post("/told", &event)),
        (
            200,
            post("/told", &event)
                .replace("HTTP/1.1", "HTTP/1.0")
                .replace("host", "connection: keep-alive\r\nhost"),
        ),
        (404, post("/told/", &event)),
        (405, "GET /told HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
        (400, post("/told", "no JSON")),
        (503, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
    ];
    let mut pooled = Vec::new();
    for _ in &requests {
        let mut wire = Wire::open(&bridge.address()).await;
        let response = wire.ask(post("/told", &event)).await;
        assert!(!says_close(&response), "{response:?}");
        pooled.push(wire);
    }
    let mut admin = Wire::open(&bridge.admin_address()).await;
    let livez = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(!says_close(&admin.ask(livez).await));
    let mut asking = Wire::open(&bridge.address()).await;
    asking.send(post("/told", &question("assistant-request"))).await;
    let asked = held.next().await;
    let mut frames = Frames::open(&bridge.address(), 1000).await;
    let stream = frames.post("/told", &event).await;
    frames.find(HEADERS, stream).await;

    terminate(&mut bridge).await;
    for ((status, request), mut wire) in requests.iter().zip(pooled) {
        for is_pooled in [true, false] {
            let response = wire.ask(request).await;
            assert_eq!(response.status, *status, "{request}");
            assert!(says_close(&response), "{is_pooled}: {response:?}");
            assert!(wire.end().await.is_empty());
            wire = Wire::open(&bridge.address()).await;
        }
    }
    held.answer(&asked, r#"{"assistantId":"a"}"#).await;
    let response = asking.response().await;
    assert!(response.status == 200 && says_close(&response), "{response:?}");
    let response = admin.ask(livez).await;
    assert!(response.status == 200 && says_close(&response), "{response:?}");

    // With HTTP/2: those that were there, and those that come, once they have asked.
    frames.find(GOAWAY, 0).await;
    let mut late = Frames::open(&bridge.address(), 1000).await;
    let stream = late.post("/told", &event).await;
    late.send(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()).await;
    let mut seen = Vec::new();
    while !(seen.contains(&GOAWAY) && seen.contains(&HEADERS)) {
        let frame = late.next().await.expect("an answer, and the end");
        assert!(frame.kind != HEADERS || frame.stream == stream);
        seen.push(frame.kind);
    }
    bridge.signal("TERM");
}

/// All that was answered is there, and nothing else.
async fn stored(nats: &Nats, name: &str, answered: usize) {
    let stream = nats.jetstream().await.get_stream(name).await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, answered as u64);
}

fn says_close(response: &Response) -> bool {
    response.header("connection") == Some("close")
}

/// While anything is in flight, what is idle may still be used; nobody new is let in.
#[tokio::test]
async fn what_is_idle_is_closed_last() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "last", "").await;
    let mut held = Held::on(nats, "last.ask.>").await;
    let mut asking = Wire::open(&bridge.address()).await;
    asking.send(post("/last", &question("assistant-request"))).await;
    let asked = held.next().await;
    let request = post("/last", &event("c"));
    let (begin, rest) = request.split_at(40);
    let mut begun = Wire::open(&bridge.address()).await;
    begun.send(begin).await;
    let mut unused = Wire::open(&bridge.address()).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::open(&bridge.address()).await;
        assert_eq!(wire.ask(&request).await.status, 200);
        idle.push(wire);
    }
    terminate(&mut bridge).await;
    let address = bridge.address();
    eventually("a closed door", SOON, async || {
        tokio::net::TcpStream::connect(&address).await.err()
    })
    .await;
    // Longer than idle connections are kept when nothing is asked.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let last = idle.pop().unwrap();
    for mut wire in idle {
        let response = wire.ask(&request).await;
        assert!(response.status == 200 && says_close(&response), "{response:?}");
    }
    let response = begun.ask(rest).await;
    assert!(response.status == 200 && says_close(&response), "{response:?}");
    let response = unused.ask(&request).await;
    assert!(response.status == 200 && says_close(&response), "{response:?}");
    held.answer(&asked, r#"{"assistantId":"a"}"#).await;
    assert_eq!(asking.response().await.status, 200);
    assert!(last.end().await.is_empty());
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
    assert_eq!(nats.messages("last", 0).await.len(), 7);
}

/// Those whom the kernel has let in, but not we, are served too.
#[tokio::test]
async fn whoever_is_in_the_queue_is_served() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "queue", "").await;
    let mut wires = Vec::new();
    // While it is stopped it accepts nothing; then the signal is there first.
    bridge.signal("STOP");
    for _ in 0..500 {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(post("/queue", &event("c"))).await;
        wires.push(wire);
    }
    bridge.signal("TERM");
    bridge.signal("CONT");
    for mut wire in wires {
        assert_eq!(wire.response().await.status, 200);
    }
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
}

/// A sender with a pool of connections that posts all the time. Where nobody listens it waits, as clients do.
#[tokio::test]
async fn a_pooled_client() {
    let Some(nats) = nats::shared().await else { return };
    let mut bridge = start(nats, "pooled", "").await;
    let pool = Pool::start(&bridge.address(), "/pooled", &event("c"), 40);
    for round in 0..RESTARTS {
        pool.answered(100).await;
        bridge.signal("TERM");
        assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
        bridge.restart().await;
        assert!(pool.failures().is_empty(), "{round}: {:?}", pool.failures());
    }
    pool.answered(100).await;
    let (answered, failures) = pool.stop().await;
    println!("{RESTARTS} restarts: {answered} requests answered, {} failed", failures.len());
    assert!(failures.is_empty(), "{failures:?}");
    stored(nats, "pooled", answered).await;
}

/// Two of them behind HAProxy, restarted in turn.
#[tokio::test]
async fn behind_a_proxy() {
    let Some(nats) = nats::shared().await else { return };
    let http = "shutdown_delay = \"500ms\"\nhealth = \"/healthz\"";
    let mut bridges = [start(nats, "proxied", http).await, start(nats, "proxied", http).await];
    let servers = bridges.each_ref().map(|bridge| (bridge.address(), String::new()));
    let Some(proxy) = Haproxy::start(&servers, "/healthz").await else { return };
    let pool = Pool::start(&proxy.address(), "/proxied", &event("c"), 40);
    for round in 0..RESTARTS {
        pool.answered(100).await;
        let bridge = &mut bridges[round % 2];
        bridge.signal("TERM");
        assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
        bridge.restart().await;
        proxy.is_up(round % 2).await;
        assert!(pool.failures().is_empty(), "{round}: {:?}", pool.failures());
    }
    pool.answered(100).await;
    let (answered, failures) = pool.stop().await;
    println!("{RESTARTS} restarts: {answered} requests answered, {} failed", failures.len());
    assert!(failures.is_empty(), "{failures:?}");
    stored(nats, "proxied", answered).await;
}
