//! Answers in parts: their pace, their holes, and what becomes of a reader that doesn't read.

use crate::http::held::Held;
use crate::http::open;
use crate::support::{Bridge, LOAD, eventually, nats, sample};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PART: usize = 64 << 10;
/// More than any buffer on the way takes.
const PARTS: usize = 800;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "names and values that are known")]
fn headers(more: bool, number: Option<usize>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if more {
        headers.insert("Hookbus-More", "true");
    }
    if let Some(number) = number {
        headers.insert("Hookbus-Seq", number.to_string().as_str());
    }
    headers
}

/// A part that tells which one it is.
fn part(number: usize) -> Bytes {
    vec![(number % 251) as u8; PART].into()
}

/// Asks by hand, with small buffers, and reads nothing yet.
async fn ask(bridge: &Bridge, path: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(bridge.address().parse().unwrap()).await.unwrap();
    let body = sample("voice-request.json").bytes;
    let head =
        format!("POST /{path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream
}

/// Reads a chunked response; returns its bytes, and whether it is whole.
async fn read(mut stream: TcpStream) -> (Vec<u8>, bool) {
    let mut raw = Vec::new();
    while !raw.ends_with(b"\r\n0\r\n\r\n") {
        match tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut raw))
            .await
            .unwrap()
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let mut rest = &raw[memchr::memmem::find(&raw, b"\r\n\r\n").unwrap() + 4..];
    let mut body = Vec::new();
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let data = &rest[end + 2..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        let Some(next) = data.get(size + 2..) else { break };
        rest = next;
    }
    (body, false)
}

/// No hole: the bytes are those of the parts, from the first one on.
fn assert_prefix(body: &[u8]) {
    for (number, found) in body.chunks(PART).enumerate() {
        assert!(found == &part(number)[..found.len()], "part {number} is another one");
    }
}

#[tokio::test]
async fn half_of_the_first_parts_are_passed_on_within_20_ms() {
    let Some(nats) = nats::shared().await else { return };
    let _calm = LOAD.read().await;
    let bridge = Bridge::config(open("quick")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "quick.ask.voice-request").await;
    let (client, mut took) = (client(), Vec::new());
    for _ in 0..15 {
        let send =
            client.post(bridge.url("/quick")).body(sample("voice-request.json").bytes).send();
        let (response, (question, sent)) = tokio::join!(send, async {
            let question = held.next().await;
            let sent = Instant::now();
            held.part(&question, "first", true).await;
            (question, sent)
        });
        let mut response = response.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
        took.push(sent.elapsed());
        held.part(&question, "last", false).await;
        assert_eq!(response.chunk().await.unwrap().unwrap(), "last");
    }
    took.sort();
    println!("first byte after {:?} (half of them), {:?} at most", took[7], took[14]);
    assert!(took[7] < Duration::from_millis(20), "{took:?}");
}

#[tokio::test]
async fn numbers_expose_a_missing_part() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(open("numbers")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "numbers.ask.voice-request").await;
    let worker = nats.client().await;
    for (numbers, is_whole) in [
        (vec![Some(0), Some(1), Some(2)], true),
        (vec![Some(1), Some(2), Some(3)], true),
        (vec![Some(0), None, Some(1)], true),
        (vec![None, None], true),
        (vec![Some(0), Some(2), Some(3)], false),
        (vec![Some(0), Some(0), Some(1)], false),
        (vec![Some(0), Some(1), Some(3)], false),
    ] {
        let stream = ask(&bridge, "numbers").await;
        let question = held.next().await;
        let last = numbers.len() - 1;
        for (place, number) in numbers.iter().enumerate() {
            let inbox = question.reply.clone().unwrap();
            let headers = headers(place < last, *number);
            worker.publish_with_headers(inbox, headers, "x".into()).await.unwrap();
        }
        worker.flush().await.unwrap();
        let (_, whole) = read(stream).await;
        assert_eq!(whole, is_whole, "{numbers:?}");
    }
}

/// Sends all parts as requests, each once the one before has got its reply.
async fn pump(client: async_nats::Client, question: Message, acknowledged: Arc<AtomicUsize>) {
    let inbox = question.reply.unwrap();
    for number in 0..PARTS {
        let request = async_nats::Request::new()
            .headers(headers(number + 1 < PARTS, Some(number)))
            .payload(part(number))
            .timeout(Some(Duration::from_secs(30)));
        client.send_request(inbox.clone(), request).await.unwrap();
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_worker_that_asks_for_room_is_held_back_and_nothing_is_lost() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(open("room")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "room.ask.voice-request").await;
    let before = bridge.rss_bytes();
    let stream = ask(&bridge, "room").await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let worker = tokio::spawn(pump(nats.client().await, held.next().await, acknowledged.clone()));
    let (mut last, mut since) = (0, Instant::now());
    eventually("a worker that waits", Duration::from_secs(15), async || {
        let now = acknowledged.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (now > 3 && since.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    println!("{last} of {PARTS} parts of 64 KiB taken while nobody reads");
    assert!(last < PARTS * 3 / 4, "{last} of {PARTS} parts were taken");
    assert!(bridge.rss_bytes() < before + (4 << 20), "{before}, then {}", bridge.rss_bytes());
    let (body, whole) = read(stream).await;
    assert!(whole && body.len() == PARTS * PART, "{} bytes", body.len());
    assert_prefix(&body);
    worker.await.unwrap();
}

#[tokio::test]
async fn parts_that_nobody_reads_break_the_response_and_leave_no_hole() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(open("flood")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "flood.ask.voice-request").await;
    let before = bridge.rss_bytes();
    let stream = ask(&bridge, "flood").await;
    let (question, worker) = (held.next().await, nats.client().await);
    for number in 0..PARTS {
        let inbox = question.reply.clone().unwrap();
        worker.publish_with_headers(inbox, headers(true, None), part(number)).await.unwrap();
    }
    worker.publish(question.reply.unwrap(), "end".into()).await.unwrap();
    worker.flush().await.unwrap();
    // What is too much is seen as an extra reply, once the answer is given up.
    eventually("the end of it", Duration::from_secs(10), async || {
        (bridge.metric(r#"hookbus_ignored_replies_total{kind="extra""#).await > 0.0).then_some(())
    })
    .await;
    assert!(bridge.rss_bytes() < before + (20 << 20), "{before}, then {}", bridge.rss_bytes());
    let (body, whole) = read(stream).await;
    assert!(!whole && body.len() < PARTS * PART, "{} bytes taken for a whole answer", body.len());
    assert!(body.len() >= 1 << 20, "only {} bytes", body.len());
    assert_prefix(&body);
    eventually("its place is free", Duration::from_secs(10), async || {
        (bridge.metric(r#"hookbus_in_flight{kind="question""#).await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_pause_between_parts_can_be_set() {
    let Some(nats) = nats::shared().await else { return };
    let rule = "[[endpoint.question]]\ntypes = [\"voice-request\"]\nchunk_timeout = \"300ms\"\n";
    let bridge = Bridge::config(&(open("pause") + rule)).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "pause.ask.voice-request").await;
    let stream = ask(&bridge, "pause").await;
    let question = held.next().await;
    held.part(&question, "half", true).await;
    let began = Instant::now();
    let (body, whole) = read(stream).await;
    assert!(!whole && body == b"half", "{body:?}");
    assert!(
        began.elapsed() > Duration::from_millis(250) && began.elapsed() < Duration::from_secs(3)
    );
}
