//! Ten thousand connections that want nothing, while others are served.

use super::{event, open};
use crate::support::certificates::{Authority, Identity};
use crate::support::http::Client;
use crate::support::{Bridge, LOAD, missing, nats, python};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const MANY: usize = 10_000;
const MANY_WITH_TLS: usize = 1_000;

/// What both sides need beside the connections.
const OTHERS: usize = 200;

/// How many file descriptors one process may have here, at most.
fn descriptors() -> usize {
    let output = Command::new("sh").args(["-c", "ulimit -H -n"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or(usize::MAX)
}

/// Bytes of memory for each connection that stays open, of `count`.
async fn hold(bridge: &Bridge, count: usize, path: &str, tls: bool) -> Option<u64> {
    let (host, port) =
        bridge.address().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    assert_eq!(bridge.post(path, event("first"), &[]).await.status, 200);
    let before = bridge.rss_bytes();
    let mut command = python::command()?;
    command.arg(crate::support::project().join("tests/end_to_end/http/idle.py"));
    command.args([&host, &port, &count.to_string(), path]);
    if tls {
        command.arg("tls");
    }
    let began = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let next = tokio::time::timeout(Duration::from_secs(120), said.next_line()).await;
    assert_eq!(next.expect("two minutes are enough").unwrap().as_deref(), Some("open"));
    let took = began.elapsed();

    let each = bridge.rss_bytes().saturating_sub(before) / count as u64;
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let answer = bridge.post(path, event("beside"), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(answer.elapsed);
    }
    println!(
        "{count} connections in {took:?}: {each} bytes each, others within {slowest:?} (TLS: {tls})"
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    child.stdin.take().unwrap().write_all(b"\n").await.unwrap();
    let open = said.next_line().await.unwrap().unwrap();
    assert_eq!(open, count.to_string(), "all of them still stand");
    Some(each)
}

/// The documentation tells how many KiB it is, behind these words.
fn assert_as_documented(each: u64, words: &str) {
    const DOCUMENTATION: &str = include_str!("../../../docs/security.md");
    let told = DOCUMENTATION.split_once(words).expect("the words").1;
    let told = told.split_once(" KiB").expect("a unit").0.parse::<u64>().expect("a number") << 10;
    assert!((told * 3 / 4..told * 5 / 4).contains(&each), "{each} bytes instead of {told}");
}

/// Whether this machine lets us have so many; the bridge itself is started with all the descriptors that it may have.
fn has_room_for(count: usize) -> bool {
    let is_enough = descriptors() >= count + OTHERS;
    if !is_enough {
        missing(&format!(
            "file descriptors for {count} connections (ulimit -H -n is {})",
            descriptors()
        ));
    }
    is_enough
}

const ALL: [&str; 4] = ["sh", "-c", "ulimit -n $(ulimit -H -n); exec \"$0\" \"$@\"", "env"];

#[tokio::test]
async fn ten_thousand_idle_connections() {
    let (Some(nats), true) = (nats::shared().await, has_room_for(MANY)) else { return };
    let _load = LOAD.write().await;
    nats.create_stream("idle", &["idle.events.>"]).await;
    let config = format!(
        "[http]\nlisten = \"{{http}}\"\nheader_timeout = \"5m\"\nkeep_alive = \"5m\"\n{}",
        open("idle")
    );
    let bridge = Bridge::config(&config).nats(nats).under(&ALL).start_ready().await;
    let Some(each) = hold(&bridge, MANY, "/idle", false).await else { return };
    assert_as_documented(each, "An idle one costs about ");
}

#[tokio::test]
async fn a_thousand_idle_connections_with_tls() {
    let (Some(nats), true) = (nats::shared().await, has_room_for(MANY_WITH_TLS)) else { return };
    let _load = LOAD.write().await;
    nats.create_stream("idle-tls", &["idle-tls.events.>"]).await;
    let Some(authority) = Authority::new("test authority") else { return };
    let Identity { cert, key } = authority.sign("server");
    let config = format!(
        "[http]\nlisten = \"{{http}}\"\nheader_timeout = \"5m\"\nkeep_alive = \"5m\"\n[http.tls]\ncert = {cert:?}\nkey = {key:?}\n{}",
        open("idle-tls")
    );
    let client = Client::trusting(&authority.cert(), None);
    let bridge = Bridge::config(&config).nats(nats).client(client).under(&ALL).start_ready().await;
    let Some(each) = hold(&bridge, MANY_WITH_TLS, "/idle-tls", true).await else { return };
    assert_as_documented(each, "with TLS about ");
}
