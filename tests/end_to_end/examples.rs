//! The examples that users copy, as `deploy/tools/examples.sh` built them: workers and consumers made with clients
//! that know nothing of our code.

mod consumers;
mod jobs;
mod voice;
mod workers;

use crate::support::process::Process;
use crate::support::{eventually, missing, project};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Generous: a JVM starts beside other tests on a small machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One folder of `examples/`.
#[derive(Debug)]
struct Example {
    folder: &'static str,
    /// What is started there. The tools in front of it, such as npm, keep signals from it.
    command: &'static [&'static str],
    /// What is there once it is built.
    built: &'static str,
}

impl Example {
    /// Starts it; `None` where it isn't built.
    fn start(&self, environment: &[(&str, &str)]) -> Option<Running> {
        let folder = project().join("examples").join(self.folder);
        if !folder.join(self.built).exists() {
            missing(&format!("examples/{0} (run: deploy/tools/examples.sh {0})", self.folder));
            return None;
        }
        let mut command = Command::new(self.command[0]);
        command
            .args(&self.command[1..])
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut command, None);
        let printed = lines(process.child().stdout.take().expect("a pipe"));
        let logged = lines(process.child().stderr.take().expect("a pipe"));
        Some(Running { process, printed, logged })
    }
}

/// An example at work.
struct Running {
    process: Process,
    printed: Arc<Mutex<Vec<String>>>,
    logged: Arc<Mutex<Vec<String>>>,
}

impl Running {
    async fn ready(&mut self) {
        let what = "the example's line `ready`";
        let is_ready = eventually(what, PATIENCE, async || {
            let is_ready = |line: &String| line == "ready" || line.contains("is ready:");
            let said = self.printed().iter().chain(&self.logged()).any(is_ready);
            (said || self.process.ended().is_some()).then_some(said)
        });
        assert!(is_ready.await, "the example has ended");
    }

    /// Its lines on standard output.
    fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// Its lines on standard error.
    fn logged(&self) -> Vec<String> {
        self.logged.lock().unwrap().clone()
    }

    fn terminate(&mut self) {
        self.process.signal("TERM");
    }

    async fn ended(&mut self) -> ExitStatus {
        self.process.wait(PATIENCE).await.expect("it ends by SIGTERM")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process.kill();
            eprintln!("the example wrote:\n{}", self.logged().join("\n"));
        }
    }
}

/// The lines of a pipe as they come, read all the time, so that a full pipe holds nobody up.
fn lines(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let seen = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            seen.lock().unwrap().push(line);
        }
    });
    lines
}
