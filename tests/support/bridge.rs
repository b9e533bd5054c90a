//! The built binary at work.

use super::http::{Answer, Client};
use super::process::{self, Output, Process};
use super::{Kafka, Nats, eventually, ports};
use bytes::Bytes;
use std::fmt::Display;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const START: Duration = Duration::from_secs(20);
/// How soon readiness says what has changed.
const RECOVERY: Duration = Duration::from_secs(30);

/// The program as cargo built it.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hookbus"))
}

/// Runs one command of the program to its end, a minute at most.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments);
    process::output(command.into(), b"").await
}

/// Runs a bridge that is to end by itself, a minute at most, in the folder of its configuration: what it makes is gone with
/// that.
pub(crate) async fn serve(file: &Path) -> Output {
    let mut command = program();
    command.arg("serve").arg("--config").arg(file);
    command.current_dir(file.parent().expect("a folder"));
    process::output(command.into(), b"").await
}

/// What a bridge is started with. In the configuration `{http}`, `{admin}`, `{nats}` and `{kafka}` stand for the
/// addresses. One that the text doesn't use is added as a section of its own: `[http]`, `[admin]`, and `[nats]` and
/// `[kafka]` where such a broker was given.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    config: String,
    nats: Option<String>,
    kafka: Option<String>,
    environment: Vec<(String, String)>,
    under: Vec<String>,
    client: Option<Client>,
    stderr: Stderr,
}

/// What standard error is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stderr {
    /// A pipe that is read.
    Read,
    /// A pipe that is full, and that nobody reads.
    Full,
    /// A file, or a device.
    File(PathBuf),
}

pub(crate) struct Bridge {
    process: Process,
    http: u16,
    admin: u16,
    log: Log,
    client: Client,
    setup: Setup,
    folder: tempfile::TempDir,
}

impl Setup {
    pub(crate) fn nats(mut self, nats: &Nats) -> Setup {
        self.nats = Some(nats.url());
        self
    }

    pub(crate) fn kafka(mut self, kafka: &Kafka) -> Setup {
        self.kafka = Some(kafka.bootstrap());
        self
    }

    /// An address where the broker may not be (yet).
    pub(crate) fn nats_at(mut self, url: &str) -> Setup {
        self.nats = Some(url.to_owned());
        self
    }

    /// An address where the broker may not be (yet).
    pub(crate) fn kafka_at(mut self, bootstrap: &str) -> Setup {
        self.kafka = Some(bootstrap.to_owned());
        self
    }

    /// What no broker takes in time is refused instead of being kept on disk.
    pub(crate) fn without_spool(self) -> Setup {
        self.text("[spool]\nenabled = false")
    }

    /// More of the configuration.
    pub(crate) fn text(mut self, text: &str) -> Setup {
        self.config.push_str(&format!("\n{text}\n"));
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets a command start it, such as `env`, that ends by being it.
    pub(crate) fn under(mut self, command: &[&str]) -> Setup {
        self.under = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Its log goes into a pipe that is full from the beginning, and that nobody reads before [`Bridge::read_log`].
    pub(crate) fn unread_log(mut self) -> Setup {
        self.stderr = Stderr::Full;
        self
    }

    /// Its log goes into this file, or device.
    pub(crate) fn log_into(mut self, path: &Path) -> Setup {
        self.stderr = Stderr::File(path.to_owned());
        self
    }

    /// Asks it with this client: for listeners with TLS.
    pub(crate) fn client(mut self, client: Client) -> Setup {
        self.client = Some(client);
        self
    }

    /// Starts it; returns as soon as it says that it lives.
    pub(crate) async fn start(self) -> Bridge {
        self.start_until("/livez").await
    }

    /// Starts it; returns as soon as it says that it is ready.
    pub(crate) async fn start_ready(self) -> Bridge {
        self.start_until("/readyz").await
    }

    /// Starts it, which it may not survive.
    pub(crate) async fn start_or_end(self) -> Bridge {
        let mut bridge = self.spawn();
        bridge.until("/livez").await;
        bridge
    }

    async fn start_until(self, path: &str) -> Bridge {
        for _ in 0..5 {
            let mut bridge = self.spawn();
            let ended = bridge.until(path).await;
            let Some(status) = ended else { return bridge };
            bridge.log.finish();
            let log = bridge.log();
            assert!(log.to_lowercase().contains("in use"), "hookbus ended with {status}:\n{log}");
        }
        panic!("hookbus: five ports were taken");
    }

    fn spawn(&self) -> Bridge {
        let folder = tempfile::tempdir().unwrap();
        let (http, admin) = (ports::free(), ports::free());
        let file = folder.path().join("hookbus.toml");
        std::fs::write(&file, self.whole(http, admin)).unwrap();
        let log = Arc::default();
        let (process, log) = self.launch(folder.path(), log);
        let client = self.client.clone().unwrap_or_else(Client::new);
        Bridge { process, http, admin, log, client, setup: self.clone(), folder }
    }

    /// Runs it in its folder; what it writes is added to the log.
    fn launch(&self, folder: &Path, log: Arc<Mutex<Vec<u8>>>) -> (Process, Log) {
        let mut unread = None;
        let stderr = match &self.stderr {
            Stderr::Read => Stdio::piped(),
            Stderr::Full => {
                let (reader, writer) = process::full_pipe();
                unread = Some(reader);
                writer.into()
            }
            Stderr::File(path) => File::options().append(true).open(path).unwrap().into(),
        };
        let mut command = program();
        if let [under, words @ ..] = self.under.as_slice() {
            let hookbus = command.get_program().to_owned();
            command = Command::new(under);
            command.args(words).arg(hookbus);
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(folder.join("hookbus.toml"))
            .current_dir(folder)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut process = Process::start(&mut command, Some(folder));
        let mut log = Log { text: log, unread, reader: None };
        if let Some(pipe) = process.child().stderr.take() {
            log.read(pipe);
        }
        (process, log)
    }

    fn whole(&self, http: u16, admin: u16) -> String {
        let mut text = self.config.clone();
        let mut put = |place: &str, section: &str, value: &str| {
            if text.contains(place) {
                text = text.replace(place, value);
            } else {
                text.push_str(&format!("\n{section}\n").replace(place, value));
            }
        };
        put("{http}", "[http]\nlisten = \"{http}\"", &format!("127.0.0.1:{http}"));
        put("{admin}", "[admin]\nlisten = \"{admin}\"", &format!("127.0.0.1:{admin}"));
        if let Some(url) = &self.nats {
            put("{nats}", "[nats]\nservers = [\"{nats}\"]", url);
        }
        if let Some(bootstrap) = &self.kafka {
            put("{kafka}", "[kafka]\nbrokers = [\"{kafka}\"]", bootstrap);
        }
        text
    }
}

impl Bridge {
    pub(crate) fn config(text: impl Display) -> Setup {
        Setup {
            config: text.to_string(),
            nats: None,
            kafka: None,
            environment: Vec::new(),
            under: Vec::new(),
            client: None,
            stderr: Stderr::Read,
        }
    }

    /// Writes another configuration into its file, with the same addresses. It isn't told.
    pub(crate) fn configure(&mut self, text: &str) {
        self.setup.config = text.to_owned();
        let file = self.folder.path().join("hookbus.toml");
        std::fs::write(file, self.setup.whole(self.http, self.admin)).unwrap();
    }

    /// Starts it again in the same folder, on the same ports; kills it first where it still runs. Returns as soon as
    /// it says that it lives.
    pub(crate) async fn restart(&mut self) {
        let ended = self.restart_or_end().await;
        assert!(ended.is_none(), "hookbus ended with {ended:?}:\n{}", self.log());
    }

    /// The same, which it may not survive.
    pub(crate) async fn restart_or_end(&mut self) -> Option<ExitStatus> {
        self.kill();
        let (process, log) = self.setup.launch(self.folder.path(), self.log.text.clone());
        (self.process, self.log) = (process, log);
        self.until("/livez").await
    }

    /// Whether it runs no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Waits until its admin listener says 200, or it has ended.
    async fn until(&mut self, path: &str) -> Option<ExitStatus> {
        let url = self.admin_url(path);
        eventually(&format!("200 from {path}"), START, async || {
            if let Some(status) = self.process.ended() {
                return Some(Some(status));
            }
            matches!(self.client.try_get(&url).await, Ok(answer) if answer.status == 200)
                .then_some(None)
        })
        .await
    }

    /// `host:port` of the public listener.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme("[http.tls]"), self.http)
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme("[admin.tls]"), self.admin)
    }

    /// With this section a listener speaks TLS.
    fn scheme(&self, section: &str) -> &'static str {
        if self.setup.config.contains(section) { "https" } else { "http" }
    }

    /// `host:port` of the admin listener.
    pub(crate) fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    /// The client of this test, for requests of any kind.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Posts to the public listener.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.client.post(&self.url(path), body, headers).await
    }

    /// Asks the admin listener.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        self.client.get(&self.admin_url(path)).await
    }

    /// Waits until `/readyz` says this.
    pub(crate) async fn readiness(&self, text: &str) -> Answer {
        eventually(&format!("`{text}` in /readyz"), RECOVERY, async || {
            let ready = self.admin("/readyz").await;
            ready.text().contains(text).then_some(ready)
        })
        .await
    }

    /// The sum of the metrics whose lines begin so: a name, or a name with its first labels
    /// (`hookbus_webhooks_total{endpoint="vapi"`). There may be none, but the name has to exist.
    pub(crate) async fn metric(&self, start: &str) -> f64 {
        let answer = self.admin("/metrics").await;
        let name = start.split('{').next().unwrap_or_default();
        assert!(is_metric(name), "there is no metric {name}");
        let lines = answer.text().lines().filter(|line| {
            let rest = line.strip_prefix(start);
            rest.is_some_and(|rest| {
                !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
            })
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until the log holds this text: it is read from a pipe, a moment after it was written.
    pub(crate) async fn logs(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), Duration::from_secs(10), async || {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Reads from now on what nobody read before.
    pub(crate) fn read_log(&mut self) {
        let pipe = self.log.unread.take().expect("a log that nobody reads");
        self.log.read(pipe);
    }

    /// Everything it has written to standard error.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.text.lock().unwrap()).into_owned()
    }

    /// Its working directory, which holds its configuration.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for its end, a minute at most.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let limit = Duration::from_secs(60);
        let status = self.process.wait(limit).await.expect("hookbus ends within a minute");
        self.log.finish();
        status
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        self.log.finish();
    }

    /// What it holds in memory of its own: without the pages of its executable, which are 40 MB in a debug build (Linux).
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// What it has in memory now (Linux).
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most it ever had in memory (Linux).
    pub(crate) fn peak_rss_bytes(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("a process of Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The time that it computed, its own and the kernel's for it, in clock ticks of 10 ms (Linux).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))
            .expect("a process of Linux");
        // The name in parentheses may hold blanks: fields are counted from behind it.
        let fields: Vec<&str> =
            text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

/// Whether a sample may be called so. Of what never happened nothing is shown, but the documentation names it.
pub(crate) fn is_metric(name: &str) -> bool {
    const DOCUMENTATION: &str = include_str!("../../docs/operations.md");
    DOCUMENTATION.lines().any(|line| {
        let cells: Vec<_> = line.splitn(4, '|').map(str::trim).collect();
        let ["", of, _, what] = cells[..] else { return false };
        let of = of.trim_matches('`');
        name.strip_prefix(of).is_some_and(|ending| match what.starts_with("histogram") {
            true => ["_count", "_sum", "_bucket"].contains(&ending),
            false => ending.is_empty(),
        })
    })
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.kill();
            eprintln!("hookbus wrote:\n{}", self.log());
        }
    }
}

/// Standard error, read all the time, so that a full pipe never holds the bridge up.
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    /// What isn't read.
    unread: Option<PipeReader>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Log {
    /// What comes is added to the text.
    fn read(&mut self, mut pipe: impl Read + Send + 'static) {
        let buffer = self.text.clone();
        self.reader = Some(std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                buffer.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        }));
    }

    /// Waits for the last of it, once the bridge has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
