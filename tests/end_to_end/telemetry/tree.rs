//! One trace from the sender to the worker's answer, and to what brokers keep.

use super::{SENDER, SENT, TRACE, hook, otlp};
use crate::http::{event, question, tool_calls};
use crate::support::certificates::quoted;
use crate::support::{
    Authority, Bridge, Collector, Nats, Question, Receiver, Reply, Worker, endpoint, eventually,
    kafka,
};
use serde_json::json;
use std::time::Duration;

/// What a worker with an SDK does: a span of its own, below the one that it was handed.
async fn work(bridge: &Bridge, collector: &Collector, question: &Question) {
    let handed: Vec<&str> = question.header("traceparent").unwrap().split('-').collect();
    let span = json!({
        "traceId": handed[1], "spanId": "abababababababab", "parentSpanId": handed[2],
        "name": "work", "kind": 2, "startTimeUnixNano": "1", "endTimeUnixNano": "2",
    });
    let message = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
    let url = format!("{}/v1/traces", collector.url("http"));
    let answer = bridge.client().post(&url, message, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_worker_works_below_the_sender() {
    let (Some(nats), Some(collector)) = (Nats::start().await, Collector::start().await) else {
        return;
    };
    let worker = Worker::start(&nats, "hook.tool.*", |_| {
        Reply::text("sunny").header("Hookbus-Worker", "weather-1")
    })
    .await;
    for protocol in ["grpc", "http"] {
        let receiver = collector.receiver();
        let trace = TRACE.replace("4b", if protocol == "grpc" { "4b" } else { "4c" });
        let sent = SENT.replace(TRACE, &trace);
        let config = format!(
            "{}{}",
            otlp(&collector.url(protocol), protocol, "sample_ratio = 0"),
            endpoint("hook").tables("[[endpoint.tool]]\nnames = [\"get_*\"]")
        );
        let bridge = Bridge::config(config).nats(&nats).start_ready().await;
        let headers = [("traceparent", sent.as_str()), ("tracestate", "vendor=1")];
        let answer = bridge.post("/hook", tool_calls(&["get_weather"]), &headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let asked = worker.questions().pop().unwrap();
        work(&bridge, &collector, &asked).await;

        let server = receiver.span("POST /hook", Some(&trace)).await;
        let ask = receiver.span("ask get_*", Some(&trace)).await;
        let work = receiver.span("work", Some(&trace)).await;
        assert_eq!(server.parent(), SENDER);
        assert_eq!((ask.parent(), work.parent()), (server.id(), ask.id()), "{protocol}");
        assert_eq!(asked.header("traceparent"), Some(&*ask.header()));
        assert_eq!(asked.header("tracestate"), Some("vendor=1"));
        assert_eq!((server.kind(), ask.kind()), (2, 3));
        assert!(!server.has_failed() && !ask.has_failed());
        for (name, value) in [
            ("http.request.method", "POST"),
            ("url.path", "/hook"),
            ("url.scheme", "http"),
            ("http.route", "/hook"),
            ("http.response.status_code", "200"),
            ("hookbus.endpoint", "hook"),
            ("hookbus.type", "tool-calls"),
            ("hookbus.outcome", "answered"),
            ("hookbus.id", answer.header("hookbus-id").unwrap()),
        ] {
            assert_eq!(server.attribute(name).as_deref(), Some(value), "{name}");
        }
        for (name, value) in [
            ("messaging.system", "nats"),
            ("messaging.operation.type", "send"),
            ("messaging.destination.name", "hook.tool.get_weather"),
            ("hookbus.function", "get_weather"),
            ("hookbus.type", "tool-calls"),
            ("hookbus.outcome", "answered"),
            ("hookbus.worker", "weather-1"),
        ] {
            assert_eq!(ask.attribute(name).as_deref(), Some(value), "{name}");
        }
    }
}

/// The span of storing an event, and of the request around it.
async fn stored(receiver: &Receiver, name: &str, trace: &str) -> String {
    let server = receiver.span("POST /hook", Some(trace)).await;
    let send = receiver.span(name, Some(trace)).await;
    assert_eq!((send.parent(), send.kind(), server.parent()), (server.id(), 4, SENDER));
    for (name, value) in [
        ("messaging.operation.type", "send"),
        ("messaging.operation.name", "send"),
        ("hookbus.receipt", "stored"),
        ("messaging.message.id", &*server.attribute("hookbus.id").unwrap()),
    ] {
        assert_eq!(send.attribute(name).as_deref(), Some(value), "{name}");
    }
    send.header()
}

#[tokio::test]
async fn events_are_stored_below_the_sender() {
    let (Some(nats), Some(kafka)) = (Nats::start().await, kafka::shared().await) else { return };
    let Some(collector) = Collector::start().await else { return };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    kafka.create_topic("traced", 1).await;
    let to = ["nats:hook.events.{type}", "kafka:traced"];
    let config =
        format!("{}{}", otlp(&collector.url("grpc"), "grpc", ""), endpoint("hook").events_to(&to));
    let bridge = Bridge::config(config).nats(&nats).kafka(kafka).start_ready().await;
    let answer = bridge.post("/hook", event("1"), &[("traceparent", SENT)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let receiver = collector.receiver();

    let on_nats = stored(receiver, "send hook.events.{type}", TRACE).await;
    let message = &nats.messages("EVENTS", 1).await[0];
    assert_eq!(message.header("traceparent"), Some(&*on_nats));
    let span = receiver.span("send hook.events.{type}", Some(TRACE)).await;
    assert_eq!(span.attribute("messaging.system").as_deref(), Some("nats"));
    let name = span.attribute("messaging.destination.name");
    assert_eq!(name.as_deref(), Some("hook.events.status-update"));
    let template = span.attribute("messaging.destination.template");
    assert_eq!(template.as_deref(), Some("hook.events.{type}"));

    let on_kafka = stored(receiver, "send traced", TRACE).await;
    let record = &kafka.records("traced", 1).await[0];
    assert_eq!(record.header("traceparent"), Some(&*on_kafka));
    let span = receiver.span("send traced", Some(TRACE)).await;
    assert_eq!(span.attribute("messaging.system").as_deref(), Some("kafka"));
    assert_eq!(span.attribute("messaging.destination.name").as_deref(), Some("traced"));
    assert_ne!(on_nats, on_kafka, "each is a span of its own");
}

/// A question that nobody answers, a job that is stored, a request that is refused.
#[tokio::test]
async fn failures_and_jobs_are_told() {
    let (Some(nats), Some(collector)) = (Nats::start().await, Collector::start().await) else {
        return;
    };
    nats.create_stream("JOBS", &["hook.jobs.>"]).await;
    let config = format!(
        "{}{}",
        otlp(&collector.url("http"), "http", ""),
        endpoint("hook").secrets(&["s"]).keys("")
    );
    let bridge = Bridge::config(config).nats(&nats).start_ready().await;
    let receiver = collector.receiver();
    let secret = ("x-vapi-secret", "s");

    let unasked = bridge.post("/hook", question("assistant-request"), &[secret]).await;
    let ask = receiver.span("ask assistant-request", None).await;
    assert!(ask.has_failed());
    assert_eq!(ask.attribute("error.type").as_deref(), Some("no-responders"));
    let server = receiver.span("POST /hook", Some(ask.trace())).await;
    assert_eq!((ask.parent(), server.parent()), (server.id(), ""), "the trace begins here");
    let status = server.attribute("http.response.status_code").unwrap();
    assert_eq!(status, unasked.status.to_string());
    assert_eq!(server.has_failed(), unasked.status >= 500);

    let call = json!({"id": "1", "type": "function", "async": true, "function": {"name": "book", "arguments": {}}});
    let body = json!({"message": {"type": "tool-calls", "call": {"id": "c"}, "toolCallList": [call],
        "toolWithToolCallList": [{"type": "function", "async": true, "name": "book", "toolCall": call}]}});
    let job = bridge.post("/hook", body.to_string(), &[secret]).await;
    assert_eq!(job.status, 200, "{}", job.text());
    let send = receiver.span("send {endpoint}.jobs.{function}", None).await;
    let ask = receiver.span("ask book", Some(send.trace())).await;
    assert_eq!(send.parent(), ask.id(), "{}", job.text());
    assert_eq!(nats.messages("JOBS", 1).await[0].header("traceparent"), Some(&*send.header()));

    let refused = bridge.post("/hook", event("1"), &[("traceparent", SENT)]).await;
    assert_eq!(refused.status, 401);
    let server = receiver.span("POST /hook", Some(TRACE)).await;
    assert_eq!(server.attribute("hookbus.reason").as_deref(), Some("unauthorized"));
    assert!(!server.has_failed(), "that is the sender's fault");
}

#[tokio::test]
async fn the_collector_may_have_a_certificate() {
    let Some(authority) = Authority::new("the authority of the collector") else { return };
    let identity = authority.sign("localhost");
    let Some(collector) = Collector::start_as(Some(&identity)).await else { return };
    for protocol in ["grpc", "http"] {
        let url = collector.url(protocol);
        let trusted = format!("tls_ca = {}", quoted(&authority.cert()));
        let config = format!("{}{}", otlp(&url, protocol, &trusted), hook());
        let bridge = Bridge::config(config).nats_at("nats://127.0.0.1:9").start().await;
        let before = collector.receiver().spans().len();
        bridge.post("/hook", event("1"), &[]).await;
        eventually("a span over TLS", Duration::from_secs(20), async || {
            (collector.receiver().spans().len() > before).then_some(())
        })
        .await;

        // A certificate that nobody vouches for gets nothing.
        let config = format!("{}{}", otlp(&url, protocol, ""), hook());
        let bridge = Bridge::config(config).nats_at("nats://127.0.0.1:9").start().await;
        bridge.post("/hook", event("1"), &[]).await;
        bridge.logs("the OpenTelemetry collector takes nothing").await;
        bridge.logs("certificate").await;
    }
}
