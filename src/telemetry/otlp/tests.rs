#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, exemplar, number_data_point};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message as _;

use super::figures::read;
use super::request::of_messages;
use super::resource::{self, Resource};
use super::spans;
use crate::telemetry::metrics::Metrics;
use crate::trace::{Ended, Ids, Kind, Value};

fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Data {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name}")).data.as_ref().unwrap()
}

#[test]
fn what_prometheus_reads_is_what_is_sent() {
    let ids = Ids { trace: [0xab; 16], span: [0xcd; 8] };
    let metrics = Metrics::new(true);
    // Whatever a name holds.
    let destination = metrics.destination(&r#"nats:a"b\c"#.into(), [].into_iter());
    destination.published(Duration::from_millis(4), Some(ids));
    destination.published(Duration::from_secs(100), None);
    metrics.set_connected("nats", true);
    metrics.telemetry_dropped("logs").inc_by(3);
    let read = read(&metrics.text(), 1, 2);

    let Data::Histogram(histogram) = find(&read, "hookbus_publish_seconds") else { panic!() };
    let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
    assert_eq!((point.count, point.sum), (2, Some(100.004)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
    let at = point.explicit_bounds.iter().position(|bound| *bound >= 0.004).unwrap();
    assert_eq!((point.bucket_counts[at], point.bucket_counts.last()), (1, Some(&1)));
    let [exemplar] = &point.exemplars[..] else { panic!("{point:?}") };
    assert_eq!((&exemplar.trace_id[..], &exemplar.span_id[..]), (&ids.trace[..], &ids.span[..]));
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(0.004)));
    let [label] = &point.attributes[..] else { panic!("{point:?}") };
    assert_eq!(label.key, "destination");
    let expected = resource::text(r#"nats:a"b\c"#);
    assert_eq!(label.value.as_ref(), Some(&expected));

    let Data::Sum(sum) = find(&read, "hookbus_telemetry_dropped_total") else { panic!() };
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(3)));
    let Data::Gauge(gauge) = find(&read, "hookbus_broker_connected") else { panic!() };
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsInt(1)));
    assert!(matches!(find(&read, "hookbus_build_info"), Data::Gauge(_)));
    // Each of them once, and all that the text names.
    let names = |line: &str| line.strip_prefix("# TYPE ").map(|rest| rest.to_owned());
    let kinds = metrics.text().lines().filter_map(names).count();
    assert!(read.len() <= kinds && read.iter().all(|metric| !metric.description.is_empty()));
}

#[test]
fn what_is_not_understood_is_left_out() {
    let wrong = ["", "#", "x", "{", "a{", "a{b", "a{b=\"", "a{b=\"\\", "a{b=\"c\"}", "a b"];
    for line in wrong {
        for kind in ["histogram", "counter", "gauge"] {
            let text = format!("# TYPE a {kind}\n{line}\n");
            assert_eq!(read(&text, 1, 2), [], "{text}");
        }
    }
    let lonely = read("# TYPE a histogram\na_bucket{le=\"1\"} 1\na_x 1\na_count 1 # {\n", 1, 2);
    assert!(matches!(&lonely[..], [metric] if metric.name == "a"), "{lonely:?}");
}

#[test]
fn a_request_is_the_message_of_its_signal() {
    let resource = Resource::new(&BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    let names = ["one", "two"].map(str::to_owned);

    let spans = names.clone().map(|name| Span { name, ..Span::default() });
    let bytes = of_messages(&resource, spans.clone());
    let mut sent = ExportTraceServiceRequest::decode(&*bytes).unwrap();
    let mut sent = sent.resource_spans.pop().unwrap();
    assert_eq!(sent.resource.as_ref(), Some(&resource.message));
    let sent = sent.scope_spans.pop().unwrap();
    assert_eq!((sent.scope.unwrap().name, &*sent.spans), ("hookbus".to_owned(), &spans[..]));

    let metrics = names.clone().map(|name| Metric { name, ..Metric::default() });
    let bytes = of_messages(&resource, metrics.clone());
    let mut sent = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
    let mut sent = sent.resource_metrics.pop().unwrap();
    assert_eq!(sent.resource.as_ref(), Some(&resource.message));
    let sent = sent.scope_metrics.pop().unwrap();
    assert_eq!((sent.scope.unwrap().name, &*sent.metrics), ("hookbus".to_owned(), &metrics[..]));

    let records = names.map(|severity_text| LogRecord { severity_text, ..LogRecord::default() });
    let bytes = of_messages(&resource, records.clone());
    let mut sent = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    let mut sent = sent.resource_logs.pop().unwrap();
    assert_eq!(sent.resource.as_ref(), Some(&resource.message));
    let sent = sent.scope_logs.pop().unwrap();
    assert_eq!(
        (sent.scope.unwrap().name, &*sent.log_records),
        ("hookbus".to_owned(), &records[..])
    );
}

#[test]
fn a_span_is_the_message_of_its_protocol() {
    let start = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    // Lengths around those that take another byte, and numbers of all sizes.
    let texts = [0, 1, 100, 117, 118, 127, 128, 16_370, 16_384]
        .map(|size| Value::Text("ä".repeat(size).into()));
    let numbers = [0, 1, 127, 128, i64::MAX, -1, i64::MIN].map(Value::Number);
    let values: Vec<_> =
        texts.into_iter().chain(numbers).chain([true, false].map(Value::Is)).collect();
    let attributes: Vec<_> = values.into_iter().map(|value| ("messaging.system", value)).collect();
    let whole = Ended {
        ids: Ids { trace: [0xab; 16], span: [0xcd; 8] },
        parent: Some([0xef; 8]),
        state: Some("a=b".into()),
        kind: Kind::Server,
        name: "POST /hook".to_owned(),
        start,
        took: Duration::from_millis(5),
        attributes,
        error: Some("timeout"),
    };
    let bare = Ended {
        parent: None,
        state: None,
        kind: Kind::Client,
        attributes: vec![],
        error: None,
        ..whole.clone()
    };
    let producer = Ended { kind: Kind::Producer, ..whole.clone() };
    for (ended, kind, flags) in [
        (whole, SpanKind::Server, 0x301),
        (bare, SpanKind::Client, 1),
        (producer, SpanKind::Producer, 0x101),
    ] {
        let attributes = ended.attributes.iter().cloned().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => resource::text(text),
                Value::Number(number) => resource::number(number),
                Value::Is(is) => resource::boolean(is),
            };
            resource::attribute(name, value)
        });
        let error =
            ended.error.map(|error| resource::attribute("error.type", resource::text(error)));
        let expected = Span {
            trace_id: ended.ids.trace.into(),
            span_id: ended.ids.span.into(),
            trace_state: ended.state.as_deref().unwrap_or_default().to_owned(),
            parent_span_id: ended.parent.map(Into::into).unwrap_or_default(),
            flags,
            name: ended.name.clone(),
            kind: kind.into(),
            start_time_unix_nano: 1_700_000_000_123_456_789,
            end_time_unix_nano: 1_700_000_000_128_456_789,
            attributes: attributes.chain(error).collect(),
            status: ended
                .error
                .map(|_| Status { code: StatusCode::Error.into(), ..Status::default() }),
            ..Span::default()
        };
        assert_eq!(Span::decode(&*spans::span(&ended)).unwrap(), expected);
    }
}
