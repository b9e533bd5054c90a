//! The time limits of connections. Pauses here are what a slow or quiet sender does; the limits are short, and what
//! must not happen is looked for well after it would have.

use super::held::Held;
use super::wire::{Wire, post};
use super::{event, open, question};
use crate::support::{Bridge, LOAD, Nats, nats};
use std::time::Duration;
use tokio::time::sleep;

const HEADER: Duration = Duration::from_millis(1000);
const BODY: Duration = Duration::from_millis(1500);
const KEEP_ALIVE: Duration = Duration::from_millis(6000);

/// Longer than `header_timeout`, shorter than `keep_alive`.
const PAUSE: Duration = Duration::from_millis(1600);

/// Room for a machine that is busy; too little for one limit to be taken for another.
const SLACK: Duration = Duration::from_secs(4);
const _: () = assert!(HEADER.as_millis() + SLACK.as_millis() < KEEP_ALIVE.as_millis());

async fn start(nats: &Nats, name: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    Bridge::config(format!(
        "[http]\nlisten = \"{{http}}\"\nheader_timeout = \"{}ms\"\nbody_timeout = \"{}ms\"\nkeep_alive = \"{}ms\"\n{}",
        HEADER.as_millis(),
        BODY.as_millis(),
        KEEP_ALIVE.as_millis(),
        open(name)
    ))
    .nats(nats)
    .start_ready()
    .await
}

/// Waits for its end, which has to come about `limit` after its opening.
async fn ends_at(wire: Wire, limit: Duration) -> Vec<u8> {
    let opened = tokio::time::Instant::now() - wire.age();
    let rest = wire.end().await;
    let took = opened.elapsed();
    assert!(took > limit - Duration::from_millis(50), "after {took:?}");
    assert!(took < limit + SLACK, "after {took:?}");
    rest
}

#[tokio::test]
async fn whoever_sends_no_head_is_closed() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let _calm = LOAD.read().await;
    let bridge = start(nats, "heads-time").await;
    let address = bridge.address();
    let silent = async { ends_at(Wire::open(&address).await, HEADER).await };
    let begun = async |begin: &'static str| {
        let mut wire = Wire::open(&address).await;
        wire.send(begin).await;
        ends_at(wire, HEADER).await
    };
    let slow = async {
        let mut wire = Wire::open(&address).await;
        for byte in post("/heads-time", &event("c")).into_bytes() {
            // Each byte is in time; all of them aren't.
            if wire.try_send([byte]).await.is_err() {
                break;
            }
            if wire.age() > HEADER + SLACK {
                panic!("a slow head is still being read");
            }
            sleep(Duration::from_millis(60)).await;
        }
        assert!(wire.age() > HEADER - Duration::from_millis(50));
    };
    let second = async {
        // The head of a later request has the same time.
        let mut wire = Wire::open(&address).await;
        let request = post("/heads-time", &event("c"));
        assert_eq!(wire.ask(&request).await.status, 200);
        sleep(PAUSE).await;
        let begun = wire.age();
        wire.send("POST /he").await;
        ends_at(wire, begun + HEADER).await
    };
    let (silent, one, some, (), second) =
        tokio::join!(silent, begun("P"), begun("POST / HTTP/1.1\r\n"), slow, second);
    for rest in [silent, one, some, second] {
        let text = String::from_utf8_lossy(&rest).into_owned();
        assert!(!text.contains(" 408") && !text.contains(" 200"), "{text}");
    }
}

#[tokio::test]
async fn between_requests_keep_alive_counts() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let _calm = LOAD.read().await;
    let bridge = start(nats, "keep").await;
    let address = bridge.address();
    let request = post("/keep", &event("c"));
    let pausing = async {
        let mut wire = Wire::open(&address).await;
        for _ in 0..2 {
            assert_eq!(wire.ask(&request).await.status, 200);
            sleep(PAUSE).await;
        }
        assert_eq!(wire.ask(&request).await.status, 200);
        let answered = wire.age();
        ends_at(wire, answered + KEEP_ALIVE).await
    };
    let mut held = Held::on(nats, "keep.ask.>").await;
    // The head's time is long over when this one is answered, and then there is time for another.
    let waiting = async {
        let mut wire = Wire::open(&address).await;
        wire.send(post("/keep", &question("assistant-request"))).await;
        let question = held.next().await;
        sleep(PAUSE).await;
        held.answer(&question, r#"{"assistantId":"a"}"#).await;
        assert_eq!(wire.response().await.status, 200);
        sleep(PAUSE).await;
        assert_eq!(wire.ask(&request).await.status, 200);

        // The same with the next request already on its way.
        let asked = post("/keep", &super::question("assistant-request"));
        wire.send(asked + &request).await;
        let question = held.next().await;
        sleep(PAUSE).await;
        held.answer(&question, r#"{"assistantId":"b"}"#).await;
        let first = wire.response().await;
        assert_eq!(first.body, br#"{"assistantId":"b"}"#);
        assert_eq!(wire.response().await.body, b"{}");
    };
    let (rest, ()) = tokio::join!(pausing, waiting);
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_slow_body_is_refused() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let _calm = LOAD.read().await;
    let bridge = start(nats, "bodies").await;
    let address = bridge.address();
    let request = post("/bodies", &event("c"));
    let stopped = async {
        let mut wire = Wire::open(&address).await;
        let response = wire.ask(&request[..request.len() - 1]).await;
        assert_eq!(response.status, 503);
        assert!(response.header("retry-after").is_some());
        assert!(wire.age() > BODY - Duration::from_millis(50));
        // What comes next on this connection would be taken for the rest.
        wire.end().await
    };
    let dripping = async {
        let mut wire = Wire::open(&address).await;
        let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
        wire.send(head).await;
        for byte in body.bytes() {
            if wire.try_send([byte]).await.is_err() || wire.age() > BODY {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(wire.response().await.status, 503);
    };
    let in_time = async {
        let mut wire = Wire::open(&address).await;
        let (begin, rest) = request.split_at(request.len() - 1);
        wire.send(begin).await;
        // More than the head may take.
        sleep(HEADER + Duration::from_millis(150)).await;
        assert_eq!(wire.ask(rest).await.status, 200);
    };
    tokio::join!(stopped, dripping, in_time);
    assert_eq!(nats.messages("bodies", 0).await.len(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "pipeline").await;
    let mut wire = Wire::open(&bridge.address()).await;
    let bodies: Vec<_> = (0..20).map(|number| event(&format!("c{number}"))).collect();
    let mut requests: String = bodies.iter().map(|body| post("/pipeline", body)).collect();
    requests += &post("/elsewhere", "{}");
    requests += &post("/pipeline", "no JSON");
    requests += &post("/pipeline", &event("last"));
    wire.send(requests).await;
    for _ in &bodies {
        assert_eq!(wire.response().await.status, 200);
    }
    for status in [404, 400, 200] {
        assert_eq!(wire.response().await.status, status);
    }
    let stored = nats.messages("pipeline", 0).await;
    let stored: Vec<_> = stored.iter().map(|message| &message.payload[..]).collect();
    let expected = bodies.iter().map(String::as_bytes);
    let last = event("last");
    assert_eq!(stored, expected.chain([last.as_bytes()]).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_too() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let _calm = LOAD.read().await;
    let bridge = start(nats, "idle-two").await;
    let mut wire = Wire::open(&bridge.address()).await;
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    wire.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    ends_at(wire, KEEP_ALIVE).await;
}
