//! What providers give their users, as processes that sign and verify (`sdk.py`, `sdk.mjs`).

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::{missing, project, tool};

/// One package loads in seconds, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that answers line by line.
pub(super) struct Sdk {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A signed request.
#[derive(Debug, Deserialize)]
pub(super) struct Signed {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) url: String,
}

impl Sdk {
    pub(super) fn python() -> Option<Self> {
        let python = tool("sdks/python/bin/python");
        if !tool("sdks/python/requirements.txt").exists() {
            missing("the SDKs of providers in Python (run: make tools)");
            return None;
        }
        let mut command = Command::new(python);
        command.arg(project().join("tests/end_to_end/providers/sdk.py"));
        Some(Self::start(command))
    }

    pub(super) fn node() -> Option<Self> {
        if !tool("sdks/node/installed.json").exists() {
            missing("the SDKs of providers in JavaScript (run: make tools)");
            return None;
        }
        let mut command = Command::new("node");
        command.current_dir(tool("sdks/node"));
        command.args(["--input-type=module", "--eval", include_str!("sdk.mjs")]);
        Some(Self::start(command))
    }

    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = process.stdin.take().expect("a pipe");
        let stdout = process.stdout.take().expect("a pipe");
        Self { _process: process, stdin, lines: BufReader::new(stdout).lines() }
    }

    async fn ask(&mut self, question: &Value) -> Value {
        self.stdin.write_all(format!("{question}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("an answer in time").unwrap().expect("a line");
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer.get("error"), None, "{question}");
        answer
    }

    /// The headers that the provider's package makes, and the URL that it posts to then.
    pub(super) async fn sign(&mut self, by: &str, secret: &str, url: &str, body: &str) -> Signed {
        let question =
            json!({"do": "sign", "provider": by, "secret": secret, "url": url, "body": body});
        serde_json::from_value(self.ask(&question).await).unwrap()
    }

    /// Whether the provider's package accepts a request.
    pub(super) async fn accepts(
        &mut self,
        by: &str,
        secret: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &str,
    ) -> bool {
        let question = json!({
            "do": "verify", "provider": by, "secret": secret, "url": url, "body": body, "headers": headers,
        });
        self.ask(&question).await["accepts"].as_bool().unwrap()
    }

    /// The verbs of an answer to Twilio.
    pub(super) async fn twiml(&mut self, body: &str) -> Vec<(String, Option<String>)> {
        let answer = self.ask(&json!({"do": "twiml", "body": body})).await;
        serde_json::from_value(answer["verbs"].clone()).unwrap()
    }

    /// GitHub's own examples: the event of each, and its body.
    pub(super) async fn payloads(&mut self) -> Vec<(String, String)> {
        #[derive(Deserialize)]
        struct Payload {
            name: String,
            body: String,
        }
        let answer = self.ask(&json!({"do": "payloads"})).await;
        let all: Vec<Payload> = serde_json::from_value(answer["payloads"].clone()).unwrap();
        all.into_iter().map(|payload| (payload.name, payload.body)).collect()
    }
}
