//! `hookbus forward` behind the stream, and the HTTP server that it posts to: a process of its own, so that it can be
//! killed. What the server takes it notes down in a file before it answers.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::history::{Clock, Forwarded, Stored};
use crate::support::bridge::program;
use crate::support::process::{Process, Program};
use crate::support::{Nats, eventually, ports};

/// The first argument of this program where it is to be the server.
pub(crate) const SERVE: &str = "--receive";

/// The consumer of the stream.
const DURABLE: &str = "forward";

/// How many events are posted at a time.
pub(crate) const CONCURRENCY: usize = 32;

/// How long the server works on an event that it has noted, so that a kill meets some.
const WORK: Duration = Duration::from_millis(5);

/// For the server to listen.
const START: Duration = Duration::from_secs(10);

/// For everything that was stored to be posted.
const END: Duration = Duration::from_secs(90);

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Note {
    id: String,
    kind: String,
    key: String,
    /// In milliseconds since 1970.
    at: u64,
    body: String,
}

pub(crate) struct Forwarding {
    forward: Program,
    server: Process,
    port: u16,
    folder: TempDir,
    stream: String,
    clock: Clock,
    kills: Vec<(Duration, Duration)>,
}

impl Forwarding {
    /// The events of a stream that are there by type, from now on.
    pub(crate) async fn start(nats: &Nats, stream: &str, clock: Clock) -> Forwarding {
        let (port, folder) = (ports::free(), tempfile::tempdir().unwrap());
        let server = serve_at(port, &folder).await;
        let mut command = program();
        command
            .args(["forward", "--only", "events", "--durable", DURABLE, "--max-deliver", "1000"])
            .args(["--server", &nats.url(), "--endpoint", stream])
            .args(["--subject", &format!("{stream}.events.>")])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .args(["--to", &format!("http://127.0.0.1:{port}/")])
            .current_dir(folder.path());
        let mut forward = Program::start(&mut command);
        forward.said("events from stream").await;
        let (stream, kills) = (stream.to_owned(), Vec::new());
        Forwarding { forward, server, port, folder, stream, clock, kills }
    }

    /// SIGKILL to the server, which comes back after a while.
    pub(crate) async fn kill_server(&mut self, down: Duration) {
        let from = self.clock.now();
        self.server.kill();
        self.kills.push((from, self.clock.now()));
        sleep(down).await;
        self.server = serve_at(self.port, &self.folder).await;
    }

    /// Waits until all is posted and acknowledged. What the server has noted.
    pub(crate) async fn end(mut self, nats: &Nats) -> Forwarded {
        let stream = nats.jetstream().await.get_stream(&self.stream).await.unwrap();
        eventually("a consumer that is done", END, async || {
            let info = stream.consumer_info(DURABLE).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
        })
        .await;
        self.forward.process.signal("INT");
        self.forward.end(0).await;
        self.server.kill();
        let lines = BufReader::new(File::open(self.folder.path().join("notes")).unwrap()).lines();
        // A kill may have torn one.
        let notes = lines.filter_map(|line| serde_json::from_str::<Note>(&line.unwrap()).ok());
        let stored = |(position, note): (usize, Note)| Stored {
            partition: 0,
            position: position as u64,
            name: format!("{}.events.{}", self.stream, note.kind),
            key: note.key,
            id: note.id,
            time: self.clock.at(note.at),
            payload: note.body.into_bytes(),
        };
        Forwarded { posted: notes.enumerate().map(stored).collect(), kills: self.kills }
    }
}

/// This program as the server, once it listens.
async fn serve_at(port: u16, folder: &TempDir) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([SERVE, &port.to_string()]).current_dir(folder.path()).stdin(Stdio::null());
    let process = Process::start(&mut command, None);
    eventually("the server", START, async || TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;
    process
}

/// The server, until it is killed.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(port: Option<String>) -> ExitCode {
    let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
    let mut file = OpenOptions::new().create(true).append(true).open("notes").unwrap();
    // Behind a line that the last one could not end.
    file.write_all(b"\n").unwrap();
    let router = Router::new().route("/", post(receive)).with_state(Arc::new(file));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, router).await.unwrap();
    ExitCode::SUCCESS
}

async fn receive(State(file): State<Arc<File>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let note = Note {
        id: header("ce-id").to_owned(),
        kind: header("hookbus-type").to_owned(),
        key: header("hookbus-key").to_owned(),
        at: since_1970.as_millis() as u64,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let line = serde_json::to_string(&note).unwrap() + "\n";
    file.as_ref().write_all(line.as_bytes()).unwrap();
    sleep(WORK).await;
    StatusCode::OK
}
