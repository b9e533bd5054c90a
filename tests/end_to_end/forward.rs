//! `forward`: an HTTP server as consumer and worker. The built binary, a real nats-server, a real server in Python.

mod events;
mod faults;
mod handlers;
mod kafka;
mod questions;
mod refused;

use crate::support::bridge::program;
use crate::support::process::Process;
use crate::support::{Nats, eventually, missing, project, tool};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A running `hookbus forward`.
pub(crate) struct Forward {
    pub(crate) process: Process,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Forward {
    /// Started, with these arguments and no others.
    pub(crate) fn start(arguments: &[&str]) -> Forward {
        let mut command = program();
        command
            .arg("forward")
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut command, None);
        let mut pipe = process.child().stderr.take().unwrap();
        let log: Arc<Mutex<Vec<u8>>> = Arc::default();
        let buffer = log.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                buffer.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Forward { process, log }
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

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// Waits until it has said this.
    pub(crate) async fn said(&mut self, text: &str) {
        eventually(&format!("`{text}`"), PATIENCE, async || {
            let log = self.log();
            assert!(self.process.ended().is_none() || log.contains(text), "it ended:\n{log}");
            log.contains(text).then_some(())
        })
        .await;
    }

    /// SIGINT, and its end with 0.
    pub(crate) async fn stop(&mut self) -> String {
        self.process.signal("INT");
        self.end(0).await
    }

    /// Its end with this code, and what it has said.
    pub(crate) async fn end(&mut self, code: i32) -> String {
        let status = self.process.wait(PATIENCE).await.expect("an end");
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.log()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("hookbus forward wrote:\n{}", self.log());
        }
    }
}

/// A running `server.py`.
pub(crate) struct Server {
    process: Process,
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
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
        let heard = requests.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut line: Value = serde_json::from_str(&line).unwrap();
                heard.lock().unwrap().push(Request {
                    headers: line["headers"].take(),
                    body: line["body"].as_str().unwrap().to_owned(),
                    begun: line["begun"].as_f64().unwrap(),
                    ended: line["ended"].as_f64().unwrap(),
                });
            }
        });
        Some(Server { process, port, requests })
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
        self.process = again.await.process;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
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
