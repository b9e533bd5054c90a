//! Senders that shut down their writing half behind their request, and wait for the answer.

use super::held::Held;
use super::unread::secure;
use super::wire::{Wire, post};
use super::{event, open, question, tool_calls};
use crate::support::http::Client;
use crate::support::{Authority, Bridge, Reply, Worker, eventually, nats};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn they_get_their_answer() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("half", &["half.events.>"]).await;
    let bridge = Bridge::config(open("half")).nats(nats).start_ready().await;
    let _worker = Worker::start(nats, "half.tool.*", |_| {
        Reply::text("done").after(Duration::from_millis(700))
    })
    .await;
    let body = event("c");
    let chunked = format!(
        "POST /half HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let old = post("/half", &body).replace("HTTP/1.1", "HTTP/1.0");
    let large = post("/half", &event(&"k".repeat(2 << 20)));
    for request in [&post("/half", &body), &chunked, &old, &large] {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(request).await;
        wire.finish().await;
        assert_eq!(wire.response().await.status, 200, "{}", &request[..60]);
        assert!(wire.end().await.is_empty(), "nothing more comes");
    }
    // Whatever comes before it in the pipeline is answered as well, and a question in its time.
    let mut wire = Wire::open(&bridge.address()).await;
    wire.send(post("/half", &body) + &post("/nowhere", "{}")).await;
    wire.send(post("/half", &tool_calls(&["f"])) + &post("/half", &body)).await;
    wire.finish().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(wire.response().await.status);
    }
    assert_eq!(statuses, [200, 404, 200, 200]);
    assert!(wire.end().await.is_empty());
    assert_eq!(nats.messages("half", 6).await.len(), 6);
}

/// It may also be later, when a worker is at it already.
#[tokio::test]
async fn one_that_is_late_gets_it_too() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(open("half-late")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "half-late.ask.>").await;
    let mut wire = Wire::open(&bridge.address()).await;
    wire.send(post("/half-late", &question("assistant-request"))).await;
    let question = held.next().await;
    wire.finish().await;
    // Long enough for the end to be noticed.
    for _ in 0..20 {
        assert_eq!(bridge.admin("/livez").await.status, 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    held.answer(&question, r#"{"assistantId":"a"}"#).await;
    let response = wire.response().await;
    assert_eq!((response.status, response.header("hookbus-outcome")), (200, Some("answered")));
    assert!(wire.end().await.is_empty());
}

#[tokio::test]
async fn over_tls() {
    let (Some(nats), Some(authority)) = (nats::shared().await, Authority::new("test authority"))
    else {
        return;
    };
    let identity = authority.sign("server");
    let tls = identity.section("http.tls", ["cert", "key"]);
    let config = format!("[http]\nlisten = \"{{http}}\"\n{tls}\n{}", open("half-tls"));
    let client = Client::trusting(&authority.cert(), None);
    let bridge = Bridge::config(&config).nats(nats).client(client).start_ready().await;
    let mut held = Held::on(nats, "half-tls.ask.>").await;
    let stream = TcpStream::connect(bridge.address()).await.unwrap();
    let mut stream = secure(&authority, stream).await;
    let request = post("/half-tls", &question("assistant-request"));
    stream.write_all(request.as_bytes()).await.unwrap();
    // The word of TLS for the end, and then that of TCP.
    stream.shutdown().await.unwrap();
    held.answer_next(r#"{"assistantId":"a"}"#).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
    read.expect("an end").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(answer.ends_with(br#"{"assistantId":"a"}"#));
}

/// An end within a request is none.
#[tokio::test]
async fn half_a_request_is_not_answered_like_a_whole_one() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("half-body", &["half-body.events.>"]).await;
    let bridge = Bridge::config(open("half-body")).nats(nats).start_ready().await;
    let request = post("/half-body", &event("c"));
    for cut in [10, request.len() - 1] {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(&request[..cut]).await;
        wire.finish().await;
        let rest = String::from_utf8(wire.end().await).unwrap();
        assert!(!rest.contains(" 200 ") && !rest.contains(" 202 "), "{rest}");
    }
    eventually("nothing being read", SOON, async || {
        (bridge.metric("hookbus_in_flight{kind=\"reading\"").await == 0.0).then_some(())
    })
    .await;
    assert!(nats.messages("half-body", 0).await.is_empty());
}
