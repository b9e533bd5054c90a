//! Events to Kafka.

mod batches;
mod permissions;
mod reasons;

use crate::support::http::Answer;
use crate::support::{Bridge, endpoint, eventually, kafka, python};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

fn to(topic: &str) -> String {
    endpoint("hook").events_to(&[&format!("kafka:{topic}")]).to_string()
}

fn event(key: Option<&str>) -> String {
    let call = key.map(|key| json!({ "id": key }));
    json!({"message": {"type": "hang", "call": call}}).to_string()
}

fn assert_not_stored(answer: &Answer, within: Duration) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let within = within + Duration::from_millis(200);
    assert!(answer.elapsed < within, "{:?}", answer.elapsed);
}

#[tokio::test]
async fn a_record_is_the_body_with_its_attributes() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("kafka-record", 1).await;
    let bridge = Bridge::config(to("kafka-record")).kafka(kafka).start_ready().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("traceparent", parent),
        ("tracestate", "a=b"),
        ("cookie", "secret"),
    ];
    // White space and escapes are part of the bytes.
    let bodies = [
        "{ \"message\" : {\"type\":\"hang\",\"call\":{\"id\":\"\\u00e9 \u{e9}\\n%\"}} }\r\n"
            .to_owned(),
        event(None),
        event(Some("")),
    ];
    let mut ids = Vec::new();
    for body in &bodies {
        let answer = bridge.post("/hook", body.clone(), &headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.push(answer.header("hookbus-id").unwrap().to_owned());
    }
    let records = kafka.records("kafka-record", 3).await;
    assert_eq!(records.len(), 3);
    for ((record, body), id) in records.iter().zip(&bodies).zip(&ids) {
        assert_eq!(record.payload.as_deref(), Some(body.as_bytes()));
        assert_eq!(record.header("ce_id"), Some(&**id));
        assert_eq!(record.header("ce_specversion"), Some("1.0"));
        assert_eq!(record.header("ce_source"), Some("/hookbus/hook"));
        assert_eq!(record.header("ce_type"), Some("ai.vapi.hang"));
        assert_eq!(record.header("content-type"), Some(headers[0].1));
        assert_eq!(record.header("traceparent"), Some(parent));
        assert_eq!(record.header("tracestate"), Some("a=b"));
        assert!(record.header("ce_time").unwrap().ends_with('Z'));
    }
    assert_eq!(records[0].key.as_deref(), Some("\u{e9} \u{e9}\n%".as_bytes()));
    let subject = records[0].header("ce_subject").unwrap();
    assert_eq!(subject, "\u{e9} \u{e9}\u{fffd}%", "control characters are replaced");
    assert_eq!(records[0].headers.len(), 9);
    for keyless in &records[1..] {
        assert_eq!(keyless.key, None);
        assert_eq!(keyless.header("ce_subject"), None);
        assert_eq!(keyless.headers.len(), 8);
    }
}

#[tokio::test]
async fn templates_make_legal_topics() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("kafka-hook.transcript-final", 1).await;
    let bridge = Bridge::config(to("kafka-{endpoint}.{type}")).kafka(kafka).start_ready().await;
    let body = json!({"message": {"type": "transcript/final"}}).to_string();
    let answer = bridge.post("/hook", body, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let records = kafka.records("kafka-hook.transcript-final", 1).await;
    assert_eq!(records.len(), 1);
}

#[tokio::test]
async fn a_topic_that_can_not_be_created_is_named() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let rules = "[kafka]\nbrokers = [\"{kafka}\"]\n[[kafka.topic]]\nname = \"kafka-thrice\"\nreplication_factor = 3\n";
    let text = to("kafka-thrice") + rules;
    let bridge = Bridge::config(&text).kafka(kafka).start().await;
    let ready =
        bridge.readiness("problem: topics: topic `kafka-thrice` could not be created: ").await;
    assert!(ready.text().contains("InvalidReplicationFactor"), "{}", ready.text());
    bridge.logs("topic `kafka-thrice` could not be created: InvalidReplicationFactor").await;
}

#[tokio::test]
async fn declared_topics_are_created() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let rules = r#"
        [kafka]
        brokers = ["{kafka}"]
        [[kafka.topic]]
        name = "kafka-declared"
        partitions = 4
        config = { "retention.ms" = "3600000" }
    "#;
    let text = to("kafka-declared") + rules;
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(kafka.records("kafka-declared", 1).await.len(), 1);
    let admin: AdminClient<DefaultClientContext> = kafka.settings().create().unwrap();
    let topic = ResourceSpecifier::Topic("kafka-declared");
    let described = admin.describe_configs([&topic], &AdminOptions::new()).await.unwrap();
    let settings = described[0].as_ref().unwrap();
    let retention = settings.get("retention.ms").unwrap().value.as_deref();
    assert_eq!(retention, Some("3600000"));
    let metadata =
        admin.inner().fetch_metadata(Some("kafka-declared"), Duration::from_secs(5)).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 4);
    drop(bridge);

    // What is there already is left alone.
    let bridge = Bridge::config(&text).kafka(kafka).start_ready().await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());
}

#[tokio::test]
async fn events_for_a_topic_that_is_not_there_are_refused_until_it_is() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let rules = "[kafka]\nbrokers = [\"{kafka}\"]\nack_timeout = \"2s\"\n";
    let bridge = Bridge::config(&(to("kafka-later") + rules))
        .kafka(kafka)
        .without_spool()
        .start_ready()
        .await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_not_stored(&answer, Duration::from_secs(2));
    let errors = r#"hookbus_publish_errors_total{destination="kafka:kafka-later""#;
    assert_eq!(bridge.metric(errors).await, 1.0);
    let ready = bridge.admin("/readyz").await;
    assert!(ready.text().contains("problem: kafka:kafka-later"), "{}", ready.text());

    kafka.create_topic("kafka-later", 1).await;
    eventually("200", Duration::from_secs(15), async || {
        let answer = bridge.post("/hook", event(Some("k")), &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
    // What was refused was not sent afterwards.
    assert_eq!(kafka.records("kafka-later", 1).await.len(), 1);
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());
}

#[tokio::test]
async fn a_record_that_a_topic_does_not_take_is_refused_at_once() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic_with("kafka-small", 1, &[("max.message.bytes", "2000")]).await;
    let bridge = Bridge::config(to("kafka-small")).kafka(kafka).without_spool().start_ready().await;
    let large = json!({"message": {"type": "hang", "text": "x".repeat(3_000)}}).to_string();
    let answer = bridge.post("/hook", large, &[]).await;
    assert_not_stored(&answer, Duration::from_secs(2));
    let errors =
        r#"hookbus_publish_errors_total{destination="kafka:kafka-small",reason="too-large"}"#;
    assert_eq!(bridge.metric(errors).await, 1.0);
    bridge.logs("too-large").await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(kafka.records("kafka-small", 1).await.len(), 1);
}

/// Keys to partitions as a Java producer has them, which confluent-kafka calls `murmur2_random`.
#[tokio::test]
async fn keys_go_to_the_partitions_that_other_clients_choose() {
    const PRODUCE: &str = r#"
import json, sys
from confluent_kafka import Producer
brokers, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
for key in json.load(sys.stdin):
    producer.produce(topic, key=key, value=b"")
assert producer.flush(20) == 0
"#;
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("kafka-ours", 7).await;
    kafka.create_topic("kafka-theirs", 7).await;
    let keys: Vec<String> = (0..100).map(|at| format!("key-{at}-\u{e9}")).collect();
    let bootstrap = kafka.bootstrap();
    let input = serde_json::to_vec(&keys).unwrap();
    let arguments = [bootstrap.as_str(), "kafka-theirs"];
    let Some(output) = python::code(PRODUCE, &arguments, &input).await else {
        return;
    };
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let bridge = Bridge::config(to("kafka-ours")).kafka(kafka).start_ready().await;
    for key in &keys {
        let answer = bridge.post("/hook", event(Some(key)), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let partitions = async |topic: &str| {
        let records = kafka.records(topic, keys.len()).await;
        assert_eq!(records.len(), keys.len());
        records
            .into_iter()
            .map(|record| (record.key.unwrap(), record.partition))
            .collect::<BTreeMap<_, _>>()
    };
    let (ours, theirs) = (partitions("kafka-ours").await, partitions("kafka-theirs").await);
    assert_eq!(ours, theirs);
    let used: std::collections::BTreeSet<_> = ours.values().collect();
    assert_eq!(used.len(), 7, "all partitions");
}

/// Each record batch names its producer (KIP-98), so that the broker drops what is sent twice.
#[tokio::test]
async fn the_producer_is_idempotent() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("kafka-idempotent", 1).await;
    let bridge = Bridge::config(to("kafka-idempotent")).kafka(kafka).start_ready().await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let batch = kafka.segment("kafka-idempotent", 0);
    let producer = i64::from_be_bytes(batch[43..51].try_into().unwrap());
    let sequence = i32::from_be_bytes(batch[53..57].try_into().unwrap());
    assert!(producer >= 0 && sequence == 0, "{producer} {sequence}");
}
