//! `answer`: any program as a worker. The built binary, a real server, real programs.

mod each;
mod lines;
mod limits;
mod offer;
mod stop;

use crate::support::bridge::program;
use crate::support::process::Program;
use crate::support::{Nats, eventually};
use async_nats::{HeaderMap, HeaderValue, Message};
use hookbus::nats::header::insert;
use serde_json::{Value, json};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `hookbus answer`, in a folder of its own.
pub(crate) struct Answer {
    program: Program,
    pub(crate) folder: tempfile::TempDir,
}

impl Answer {
    /// Started, and ready to be asked.
    pub(crate) async fn ready(nats: &Nats, arguments: &[&str]) -> Answer {
        let url = nats.url();
        let (options, command) = split(arguments);
        let mut all = vec!["--server", &url];
        all.extend(options);
        all.extend(command);
        let mut answer = Answer::start(tempfile::tempdir().unwrap(), &all);
        answer.said("hookbus answer is ready").await;
        answer
    }

    /// Started, with these arguments and no others.
    pub(crate) fn start(folder: tempfile::TempDir, arguments: &[&str]) -> Answer {
        Answer::start_with(folder, arguments, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(
        folder: tempfile::TempDir,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Answer {
        let mut command = program();
        command
            .arg("answer")
            .args(arguments)
            .current_dir(folder.path())
            .env("HOOKBUS_KEY", "of somebody else")
            .envs(environment.iter().copied());
        Answer { program: Program::start(&mut command), folder }
    }

    /// What a program has written into this file of its folder, once it is there and whole lines.
    async fn file(&self, name: &str) -> String {
        eventually(name, PATIENCE, async || {
            let text = std::fs::read_to_string(self.folder.path().join(name)).ok()?;
            text.ends_with('\n').then_some(text)
        })
        .await
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    /// SIGTERM, and its end with 0.
    async fn stop(mut self) -> String {
        self.process.signal("TERM");
        self.end(0).await
    }
}

impl Deref for Answer {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl DerefMut for Answer {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

/// The options, and the command with its `--`.
fn split<'a>(arguments: &'a [&'a str]) -> (&'a [&'a str], &'a [&'a str]) {
    let end = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
    arguments.split_at(end)
}

/// The payload of a tool call.
fn call(name: &str, arguments: Value) -> Value {
    json!({ "id": "call_1", "name": name, "arguments": arguments, "call": { "id": "c-1" } })
}

/// The headers of a question that has so much time.
fn headers(left: Duration) -> HeaderMap {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("Hookbus-Id", "delivery-1".to_owned()),
        ("Hookbus-Endpoint", "vapi".to_owned()),
        ("Hookbus-Type", "tool-calls".to_owned()),
        ("Hookbus-Deadline", deadline.as_millis().to_string()),
        ("Hookbus-Timeout-Ms", left.as_millis().to_string()),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    ] {
        insert(&mut headers, name, value.parse().unwrap());
    }
    headers
}

/// Asks as the bridge does; nothing when no reply came within its time and a bit.
async fn ask_within(
    client: &async_nats::Client,
    function: &str,
    arguments: Value,
    left: Duration,
) -> Result<Message, async_nats::RequestErrorKind> {
    let request = async_nats::Request::new()
        .headers(headers(left))
        .payload(call(function, arguments).to_string().into())
        .timeout(Some(left + Duration::from_millis(300)));
    let subject = format!("vapi.tool.{function}");
    client.send_request(subject, request).await.map_err(|error| error.kind())
}

pub(crate) async fn ask(client: &async_nats::Client, function: &str, arguments: Value) -> Message {
    ask_within(client, function, arguments, PATIENCE).await.unwrap()
}

pub(crate) fn text(message: &Message) -> &str {
    assert_eq!(error(message), ("", ""), "{:?}", message.headers);
    // One that fills the message has no room for the name.
    if let Some(headers) = &message.headers {
        let worker = headers.get("Hookbus-Worker").map(HeaderValue::as_str);
        assert!(worker.is_some_and(|name| name.starts_with("hookbus-answer (")), "{headers:?}");
        assert_eq!(headers.len(), 1, "{headers:?}");
    }
    std::str::from_utf8(&message.payload).unwrap()
}

/// The code and the text of an error.
fn error(message: &Message) -> (&str, &str) {
    let headers = message.headers.as_ref();
    let header = |name| headers.and_then(|all| all.get(name)).map_or("", HeaderValue::as_str);
    (header("Nats-Service-Error-Code"), header("Nats-Service-Error"))
}

fn is_alive(process: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat"));
    // One that has ended may wait for whoever inherited it.
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

async fn gone(processes: &str) {
    assert!(!processes.trim().is_empty());
    for process in processes.split_whitespace() {
        let what = format!("the end of {process}");
        eventually(&what, PATIENCE, async || (!is_alive(process)).then_some(())).await;
    }
}
