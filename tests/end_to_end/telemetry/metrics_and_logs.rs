//! Metrics under their names in `/metrics`, and what the log says; headers; exemplars.

use super::{SENT, TRACE, hook, otlp};
use crate::http::event;
use crate::support::collector::attribute;
use crate::support::{Bridge, Collector, Nats, Receiver, eventually};
use http::StatusCode;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_collector_gets_metrics_and_logs() {
    let (Some(nats), Some(collector)) = (Nats::start().await, Collector::start().await) else {
        return;
    };
    for protocol in ["grpc", "http"] {
        let resource = "metrics_interval = \"200ms\"\n[telemetry.otlp.resource]\n\
                        deployment.environment.name = \"test\"";
        let config = format!(
            "[log]\nlevel = \"debug\"\n{}{}",
            otlp(&collector.url(protocol), protocol, resource),
            hook()
        );
        let bridge = Bridge::config(config).nats(&nats).start_ready().await;
        let answer = bridge.post("/hook", event("1"), &[("traceparent", SENT)]).await;
        let id = answer.header("hookbus-id").unwrap();
        let receiver = collector.receiver();

        let line = receiver.item("logs", |line| attribute(line, "id").as_deref() == Some(id)).await;
        assert_eq!(
            (&line["body"]["stringValue"], &line["severityText"]),
            (&"webhook".into(), &"DEBUG".into())
        );
        assert_eq!(attribute(&line, "outcome").as_deref(), Some("dropped"));

        let labels = [("endpoint", "hook"), ("type", "status-update"), ("outcome", "dropped")];
        let is_it = |point: &Value| {
            let has = |(name, value)| attribute(point, name).as_deref() == Some(value);
            labels.into_iter().all(has) && point["asInt"] == "1"
        };
        receiver
            .item("metrics", |metric| {
                metric["name"] == "hookbus_webhooks_total"
                    && list(&metric["sum"]["dataPoints"]).iter().any(is_it)
            })
            .await;
        let process = receiver.item("metrics", |it| it["name"] == "process_open_fds").await;
        assert!(process["gauge"]["dataPoints"][0]["timeUnixNano"].is_string(), "{process}");

        // What was slow can be looked up, from here and from `/metrics`.
        let is_it = |point: &Value| point["exemplars"][0]["traceId"] == TRACE;
        let points = |metric: &Value| list(&metric["histogram"]["dataPoints"]);
        let seconds = receiver
            .item("metrics", |metric| {
                metric["name"] == "hookbus_webhook_seconds" && points(metric).iter().any(is_it)
            })
            .await;
        let point = points(&seconds).into_iter().find(is_it).unwrap();
        assert_eq!((&point["count"], list(&point["bucketCounts"]).len()), (&"1".into(), 33));
        let text = bridge.admin("/metrics").await.text().to_owned();
        let exemplar = format!("# {{trace_id=\"{TRACE}\",span_id=\"");
        assert!(text.contains(&exemplar), "{text}");
    }
}

/// Headers come from the environment, and what the collector refuses is counted, and said once.
#[tokio::test]
async fn what_is_refused_is_counted() {
    let receiver = Receiver::start(StatusCode::UNAUTHORIZED).await;
    let headers = "timeout = \"2s\"\n[telemetry.otlp.headers]\nauthorization = \"Bearer ${TOKEN}\"";
    let config = format!("{}{}", otlp(&receiver.url(), "http", headers), hook());
    let bridge = Bridge::config(config)
        .nats_at("nats://127.0.0.1:9")
        .environment("TOKEN", "hunter2")
        .start()
        .await;
    bridge.post("/hook", event("1"), &[]).await;
    eventually("a dropped span", SOON, async || {
        (super::dropped(&bridge, "traces").await >= 1.0).then_some(())
    })
    .await;
    bridge.logs("HTTP status 401").await;
    bridge.logs("look at `[telemetry.otlp.headers]`").await;
    let export = receiver.exports().into_iter().find(|export| export.signal == "traces").unwrap();
    assert_eq!(export.headers["authorization"], "Bearer hunter2");
    assert_eq!(export.headers["content-type"], "application/x-protobuf");
    assert!(!bridge.log().contains("hunter2"), "{}", bridge.log());
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
