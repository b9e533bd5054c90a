//! Many readers, and those that don't read.

use super::follower::Follower;
use super::{bridge_of, dropping};
use crate::http::event;
use crate::support::{Bridge, bridge, eventually};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// As many as may follow.
const MOST: usize = 16;

/// A reader that has got the head of the answer, and reads no more by itself.
async fn reader(bridge: &Bridge) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(bridge.admin_address()).await.unwrap();
    let request = format!("GET /tail HTTP/1.1\r\nhost: {}\r\n\r\n", bridge.admin_address());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap(), stream)
}

/// Posts so many events whose lines are long, and returns what the command says of it.
async fn flood(bridge: &Bridge, count: u32) -> String {
    let key = format!("message.call.id={}-{{n}}", "k".repeat(900));
    let (count, url) = (count.to_string(), bridge.url("/hook"));
    let load = ["send", "status-update", "--to", &url, "--count", &count, "--concurrency", "20"];
    let output = bridge::run(&[&load[..], &["--set", &key]].concat()).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout
}

#[tokio::test]
async fn there_is_a_limit_of_readers_and_a_place_for_the_next() {
    let bridge = bridge_of(&dropping("")).start().await;
    let mut readers = Vec::new();
    for _ in 0..MOST {
        let (head, stream) = reader(&bridge).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        readers.push(stream);
    }
    let (head, _) = reader(&bridge).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    readers.pop();
    eventually("a place", Duration::from_secs(10), async || {
        reader(&bridge).await.0.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_no_time_and_no_memory() {
    // However slow this machine is, they are not ended.
    let http = "[http]\nlisten = \"{http}\"\nwrite_timeout = \"10m\"\n";
    let bridge = bridge_of(&dropping(http)).start().await;
    flood(&bridge, 2_000).await;
    let before = bridge.rss_bytes();
    let mut stuck = Vec::new();
    for _ in 0..4 {
        stuck.push(reader(&bridge).await.1);
    }
    let summary = flood(&bridge, 8_000).await;
    let grown = bridge.rss_bytes().saturating_sub(before);
    println!("memory grew by {} KiB\n{summary}", grown >> 10);
    // The ring is 1 MiB of such lines, and each stuck answer holds a buffer.
    assert!(grown < 24 << 20, "{grown} bytes");
    // Somebody else sees everything meanwhile.
    let follower = Follower::start(&bridge, &["--json"]).await;
    bridge.post("/hook", event("seen"), &[]).await;
    assert_eq!(follower.json(1).await[0]["key"], "seen");

    // Whoever reads again is told what is missing, and goes on from there.
    let mut text = Vec::new();
    let mut stream = stuck.pop().unwrap();
    let end = b"\"key\":\"seen\"";
    eventually("the last line", Duration::from_secs(20), async || {
        stream.read_buf(&mut text).await.unwrap();
        let tail = &text[text.len().saturating_sub(64 << 10)..];
        tail.windows(end.len()).any(|window| window == end).then_some(())
    })
    .await;
    let text = String::from_utf8(text).unwrap();
    let lost = text.split("{\"line\":\"lost\",\"count\":").skip(1);
    let lost: usize =
        lost.map(|rest| rest.split('}').next().unwrap().parse::<usize>().unwrap()).sum();
    let shown = text.matches("{\"line\":\"webhook\"").count();
    println!("{shown} lines shown, {lost} lost");
    assert!(lost > 0);
    assert_eq!(shown + lost, 8_001);
}
