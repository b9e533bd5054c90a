//! Handlers that were written for Vapi, behind `forward` as they are: in FastAPI with the models of its SDK, in Express, and in
//! TypeScript with the types of its SDK.

use super::{Forward, PATIENCE};
use crate::docs::block;
use crate::support::process::Process;
use crate::support::{Bridge, Nats, endpoint, eventually, missing, project, tool};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A handler that prints the port that it listens on.
struct Handler {
    _process: Process,
    port: u16,
}

impl Handler {
    fn start(command: &mut Command) -> Handler {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(command, None);
        let mut line = String::new();
        let stdout = process.child().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Handler { _process: process, port: line.trim().parse().expect("a port") }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.port)
    }
}

/// What Vapi gets from a handler by way of the bridge.
async fn answers(handler: &Handler) {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("VAPI", &["vapi.events.>"]).await;
    let url = nats.url();
    let mut forward = Forward::start(&["--server", &url, "--to", &handler.url()]);
    forward.said("hookbus forward is ready").await;
    forward.said("events from stream").await;
    let bridge = Bridge::config(endpoint("vapi")).nats(&nats).start_ready().await;
    let call = |id: &str, name: &str| {
        let function = json!({ "name": name, "arguments": {"city": "Oslo"} });
        json!({ "id": id, "type": "function", "function": function })
    };
    let calls = [call("call_1", "get_weather"), call("call_2", "unknown")];
    let body = json!({ "message": {"type": "tool-calls", "toolCallList": calls} });
    let reply = bridge.post("/vapi", body.to_string(), &[]).await;
    assert_eq!(
        reply.json(),
        json!({ "results": [
            { "name": "get_weather", "toolCallId": "call_1", "result": "It is sunny in Oslo." },
            { "name": "unknown", "toolCallId": "call_2", "error": "there is no unknown" },
        ]})
    );
    let body = json!({ "message": {"type": "assistant-request", "call": {"id": "c-1"}} });
    let reply = bridge.post("/vapi", body.to_string(), &[]).await;
    assert_eq!(reply.json(), json!({ "assistantId": "a-1" }));
    let body = json!({ "message": {"type": "end-of-call-report", "call": {"id": "c-1"}} });
    bridge.post("/vapi", body.to_string(), &[]).await;
    eventually("the event", PATIENCE, async || {
        let log = forward.log();
        let line = log.lines().find(|line| line.contains("end-of-call-report"))?;
        line.contains("  200  ").then_some(())
    })
    .await;
    forward.stop().await;
}

#[tokio::test]
async fn a_handler_in_fastapi_with_the_sdk() {
    let python = tool("python/bin/python");
    let has_fastapi = Command::new(&python).args(["-c", "import fastapi, uvicorn"]).output();
    if !has_fastapi.is_ok_and(|ended| ended.status.success()) {
        return missing("FastAPI in the Python environment (run: make tools)");
    }
    let script = project().join("tests/end_to_end/forward/handler.py");
    answers(&Handler::start(Command::new(python).arg(script))).await;
}

#[tokio::test]
async fn a_handler_in_express() {
    let modules = tool("sdks/node");
    if !modules.join("node_modules/express").exists() {
        return missing("Express among the SDKs (run: make tools)");
    }
    // Its modules are found beside it, and nowhere else.
    let text = std::fs::read_to_string(project().join("tests/end_to_end/forward/handler.mjs"));
    let mut command = Command::new("node");
    command.current_dir(modules).args(["--input-type=module", "--eval", &text.unwrap()]);
    answers(&Handler::start(&mut command)).await;
}

#[tokio::test]
async fn a_handler_in_typescript_with_the_sdk() {
    let (modules, compiler) =
        (tool("sdks/node/node_modules"), tool("browser/node_modules/.bin/tsc"));
    if !modules.join("@vapi-ai/server-sdk").exists() || !compiler.exists() {
        return missing("Vapi's server SDK and TypeScript (run: make tools)");
    }
    // Beside its modules, where both the compiler and Node look for them.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let source = project().join("tests/end_to_end/forward/handler.mts");
    std::fs::copy(source, folder.path().join("handler.mts")).unwrap();
    let shown = block("docs/forward.md", "ts", "@vapi-ai/server-sdk");
    std::fs::write(folder.path().join("shown.mts"), shown).unwrap();
    let compiled = Command::new(compiler)
        .current_dir(&folder)
        .args(["--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"])
        .args(["--types", "node", "handler.mts", "shown.mts"])
        .output()
        .unwrap();
    let problems = String::from_utf8_lossy(&compiled.stdout);
    assert!(compiled.status.success(), "the types don't fit:\n{problems}");
    answers(&Handler::start(Command::new("node").current_dir(&folder).arg("handler.mjs"))).await;
}
