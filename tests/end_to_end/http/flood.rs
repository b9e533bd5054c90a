//! Floods: of frames by HTTP/2 senders that keep to no rules, of requests in a pipeline. Others are served meanwhile, the
//! memory stays bounded, and nothing stays in flight.

use super::wire::post;
use super::{event, open};
use crate::support::{Bridge, LOAD, Nats, eventually, nats, python};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);

/// What a flood may cost: far below what it sends, or what its tables unfold to.
const MEMORY: u64 = 64 << 20;

/// Senders at a time.
const SENDERS: usize = 4;

async fn start(nats: &Nats) -> Bridge {
    nats.create_stream("flood", &["flood.events.>"]).await;
    nats.create_stream("beside", &["beside.events.>"]).await;
    Bridge::config(&(open("flood") + &open("beside"))).nats(nats).start_ready().await
}

/// How the floods of this kind ended, while others were served.
async fn flood(bridge: &Bridge, kind: &str, count: usize) -> Option<Vec<String>> {
    let (host, port) =
        bridge.address().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    let before = bridge.rss_bytes();
    let count = count.to_string();
    let arguments = [kind, &host, &port, &count];
    let floods = (0..SENDERS).map(|_| python::run("http/flood.py", &arguments, b""));
    let floods = futures_util::future::join_all(floods);
    tokio::pin!(floods);
    let mut slowest = Duration::ZERO;
    let ends = loop {
        let beside = async {
            let answer = bridge.post("/beside", event("beside"), &[]).await;
            assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
            answer.elapsed
        };
        tokio::select! {
            ends = &mut floods => break ends,
            elapsed = beside => slowest = slowest.max(elapsed),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut words = Vec::new();
    for end in ends {
        let end = end?;
        assert_eq!(end.code, Some(0), "{kind}: {}", end.stderr);
        words.push(end.stdout.trim().to_owned());
    }
    let grown = bridge.peak_rss_bytes().saturating_sub(before);
    println!("{kind}: {words:?}, {} KiB more, others within {slowest:?}", grown >> 10);
    assert!(grown < MEMORY, "{kind}: {grown} bytes more");
    assert!(slowest < Duration::from_secs(3), "{kind}: {slowest:?}");
    for metric in ["hookbus_in_flight", "hookbus_in_flight_bytes"] {
        eventually(&format!("{kind}: no {metric}"), SOON, async || {
            (bridge.metric(metric).await == 0.0).then_some(())
        })
        .await;
    }
    Some(words)
}

#[tokio::test]
async fn floods_of_http2_frames() {
    let Some(nats) = nats::shared().await else { return };
    let _load = LOAD.write().await;
    let bridge = start(nats).await;
    // These end the connection, well before all of it was sent.
    for (kind, count) in [
        ("resets", 20_000),
        ("resets-with-bodies", 20_000),
        ("continuations", 20_000),
        ("empty-continuations", 200_000),
        ("table-bombs", 2_000),
        ("streams", 20_000),
    ] {
        let Some(ends) = flood(&bridge, kind, count).await else { return };
        assert!(ends.iter().all(|end| end != "open"), "{kind}: {ends:?}");
    }
    // These are legal, and cost nothing that is kept.
    for (kind, count) in [("settings", 100_000), ("pings", 100_000), ("empty-data", 100_000)] {
        if flood(&bridge, kind, count).await.is_none() {
            return;
        }
    }
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
    assert_eq!(bridge.post("/flood", event("after"), &[]).await.status, 200);
}

/// A sender that writes requests without end and reads no answer is not read from any more, some answers later.
#[tokio::test]
async fn a_pipeline_that_nobody_reads_from() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("unread-pipeline", &["unread-pipeline.events.>"]).await;
    let bridge = Bridge::config(open("unread-pipeline")).nats(nats).start_ready().await;
    let before = bridge.rss_bytes();
    let mut stream = tokio::net::TcpStream::connect(bridge.address()).await.unwrap();
    let requests = post("/nowhere", "{}").repeat(500);
    let began = Instant::now();
    let mut sent = 0;
    // It stalls once the buffers of the kernel are full.
    while let Ok(Ok(written)) =
        tokio::time::timeout(Duration::from_secs(2), stream.write(requests.as_bytes())).await
    {
        sent += written;
        assert!(began.elapsed() < Duration::from_secs(60), "{sent} bytes were taken");
    }
    let grown = bridge.peak_rss_bytes().saturating_sub(before);
    println!("{} KiB of requests taken, {} KiB more", sent >> 10, grown >> 10);
    assert!(grown < 8 << 20, "{grown} bytes more after {sent}");
    // Once somebody reads, the answers come on.
    let mut answers = Vec::new();
    while answers.len() < 1 << 20 {
        let read = tokio::time::timeout(SOON, stream.read_buf(&mut answers)).await;
        assert!(matches!(read, Ok(Ok(1..))), "{read:?} after {} bytes", answers.len());
    }
    assert!(answers.starts_with(b"HTTP/1.1 404"));
    assert_eq!(bridge.post("/unread-pipeline", event("after"), &[]).await.status, 200);
}
