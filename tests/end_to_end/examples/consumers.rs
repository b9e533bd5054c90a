//! Every consumer reads what is stored as it was sent, goes on where it ended, and works on an id once.

use super::{Example, PATIENCE, Running};
use crate::support::{Bridge, Kafka, Nats, eventually, kafka, samples};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CONFIG: &str = r#"
    [[endpoint]]
    name = "{name}"
    path = "/examples"
    source = "vapi"
    [[endpoint.auth]]
    kind = "none"
    [[endpoint.event]]
    types = ["*"]
    to = ["{to}"]
    [[endpoint.question]]
    types = ["*"]
    copy_to = ["{to}"]
    [[endpoint.tool]]
    names = ["*"]
    copy_to = ["{to}"]
"#;

#[tokio::test]
async fn the_consumer_in_go_reads_every_sample() {
    let example =
        Example { folder: "consumers/jetstream-go", command: &["./consumer"], built: "consumer" };
    reads_jetstream(&example).await;
}

#[tokio::test]
async fn the_consumer_in_typescript_reads_every_sample() {
    let example = Example {
        folder: "consumers/jetstream-typescript",
        command: &["node", "dist/consumer.js"],
        built: "dist/consumer.js",
    };
    reads_jetstream(&example).await;
}

#[tokio::test]
async fn the_consumer_in_python_reads_every_sample() {
    let example = Example {
        folder: "consumers/kafka-python",
        command: &[".venv/bin/python", "consumer.py"],
        built: ".venv/requirements.txt",
    };
    reads_kafka("readers-python", &example).await;
}

#[tokio::test]
async fn the_consumer_in_java_reads_every_sample() {
    let example = Example {
        folder: "consumers/kafka-java",
        command: &["java", "-cp", "target/classes:target/libs/*", "hookbus.Consumer"],
        built: "target/classes/hookbus/Consumer.class",
    };
    reads_kafka("readers-java", &example).await;
}

async fn reads_jetstream(example: &Example) {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("READERS", &["readers.events.>"]).await;
    nats.create_stream("JOBS", &["readers.jobs.>"]).await;
    let config = config("readers", "nats:readers.events.{type}");
    let bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let environment = [("NATS_URL", &*nats.url()), ("HOOKBUS_STREAM", "READERS")];
    let repeat = async || {
        let message = nats.messages("READERS", 1).await.swap_remove(0);
        // Without its message id, so that JetStream doesn't drop it.
        let headers = message.headers.iter().filter(|(name, _)| name.to_string() != "Nats-Msg-Id");
        let headers = headers.map(|(name, values)| (name.clone(), values[0].clone())).collect();
        let client = nats.jetstream().await;
        let stored = client.publish_with_headers(message.subject, headers, message.payload);
        stored.await.unwrap().await.unwrap();
    };
    reads(example, &environment, "readers", &bridge, repeat).await;
}

async fn reads_kafka(name: &str, example: &Example) {
    let Some(kafka) = kafka::shared().await else { return };
    kafka.create_topic(name, 1).await;
    kafka.create_topic(&format!("{name}.jobs"), 1).await;
    let config = config(name, &format!("kafka:{name}"));
    let bridge = Bridge::config(&config).kafka(kafka).start_ready().await;
    let environment = [("KAFKA_BROKERS", &*kafka.bootstrap()), ("KAFKA_TOPIC", name)];
    reads(example, &environment, name, &bridge, async || store_again(kafka, name).await).await;
}

/// Puts a copy of the topic's first record behind the others.
async fn store_again(kafka: &Kafka, topic: &str) {
    let record = kafka.records(topic, 1).await.swap_remove(0);
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let key = record.key.expect("a key");
    let payload = record.payload.expect("a body");
    let producer: BaseProducer = kafka.settings().create().unwrap();
    let again = BaseRecord::to(topic).key(&key).payload(&payload).headers(headers);
    producer.send(again).map_err(|(error, _)| error).unwrap();
    tokio::task::spawn_blocking(move || producer.flush(PATIENCE).unwrap()).await.unwrap();
}

fn config(name: &str, to: &str) -> String {
    CONFIG.replace("{name}", name).replace("{to}", to)
}

async fn reads(
    example: &Example,
    environment: &[(&str, &str)],
    endpoint: &str,
    bridge: &Bridge,
    repeat: impl AsyncFn(),
) {
    let Some(mut consumer) = example.start(environment) else { return };
    consumer.ready().await;
    let mut expected = Vec::new();
    for sample in samples() {
        expected.push(sent(bridge, endpoint, &sample.kind, sample.key(), &sample.bytes).await);
    }
    // Attributes that no header of NATS holds as they are.
    let body = json!({"message": {"type": "grüße 100%", "call": {"id": "\"é\" 7"}}}).to_string();
    let key = Some("\"é\" 7".to_owned());
    expected.push(sent(bridge, endpoint, "grüße 100%", key, body.as_bytes()).await);
    let lines = events(&consumer, expected.len()).await;
    let of =
        |id: &Value| lines.iter().filter(|line| line["id"] == *id).cloned().collect::<Vec<_>>();
    for event in &expected {
        assert_eq!(of(&event["id"]), std::slice::from_ref(event));
    }
    assert_eq!(lines.len(), expected.len());

    // An id that was worked on is left out; what follows shows that it had come by.
    repeat().await;
    let next = sent(bridge, endpoint, "hang", Some("call-1".to_owned()), HANG.as_bytes()).await;
    assert_eq!(events(&consumer, lines.len() + 1).await[lines.len()..], [next]);

    // It goes on where it ended.
    consumer.terminate();
    assert_eq!(consumer.ended().await.code(), Some(0));
    let mut consumer = example.start(environment).expect("it was there before");
    consumer.ready().await;
    let next = sent(bridge, endpoint, "hang", Some("call-1".to_owned()), HANG.as_bytes()).await;
    assert_eq!(events(&consumer, 1).await, [next]);
    consumer.terminate();
    assert_eq!(consumer.ended().await.code(), Some(0));
}

const HANG: &str = r#"{"message": {"type": "hang", "call": {"id": "call-1"}}}"#;

/// Sends a webhook; returns what the consumer should say of it.
async fn sent(
    bridge: &Bridge,
    endpoint: &str,
    kind: &str,
    key: Option<String>,
    body: &[u8],
) -> Value {
    // Questions have no worker here. They are stored all the same.
    let answer = bridge.post("/examples", body.to_vec(), &[]).await;
    json!({
        "id": answer.header("hookbus-id").expect("an id"),
        "type": format!("ai.vapi.{kind}"),
        "subject": key,
        "source": format!("/hookbus/{endpoint}"),
        "datacontenttype": "application/json",
        "size": body.len(),
        "sha256": format!("{:x}", Sha256::digest(body)),
    })
}

/// The events that it has printed, once there are so many; without their times, which are well formed.
async fn events(consumer: &Running, at_least: usize) -> Vec<Value> {
    let what = format!("{at_least} events");
    let lines = eventually(&what, PATIENCE, async || {
        let lines = consumer.printed();
        let lines: Vec<_> = lines.into_iter().filter(|line| line.starts_with('{')).collect();
        (lines.len() >= at_least).then_some(lines)
    });
    let lines = lines.await.into_iter().map(|line| {
        let mut event: Value = serde_json::from_str(&line).unwrap();
        let time = event.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        humantime::parse_rfc3339(&time.replace("+00:00", "Z")).expect(time);
        event
    });
    lines.collect()
}
