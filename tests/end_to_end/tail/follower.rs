//! The command, as it follows a bridge.

use crate::support::bridge::program;
use crate::support::process::Process;
use crate::support::{Bridge, eventually};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

pub(super) struct Follower {
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    /// Returns when it follows.
    pub(super) async fn start(bridge: &Bridge, arguments: &[&str]) -> Follower {
        let follower = Follower::begin(bridge, arguments, None);
        follower.hears("following").await;
        follower
    }

    pub(super) fn begin(bridge: &Bridge, arguments: &[&str], token: Option<&str>) -> Follower {
        let mut command = program();
        command
            .args(["tail", "--admin", &bridge.admin_url("")])
            .args(arguments)
            .envs(token.map(|token| ("HOOKBUS_ADMIN_TOKEN", token)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut command, None);
        let lines = gather(process.child().stdout.take().unwrap());
        let said = gather(process.child().stderr.take().unwrap());
        Follower { process, lines, said }
    }

    /// Waits until it says something like this.
    pub(super) async fn hears(&self, text: &str) {
        eventually(text, SOON, async || self.said().contains(text).then_some(())).await;
    }

    /// Everything that it said on standard error.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// The lines, once there are so many.
    pub(super) async fn lines(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines"), SOON, async || {
            let lines = self.lines.lock().unwrap();
            (lines.len() >= count).then(|| lines.clone())
        })
        .await
    }

    /// The same of JSON.
    pub(super) async fn json(&self, count: usize) -> Vec<Value> {
        let lines = self.lines(count).await;
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ctrl-C.
    pub(super) async fn interrupt(&mut self) -> ExitStatus {
        self.process.signal("INT");
        self.ends().await
    }

    pub(super) async fn ends(&mut self) -> ExitStatus {
        self.process.wait(SOON).await.expect("its end")
    }
}

fn gather(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let gathered = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            gathered.lock().unwrap().push(line);
        }
    });
    lines
}
