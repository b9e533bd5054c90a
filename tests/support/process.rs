//! Child processes: those that run never outlive the tests, not even when these are killed; and those that just end.

use super::eventually;
use std::io::{PipeReader, PipeWriter, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

/// How long a program may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// Holds the pipe's reading end: a line means that the child has ended, the end of the pipe that the tests are gone.
const WATCHDOG: &str = r#"trap '' HUP INT TERM
read -r _ || { kill -9 "$1"; [ -z "$2" ] || { sleep 0.5; rm -rf "$2"; }; }"#;

pub(crate) struct Process {
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts it. `folder` is removed too if these tests die without dropping anything.
    pub(crate) fn start(command: &mut Command, folder: Option<&Path>) -> Process {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string()])
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        Process { child, watchdog }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }

    /// Sends a signal by name, such as `TERM`; nothing when it has ended.
    pub(crate) fn signal(&mut self, name: &str) {
        if self.ended().is_none() {
            let status =
                Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
            assert!(status.expect("sh").success(), "kill -{name}");
        }
        if name == "STOP" {
            // The signal is sent, but a thread of it may still be answering on another core.
            let deadline = Instant::now() + Duration::from_secs(5);
            while !self.is_stopped() {
                assert!(Instant::now() < deadline, "it goes on in spite of SIGSTOP");
                std::thread::yield_now();
            }
        }
    }

    /// Whether every thread of it has stopped, as the kernel says.
    fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.id())) else {
            return true;
        };
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes the watchdog's pipe, as the end of these tests does.
    pub(crate) fn abandon(&mut self) {
        drop(self.watchdog.stdin.take());
    }

    /// Waits until it ends; `None` when it doesn't within `limit`.
    pub(crate) async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.ended();
            if status.is_some() || Instant::now() > deadline {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            let _ = pipe.write_all(b"ended\n");
        }
        let _ = self.watchdog.wait();
    }
}

/// A program that runs, and what it has written so far.
pub(crate) struct Program {
    pub(crate) process: Process,
    stdout: Gathered,
    stderr: Gathered,
}

/// What comes out of a pipe, and the thread that reads it to its end.
struct Gathered(Arc<Mutex<Vec<u8>>>, JoinHandle<()>);

impl Program {
    /// Starts it, with nothing on its standard input.
    pub(crate) fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(command, None);
        let stdout = gather(process.child().stdout.take().expect("a pipe"));
        let stderr = gather(process.child().stderr.take().expect("a pipe"));
        Program { process, stdout, stderr }
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// What it wrote to standard output.
    pub(crate) fn output(&self) -> String {
        self.stdout.text()
    }

    /// Waits until its log has a whole line with this.
    pub(crate) async fn said(&mut self, text: &str) {
        eventually(&format!("`{text}`"), PATIENCE, async || {
            let is_over = self.process.ended().is_some() && self.stderr.1.is_finished();
            let log = self.log();
            let is_said =
                log.split_inclusive('\n').any(|line| line.ends_with('\n') && line.contains(text));
            assert!(!is_over || is_said, "it ended:\n{log}");
            is_said.then_some(())
        })
        .await;
    }

    /// Its lines on standard output, once there are so many whole ones.
    pub(crate) async fn lines(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines"), PATIENCE, async || {
            let output = self.output();
            let whole = output.rfind('\n').map_or("", |end| &output[..end]);
            let lines: Vec<_> = whole.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// Its end.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        self.process.wait(PATIENCE).await.expect("an end")
    }

    /// Its end with this code, and what it has said.
    pub(crate) async fn end(&mut self, code: i32) -> String {
        let status = self.ends().await;
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.log()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program wrote:\n{}{}", self.output(), self.log());
        }
    }
}

impl Gathered {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

fn gather(mut pipe: impl Read + Send + 'static) -> Gathered {
    let gathered: Arc<Mutex<Vec<u8>>> = Arc::default();
    let buffer = gathered.clone();
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            buffer.lock().unwrap().extend_from_slice(&chunk[..length]);
        }
    });
    Gathered(gathered, reader)
}

/// A pipe that takes nothing more until somebody reads it: whoever writes to it waits.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
    writer.write_all(&vec![b'\n'; size]).unwrap();
    (reader, writer)
}

/// What a command left when it had ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; `None` for the end by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end, for at most a minute.
pub(crate) async fn output(mut command: tokio::process::Command, stdin: &[u8]) -> Output {
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    let feed = async move {
        // It may end without reading.
        let _ = pipe.write_all(stdin).await;
    };
    let work = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(Duration::from_secs(60), work).await;
    let output = output.expect("it ends within a minute").unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
