//! What an OpenTelemetry collector gets, and that nothing waits for one.

mod metrics_and_logs;
mod outage;
mod sampling;
mod tree;

use crate::support::process::output;
use crate::support::{Bridge, Endpoint, endpoint, missing, project, tool};

/// The header of a sender that is in a trace, which is recorded.
const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";

/// `[telemetry.otlp]` for a collector there, with more keys.
fn otlp(url: &str, protocol: &str, keys: &str) -> String {
    format!("[telemetry.otlp]\nendpoint = \"{url}\"\nprotocol = \"{protocol}\"\n{keys}\n")
}

/// The sum of what was dropped.
async fn dropped(bridge: &Bridge, signal: &str) -> f64 {
    bridge.metric(&format!("hookbus_telemetry_dropped_total{{signal=\"{signal}\"")).await
}

/// An endpoint whose events go nowhere.
fn hook() -> Endpoint {
    endpoint("hook").events_to(&[])
}

#[tokio::test]
async fn the_collector_of_the_documentation_starts() {
    let program = tool("otelcol");
    if !program.exists() {
        return missing("otelcol (run: make tools)");
    }
    let file = project().join("deploy/otel/collector.yaml");
    let mut command = tokio::process::Command::new(program);
    command.arg("validate").arg("--config").arg(file);
    let output = output(command, b"").await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
}
