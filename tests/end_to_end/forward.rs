//! `forward`: an HTTP server as consumer and worker. The built binary, a real nats-server, a real server in Python.

mod events;
mod faults;
mod handlers;
mod kafka;
mod parts;
mod picked;
mod questions;
mod refused;
mod restarts;
mod streams;

use crate::support::bridge::program;
use crate::support::process::{Process, Program};
use crate::support::{Nats, eventually, missing, project, tool};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A running `hookbus forward`.
pub(crate) struct Forward(Program);

impl Forward {
    /// Started, with these arguments and no others.
    pub(crate) fn start(arguments: &[&str]) -> Forward {
        let mut command = program();
        command.arg("forward").args(arguments).current_dir(std::env::temp_dir());
        Forward(Program::start(&mut command))
    }

    /// Posts the events of a server, and is ready for them.
    pub(crate) async fn events(nats: &Nats, to: &str, arguments: &[&str]) -> Forward {
        let url = nats.url();
        let mut all = vec!["--server", &url, "--only", "events", "--to", to];
        all.extend(arguments);
        let mut forward = Forward::start(&all);
        forward.said("events from stream").await;
        forward
    }

    /// Answers questions, and is ready for them.
    pub(crate) async fn questions(nats: &Nats, to: &str, arguments: &[&str]) -> Forward {
        let url = nats.url();
        let mut all = vec!["--server", &url, "--only", "questions", "--to", to];
        all.extend(arguments);
        let mut forward = Forward::start(&all);
        forward.said("hookbus forward is ready").await;
        forward
    }

    /// SIGINT, and its end with 0.
    pub(crate) async fn stop(&mut self) -> String {
        self.process.signal("INT");
        self.end(0).await
    }
}

impl Deref for Forward {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}

impl DerefMut for Forward {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.0
    }
}

/// A running `server.py`.
pub(crate) struct Server {
    process: Process,
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    came: Arc<AtomicUsize>,
}

/// A request that the server has answered, or given up.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    headers: Value,
    pub(crate) body: String,
    pub(crate) begun: f64,
    pub(crate) ended: f64,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers[name].as_str()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    pub(crate) fn start() -> Option<Server> {
        Server::start_at(0, Arc::default())
    }

    fn start_at(port: u16, requests: Arc<Mutex<Vec<Request>>>) -> Option<Server> {
        let python = tool("python/bin/python");
        if !python.exists() {
            missing("the Python environment (run: make tools)");
            return None;
        }
        let mut command = Command::new(python);
        command
            .arg(project().join("tests/end_to_end/forward/server.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command, None);
        let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next()?.ok()?).unwrap();
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let (heard, came) = (requests.clone(), Arc::<AtomicUsize>::default());
        let counted = came.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line == "came" {
                    counted.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let mut line: Value = serde_json::from_str(&line).unwrap();
                heard.lock().unwrap().push(Request {
                    headers: line["headers"].take(),
                    body: line["body"].as_str().unwrap().to_owned(),
                    begun: line["begun"].as_f64().unwrap(),
                    ended: line["ended"].as_f64().unwrap(),
                });
            }
        });
        Some(Server { process, port, requests, came })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// The same server again, at the same address.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let again = eventually("the port", PATIENCE, async || {
            Server::start_at(self.port, self.requests.clone())
        });
        let again = again.await;
        (self.process, self.came) = (again.process, again.came);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests came since it was started, answered or not.
    pub(crate) async fn asked(&self, count: usize) {
        eventually(&format!("{count} requests that came"), PATIENCE, async || {
            (self.came.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }

    /// Waits for so many requests.
    pub(crate) async fn heard(&self, count: usize) -> Vec<Request> {
        eventually(&format!("{count} requests"), PATIENCE, async || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
        .await
    }
}
