//! An OpenTelemetry collector that hands on, as JSON, what it is sent; and a receiver of that, which may stand in for a
//! collector that does as a test says.

use super::certificates::Identity;
use super::process::Process;
use super::{eventually, missing, ports, tool};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Collector {
    process: Process,
    has_tls: bool,
    grpc: u16,
    http: u16,
    receiver: Receiver,
    _folder: tempfile::TempDir,
}

/// What an HTTP server got at `/v1/…`.
pub(crate) struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Export>>>,
    task: JoinHandle<()>,
}

/// One export.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// `traces`, `metrics` or `logs`.
    pub(crate) signal: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One span, as OTLP in JSON has it.
#[derive(Debug, Clone)]
pub(crate) struct Span(Value);

impl Collector {
    /// Nothing when it isn't on this machine.
    pub(crate) async fn start() -> Option<Collector> {
        Collector::start_as(None).await
    }

    /// The same with TLS, if it has a certificate.
    pub(crate) async fn start_as(identity: Option<&Identity>) -> Option<Collector> {
        let program = tool("otelcol");
        if !program.exists() {
            missing("otelcol (run: make tools)");
            return None;
        }
        let receiver = Receiver::start(StatusCode::OK).await;
        let folder = tempfile::tempdir().unwrap();
        let (grpc, http) = (ports::free(), ports::free());
        let file = folder.path().join("collector.yaml");
        let tls = identity.map_or_else(String::new, |Identity { cert, key }| {
            format!(", tls: {{cert_file: {cert:?}, key_file: {key:?}}}")
        });
        let pipeline = "{receivers: [otlp], exporters: [otlp_http]}";
        let text = format!(
            "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: \"127.0.0.1:{grpc}\"{tls}}}\n      \
             http: {{endpoint: \"127.0.0.1:{http}\"{tls}}}\n\
             exporters:\n  otlp_http:\n    endpoint: \"{}\"\n    encoding: json\n    compression: none\n    \
             sending_queue: {{enabled: false}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    traces: {pipeline}\n    \
             metrics: {pipeline}\n    logs: {pipeline}\n",
            receiver.url(),
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(&file).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command, Some(folder.path()));
        for port in [grpc, http] {
            eventually("an open port of the collector", SOON, async || {
                TcpStream::connect(("127.0.0.1", port)).await.ok()
            })
            .await;
        }
        let has_tls = identity.is_some();
        Some(Collector { process, has_tls, grpc, http, receiver, _folder: folder })
    }

    /// Its address for a protocol.
    pub(crate) fn url(&self, protocol: &str) -> String {
        let port = if protocol == "grpc" { self.grpc } else { self.http };
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// What it has handed on.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }
}

impl Receiver {
    /// It answers everything with this status.
    pub(crate) async fn start(status: StatusCode) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<Export>>>::default();
        let take = async move |Path(signal): Path<String>,
                               State(received): State<Arc<Mutex<Vec<Export>>>>,
                               headers: HeaderMap,
                               body: Bytes| {
            received.lock().unwrap().push(Export { signal, headers, body });
            status
        };
        let router = Router::new().route("/v1/{signal}", post(take)).with_state(received.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { port, received, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn exports(&self) -> Vec<Export> {
        self.received.lock().unwrap().clone()
    }

    /// All items of a signal that came as JSON: spans, log records, metrics.
    pub(crate) fn items(&self, signal: &str) -> Vec<Value> {
        let (resources, scopes, items) = match signal {
            "traces" => ("resourceSpans", "scopeSpans", "spans"),
            "logs" => ("resourceLogs", "scopeLogs", "logRecords"),
            _ => ("resourceMetrics", "scopeMetrics", "metrics"),
        };
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let exports = self.exports().into_iter().filter(|export| export.signal == signal);
        let bodies = exports.map(|export| serde_json::from_slice::<Value>(&export.body).unwrap());
        let resources = bodies.flat_map(|body| list(&body, resources));
        let scopes = resources.flat_map(|resource| list(&resource, scopes));
        scopes.flat_map(|scope| list(&scope, items)).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.items("traces").into_iter().map(Span).collect()
    }

    /// Waits for a span of this name, in this trace where one is named.
    pub(crate) async fn span(&self, name: &str, trace: Option<&str>) -> Span {
        eventually(&format!("the span `{name}`"), SOON, async || {
            let is_it = |span: &Span| {
                span.name() == name && trace.is_none_or(|trace| span.trace() == trace)
            };
            self.spans().into_iter().find(is_it)
        })
        .await
    }

    /// Waits for an item of a signal.
    pub(crate) async fn item(&self, signal: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("one of the {signal}"), SOON, async || {
            self.items(signal).into_iter().find(&is_it)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Span {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn trace(&self) -> &str {
        self.text("traceId")
    }

    pub(crate) fn id(&self) -> &str {
        self.text("spanId")
    }

    /// Empty for the first of a trace.
    pub(crate) fn parent(&self) -> &str {
        self.text("parentSpanId")
    }

    /// 2: server, 3: client, 4: producer.
    pub(crate) fn kind(&self) -> u64 {
        self.0["kind"].as_u64().unwrap_or_default()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// The header that goes on from here.
    pub(crate) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace(), self.id())
    }

    /// An attribute, as text.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.0, name)
    }
}

/// An attribute of anything, as text.
pub(crate) fn attribute(item: &Value, name: &str) -> Option<String> {
    let attributes = item["attributes"].as_array()?;
    let value = &attributes.iter().find(|attribute| attribute["key"] == name)?["value"];
    let (_, value) = value.as_object()?.iter().next()?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}
