//! A real nats-server with JetStream, and what it holds.

use super::process::Process;
use super::{eventually, missing, ports, tool};
use async_nats::jetstream;
use async_nats::jetstream::stream;
use bytes::Bytes;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

const START: Duration = Duration::from_secs(10);

/// Bodies of 8 MiB and their headers fit.
const CONFIG: &str = "max_payload: 16MB\n";

pub(crate) struct Nats {
    process: Process,
    port: u16,
    folder: tempfile::TempDir,
    /// Before a client says anything.
    greets: bool,
}

/// A message of a stream, as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) headers: async_nats::HeaderMap,
    pub(crate) payload: Bytes,
}

impl Stored {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}

impl Nats {
    /// A server of this test's own.
    pub(crate) async fn start() -> Option<Nats> {
        Nats::start_with("").await
    }

    /// The same with more lines of nats-server's configuration; a key given again wins (`max_payload: 1MB`).
    pub(crate) async fn start_with(config: &str) -> Option<Nats> {
        Nats::start_as(config, true).await
    }

    /// The same for one that greets nobody before TLS: ready when it says so in its log.
    pub(crate) async fn start_silent(config: &str) -> Option<Nats> {
        Nats::start_as(config, false).await
    }

    /// Servers of one cluster, which knows itself when its clients come.
    pub(crate) async fn start_cluster(count: usize) -> Option<Vec<Nats>> {
        let routes: Vec<u16> = (0..count).map(|_| ports::free()).collect();
        let all: Vec<String> =
            routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let configs = routes.iter().map(|port| {
            format!("cluster {{ name: test, listen: 127.0.0.1:{port}, routes: {all:?} }}\n")
        });
        let mut servers = Vec::new();
        for config in configs {
            servers.push(Nats::start_with(&config).await?);
        }
        Some(servers)
    }

    /// What it calls itself.
    pub(crate) fn name(&self) -> String {
        name(self.port)
    }

    async fn start_as(config: &str, greets: bool) -> Option<Nats> {
        let Some(program) = program() else {
            missing("nats-server 2.10 or newer (run: make tools)");
            return None;
        };
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let port = ports::free();
            configure(&folder, port, config);
            let mut nats = Nats { process: spawn(&program, &folder), port, folder, greets };
            if nats.ready().await {
                return Some(nats);
            }
            let log = nats.log();
            assert!(log.contains("in use"), "nats-server doesn't start:\n{log}");
        }
        panic!("nats-server: five ports were taken");
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged since it was started first.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL: what it had not written is lost.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same store; kills it first where it still runs.
    pub(crate) async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&program().expect("it was there before"), &self.folder);
        assert!(self.ready().await, "nats-server doesn't start again:\n{}", self.log());
    }

    /// The same with other lines of configuration than those it was started with.
    pub(crate) async fn restart_with(&mut self, config: &str) {
        configure(&self.folder, self.port, config);
        self.restart().await;
    }

    /// Lets it take over other lines of configuration while it runs.
    pub(crate) async fn reload_with(&mut self, config: &str) {
        let reloads = |log: &str| log.matches("Reloaded server configuration").count();
        let before = reloads(&self.log());
        configure(&self.folder, self.port, config);
        self.process.signal("HUP");
        eventually("a reload of nats-server", START, async || {
            (reloads(&self.log()) > before).then_some(())
        })
        .await;
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub(crate) fn stop_signal(&mut self) {
        self.process.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn cont_signal(&mut self) {
        self.process.signal("CONT");
    }

    /// A new connection to it.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }

    /// A new connection's JetStream.
    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }

    /// Makes a stream in file storage.
    pub(crate) async fn create_stream(&self, name: &str, subjects: &[&str]) {
        self.create_stream_with(stream::Config {
            name: name.to_owned(),
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            discard: stream::DiscardPolicy::New,
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn create_stream_with(&self, config: stream::Config) {
        self.jetstream().await.create_stream(config).await.unwrap();
    }

    /// All messages of a stream in order, once there are at least so many.
    pub(crate) async fn messages(&self, stream: &str, at_least: u64) -> Vec<Stored> {
        let stream = self.jetstream().await.get_stream(stream).await.unwrap();
        let what = format!("{at_least} messages in the stream");
        let state = eventually(&what, Duration::from_secs(20), async || {
            let state = stream.get_info().await.unwrap().state;
            (state.messages >= at_least).then_some(state)
        })
        .await;
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            messages.push(Stored {
                sequence,
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
            });
        }
        messages
    }

    /// False when it has ended, such as by a port that was taken.
    async fn ready(&mut self) -> bool {
        eventually("nats-server", START, async || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            if !self.greets {
                return self.log().contains("Server is ready").then_some(true);
            }
            let greeting =
                tokio::time::timeout(Duration::from_millis(500), greeting(self.port)).await;
            // By name: somebody else's server may answer on this port.
            matches!(greeting, Ok(Ok(line)) if line.contains(&name(self.port))).then_some(true)
        })
        .await
    }
}

fn configure(folder: &tempfile::TempDir, port: u16, config: &str) {
    let store = folder.path().join("jetstream");
    let text = format!(
        "{CONFIG}server_name: {}\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?} }}\n{config}\n",
        name(port)
    );
    std::fs::write(folder.path().join("nats.conf"), text).unwrap();
}

/// Its own process tells servers of other test runs apart.
fn name(port: u16) -> String {
    format!("test-{}-{port}", std::process::id())
}

async fn greeting(port: u16) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?).read_line(&mut line).await?;
    Ok(line)
}

fn spawn(program: &PathBuf, folder: &tempfile::TempDir) -> Process {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(folder.path().join("nats.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Process::start(&mut command, Some(folder.path()))
}

/// `HOOKBUS_NATS_SERVER`, else `.tools`, else PATH from 2.10 on.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("HOOKBUS_NATS_SERVER") {
        return Some(path.into());
    }
    let downloaded = tool("nats-server");
    if downloaded.exists() {
        return Some(downloaded);
    }
    let output = Command::new("nats-server").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut parts =
        text.trim().rsplit_once('v')?.1.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    ((parts.next()?, parts.next()?) >= (2, 10)).then(|| "nats-server".into())
}

/// A server for the tests that never disturb it; they tell their traffic apart by an endpoint name of their own.
pub(crate) async fn shared() -> Option<&'static Nats> {
    static SHARED: OnceCell<Option<Nats>> = OnceCell::const_new();
    SHARED.get_or_init(Nats::start).await.as_ref()
}
