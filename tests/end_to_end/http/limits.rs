//! What is over a limit is refused at once with 503, and the next one finds room again.

use super::held::Held;
use super::wire::{Wire, post};
use super::{event, open, question, tool_calls};
use crate::support::http::Answer;
use crate::support::{Bridge, Nats, Reply, Worker, eventually, nats};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

async fn start(nats: &Nats, name: &str, http: &str) -> Bridge {
    Bridge::config(format!("[http]\nlisten = \"{{http}}\"\n{http}\n{}", open(name)))
        .nats(nats)
        .start_ready()
        .await
}

/// Waits until so many of this kind are in flight.
async fn in_flight(bridge: &Bridge, kind: &str, count: f64) {
    let metric = format!("hookbus_in_flight{{kind=\"{kind}\"");
    eventually(&format!("{count} {kind} in flight"), SOON, async || {
        (bridge.metric(&metric).await == count).then_some(())
    })
    .await;
}

fn assert_full(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.elapsed < Duration::from_secs(1), "it was waited for");
}

#[tokio::test]
async fn requests_being_read() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("reading", &["reading.events.>"]).await;
    let bridge = start(nats, "reading", "max_reading = 1").await;
    let request = post("/reading", &event("c"));
    let (begin, rest) = request.split_at(request.len() - 10);
    let mut slow = Wire::open(&bridge.address()).await;
    slow.send(begin).await;
    in_flight(&bridge, "reading", 1.0).await;
    assert_full(&bridge.post("/reading", event("c"), &[]).await);
    assert_eq!(slow.ask(rest).await.status, 200);
    in_flight(&bridge, "reading", 0.0).await;
    assert_eq!(bridge.post("/reading", event("c"), &[]).await.status, 200);

    // A place is given back by one that goes away, too.
    let mut gone = Wire::open(&bridge.address()).await;
    gone.send(begin).await;
    in_flight(&bridge, "reading", 1.0).await;
    drop(gone);
    in_flight(&bridge, "reading", 0.0).await;
}

#[tokio::test]
async fn events_in_flight() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "events", "max_events = 1").await;
    let _worker = Worker::start(nats, "events.tool.*", |_| Reply::text("done")).await;
    // Without a stream this one is tried again and again: a leader election looks the same.
    let first = bridge.post("/events", event("first"), &[]);
    let others = async {
        in_flight(&bridge, "event", 1.0).await;
        assert_full(&bridge.post("/events", event("second"), &[]).await);
        // Questions have a pool of their own.
        let answer = bridge.post("/events", tool_calls(&["f"]), &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"));
        nats.create_stream("events", &["events.events.>"]).await;
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.status, 200);
    assert_eq!(bridge.post("/events", event("third"), &[]).await.status, 200);
    let bodies: Vec<_> = nats.messages("events", 2).await;
    let bodies: Vec<_> = bodies.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(bodies, [event("first").as_bytes(), event("third").as_bytes()]);
}

#[tokio::test]
async fn questions_in_flight() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("questions", &["questions.events.>"]).await;
    let bridge = start(nats, "questions", "max_questions = 1").await;
    let mut asked = Held::on(nats, "questions.ask.>").await;
    let first = bridge.post("/questions", question("assistant-request"), &[]);
    let others = async {
        in_flight(&bridge, "question", 1.0).await;
        let second = bridge.post("/questions", question("transfer-destination-request"), &[]).await;
        assert_full(&second);
        assert_eq!(second.header("hookbus-outcome"), Some("overloaded"));
        // Tool calls get a 200 whatever happens.
        let tools = bridge.post("/questions", tool_calls(&["f", "g"]), &[]).await;
        assert_eq!((tools.status, tools.header("hookbus-outcome")), (200, Some("overloaded")));
        assert_eq!(tools.json()["results"].as_array().unwrap().len(), 2);
        // Events have a pool of their own.
        let answer = bridge.post("/questions", event("c"), &[]).await;
        assert_eq!(answer.status, 200);
        asked.answer_next(r#"{"assistantId":"a"}"#).await;
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!((first.status, first.text()), (200, r#"{"assistantId":"a"}"#));
    in_flight(&bridge, "question", 0.0).await;
}

#[tokio::test]
async fn bytes_in_flight() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("bytes", &["bytes.events.>"]).await;
    let limits = "max_body = \"64KiB\"\nmax_in_flight_bytes = \"100KiB\"";
    let bridge = start(nats, "bytes", limits).await;
    let mut asked = Held::on(nats, "bytes.ask.>").await;
    let large =
        |kind: &str| question(kind).replace("}}}", &format!("}},\"pad\":\"{:60000}\"}}}}", ""));
    let first = bridge.post("/bytes", large("assistant-request"), &[]);
    let others = async {
        in_flight(&bridge, "question", 1.0).await;
        assert_full(&bridge.post("/bytes", large("status-update"), &[]).await);
        assert_full(&bridge.post("/bytes", large("assistant-request"), &[]).await);
        // What the workers of tool calls get counts, too: 2 x 30 kB of context in a body of 30 kB don't fit.
        let context = format!(r#","customer":"{:30000}","toolCallList""#, "");
        let tools = tool_calls(&["f", "g"]).replace(r#","toolCallList""#, &context);
        assert_eq!(
            bridge.post("/bytes", tools, &[]).await.header("hookbus-outcome"),
            Some("overloaded")
        );
        let small = bridge.post("/bytes", event("c"), &[]).await;
        assert_eq!(small.status, 200);
        asked.answer_next(r#"{"assistantId":"a"}"#).await;
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.status, 200);
    assert_eq!(bridge.post("/bytes", large("status-update"), &[]).await.status, 200);
    eventually("no bytes in flight", SOON, async || {
        (bridge.metric("hookbus_in_flight_bytes").await == 0.0).then_some(())
    })
    .await;
}

/// The next one waits in the kernel's queue, and is served when there is a place.
#[tokio::test]
async fn connections() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("connections", &["connections.events.>"]).await;
    let bridge = start(nats, "connections", "max_connections = 2").await;
    let (mut first, mut second) =
        (Wire::open(&bridge.address()).await, Wire::open(&bridge.address()).await);
    let request = post("/connections", &event("c"));
    assert_eq!(first.ask(&request).await.status, 200);
    assert_eq!(second.ask(&request).await.status, 200);
    let mut third = Wire::open(&bridge.address()).await;
    third.send(&request).await;
    // Were it served, it would be faster than these.
    for _ in 0..10 {
        assert_eq!(first.ask(&request).await.status, 200);
    }
    assert_eq!(nats.messages("connections", 0).await.len(), 12);
    drop(second);
    assert_eq!(third.response().await.status, 200);
}
