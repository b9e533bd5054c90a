//! A network that stalls for less time than it takes to notice, with questions under way.

use super::{SOON, connected};
use crate::support::{Bridge, Endpoint, Nats, Reply, Worker, endpoint, eventually};
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// An endpoint that drops its events, and whose functions have so long to answer.
fn config(timeout: &str) -> Endpoint {
    let tools = format!("[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"{timeout}\"");
    endpoint("hook").keys("answer_window = \"0s\"").events_to(&[]).tables(&tools)
}

/// Passes bytes on, unless it is told to read nothing.
struct Line {
    port: u16,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Line {
    async fn to(nats: &Nats) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), nats.port());
        let (is_open, opened) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(pass(client.0, server.1, opened.clone()));
                tokio::spawn(pass(server.0, client.1, opened.clone()));
            }
        });
        Line { port, is_open, task }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut opened: watch::Receiver<bool>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut chunk).await
        && opened.wait_for(|is_open| *is_open).await.is_ok()
        && to.write_all(&chunk[..length]).await.is_ok()
    {}
}

/// A webhook with so many calls of this size.
fn calls(number: usize, count: usize, size: usize) -> String {
    let call = |at: usize| {
        let arguments = json!({"number": number, "filling": "x".repeat(size)});
        json!({"id": format!("c{at}"), "function": {"name": "f", "arguments": arguments}})
    };
    let list: Vec<_> = (0..count).map(call).collect();
    json!({"message": {"type": "tool-calls", "call": {"id": format!("k{number}")}, "toolCallList": list}})
        .to_string()
}

/// So many webhooks with so many calls of this size while nothing gets through, then none of them any more. Returns how
/// many calls reached the worker when it was too late.
async fn stale(nats: &Nats, [webhooks, count, size]: [usize; 3]) -> usize {
    let line = Line::to(nats).await;
    let worker = Worker::start(nats, "hook.tool.*", |_| Reply::text("done")).await;
    let bridge = Bridge::config(config("700ms")).nats_at(&line.url()).start_ready().await;
    connected(&bridge).await;
    for number in 0..5 {
        let answer = bridge.post("/hook", calls(number, count, size), &[]).await;
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", bridge.log());
    }
    line.set_open(false);
    let asking =
        (0..webhooks).map(|number| bridge.post("/hook", calls(1_000 + number, count, size), &[]));
    for answer in join_all(asking).await {
        assert_eq!(answer.header("hookbus-outcome"), Some("timeout"), "{}", bridge.log());
    }
    line.set_open(true);
    eventually("an answer", SOON, async || {
        let answer = bridge.post("/hook", calls(9_999, 1, size), &[]).await;
        (answer.header("hookbus-outcome") == Some("answered")).then_some(())
    })
    .await;
    assert!(!bridge.log().contains("is gone"), "the same connection:\n{}", bridge.log());
    let late = worker.questions().into_iter().filter(|question| {
        let deadline: u64 = question.header("Hookbus-Deadline").unwrap().parse().unwrap();
        question.arrived >= UNIX_EPOCH + Duration::from_millis(deadline)
    });
    late.count()
}

/// What may be under way to the server at a time.
const WINDOW: usize = 512 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn few_large_questions_are_under_way() {
    let Some(nats) = Nats::start().await else { return };
    let count = stale(&nats, [80, 1, 64 << 10]).await;
    println!("{count} of 80 came too late");
    assert!((1..=WINDOW / (64 << 10)).contains(&count), "{count} of 80 came too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_small_questions_are_under_way() {
    let Some(nats) = Nats::start().await else { return };
    let count = stale(&nats, [20, 60, 500]).await;
    println!("{count} of 1200 came too late");
    assert!((1..=WINDOW / 1_000).contains(&count), "{count} of 1200 came too late");
}

/// One that is larger than all that may be under way at once, and many that have to wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_gets_its_turn() {
    let Some(nats) = Nats::start().await else { return };
    let _worker = Worker::start(&nats, "hook.tool.*", |_| Reply::text("done")).await;
    let bridge = Bridge::config(config("15s")).nats(&nats).start_ready().await;
    connected(&bridge).await;
    let sizes = [1 << 20, 100, 300_000, 700_000, 10];
    let asking =
        (0..30).map(|number| bridge.post("/hook", calls(number, 1, sizes[number % 5]), &[]));
    for answer in join_all(asking).await {
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", bridge.log());
    }
}

/// A user that may not publish to its own inbox can't be told what the server has read.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_for_echoes_it_works_too() {
    let users = r#"authorization { users: [
        { user: bridge, password: secret, permissions: { publish: ["hook.>", "$JS.API.>"], subscribe: ["_INBOX.>"] } }
        { user: all, password: all }
    ] }
    no_auth_user: all"#;
    let Some(nats) = Nats::start_with(users).await else { return };
    let _worker = Worker::start(&nats, "hook.tool.*", |_| Reply::text("done")).await;
    let slow = config("15s");
    let login = "[nats]\nservers = [\"{nats}\"]\nuser = \"bridge\"\npassword = \"secret\"\n";
    let bridge = Bridge::config(format!("{login}{slow}")).nats(&nats).start_ready().await;
    connected(&bridge).await;
    let sizes = [1 << 20, 100, 300_000, 700_000, 10];
    let asking =
        (0..30).map(|number| bridge.post("/hook", calls(number, 1, sizes[number % 5]), &[]));
    for answer in join_all(asking).await {
        assert_eq!(answer.header("hookbus-outcome"), Some("answered"), "{}", bridge.log());
    }
    let said = "may not publish below its own inbox";
    assert_eq!(bridge.log().matches(said).count(), 1, "{}", bridge.log());
    assert!(!bridge.admin("/readyz").await.text().contains("permissions"));
    // One line in the server's log, and not one for each.
    assert_eq!(nats.log().matches("Publish Violation").count(), 1, "{}", nats.log());
}
