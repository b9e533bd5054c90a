//! A server, or a proxy in front of it, that ends each connection right after login.

use super::{SOON, connected};
use crate::support::process::Process;
use crate::support::{Bridge, DROP, HOOK, Nats, bridge, endpoint, eventually};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long is looked at.
const TIME: Duration = Duration::from_secs(6);

/// Lets everybody in, and ends the connection at once.
struct Rude {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Rude {
    /// `parting` is what it says at the end.
    async fn start(parting: &'static str) -> Rude {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(greet(stream, parting));
            }
        });
        Rude { port, connections, task }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn greet(stream: TcpStream, parting: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let info = r#"INFO {"server_id":"R","server_name":"rude","version":"2.15.1","proto":1,"headers":true,"max_payload":1048576}"#;
    stream.write_all(format!("{info}\r\n").as_bytes()).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        if line.starts_with("PING") {
            return stream.write_all(format!("PONG\r\n{parting}").as_bytes()).await;
        }
        line.clear();
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_ends_each_connection_is_not_stormed() {
    let server = Rude::start("-ERR 'Maximum Connections Exceeded'\r\n").await;
    let bridge =
        Bridge::config(endpoint("hook").events_to(&[])).nats_at(&server.url()).start().await;
    eventually("a second connection", SOON, async || (server.connections() > 4).then_some(()))
        .await;
    let before = server.connections();
    sleep(TIME).await;
    let count = server.connections() - before;
    println!("{count} connections in {TIME:?}");
    // Two connections, each at most twice a second.
    assert!((4..=24).contains(&count), "{count} connections in {TIME:?}");
    let ready = bridge.admin("/readyz").await;
    let problem = "problem: nats (questions): connections end soon after they are made";
    assert!(ready.text().contains(problem), "{}", ready.text());
    assert!(ready.text().contains("Maximum Connections Exceeded"), "{}", ready.text());
    let log = bridge.log();
    assert!(log.contains("connections to NATS end soon after they are made"), "{log}");
    let lines = log.lines().filter(|line| line.contains("NATS")).count();
    assert!(lines <= 8, "{lines} lines:\n{log}");
}

#[tokio::test]
async fn another_server_is_tried_then() {
    let server = Rude::start("").await;
    let Some(nats) = Nats::start().await else { return };
    let servers = format!("[nats]\nservers = [{:?}, {:?}]\n", server.url(), nats.url());
    let bridge = Bridge::config(format!("{servers}{HOOK}{DROP}")).start().await;
    connected(&bridge).await;
    let count = server.connections();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.connections(), count);
}

#[tokio::test]
async fn nor_by_a_worker() {
    let server = Rude::start("").await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = bridge::program();
    command
        .args(["answer", "f", "--server", &server.url(), "--", "cat"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.reopen().unwrap());
    let _worker = Process::start(&mut command, None);
    eventually("some connections", SOON, async || (server.connections() > 2).then_some(())).await;
    let before = server.connections();
    sleep(TIME).await;
    let count = server.connections() - before;
    println!("{count} connections in {TIME:?}");
    assert!((3..=12).contains(&count), "{count} connections in {TIME:?}");
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains("connections to NATS end soon after they are made"), "{text}");
    assert!(text.lines().count() <= 8, "{text}");
}
