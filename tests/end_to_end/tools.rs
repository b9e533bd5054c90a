//! The support itself: brokers start, stop and come back; clients made by others run.

use crate::support::process::Process;
use crate::support::{Nats, Reply, Worker, eventually, http, kafka, python, sample, samples};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn nats_keeps_its_stream_through_a_kill_and_a_restart() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let jetstream = nats.jetstream().await;
    for body in ["one", "two"] {
        jetstream.publish("events.a", body.into()).await.unwrap().await.unwrap();
    }
    nats.kill();
    assert!(async_nats::connect(nats.url()).await.is_err());
    nats.restart().await;

    let messages = nats.messages("EVENTS", 2).await;
    let bodies: Vec<_> = messages
        .iter()
        .map(|message| (message.subject.as_str(), message.payload.as_ref()))
        .collect();
    assert_eq!(bodies, [("events.a", b"one".as_slice()), ("events.a", b"two")]);
}

#[tokio::test]
async fn a_stopped_nats_says_nothing_until_it_goes_on() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let client = nats.client().await;
    let worker =
        Worker::start(&nats, "ask", |question| Reply::text(question.payload.clone())).await;
    nats.stop_signal();
    let request =
        async_nats::Request::new().payload("late".into()).timeout(Some(Duration::from_millis(200)));
    assert!(client.send_request("ask", request).await.is_err());
    assert!(worker.questions().is_empty());
    nats.cont_signal();
    eventually("the late question", SOON, async || (!worker.questions().is_empty()).then_some(()))
        .await;
}

#[tokio::test]
async fn nats_takes_other_settings() {
    let Some(nats) = Nats::start_with("max_payload: 1000").await else {
        return;
    };
    assert_eq!(nats.client().await.server_info().max_payload, 1000);
}

#[tokio::test]
async fn a_worker_answers_and_remembers() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let worker = Worker::start(&nats, "ask.*", |question| match question.subject.as_str() {
        "ask.broken" => Reply::error("500", "it broke"),
        _ => Reply::text(question.payload.to_ascii_uppercase()).after(Duration::from_millis(20)),
    })
    .await;
    let client = nats.client().await;
    assert_eq!(client.request("ask.echo", "hello".into()).await.unwrap().payload, "HELLO");
    let error = client.request("ask.broken", "".into()).await.unwrap();
    assert_eq!(error.headers.unwrap().get("Nats-Service-Error").unwrap().as_str(), "it broke");
    let subjects: Vec<_> =
        worker.questions().into_iter().map(|question| question.subject).collect();
    assert_eq!(subjects, ["ask.echo", "ask.broken"]);
}

#[tokio::test]
async fn kafka_stores_and_gives_back() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("tools.round-trip", 3).await;
    // By default librdkafka waits half a minute for a topic that it doesn't find.
    let producer: FutureProducer =
        kafka.settings().set("topic.metadata.propagation.max.ms", "100").create().unwrap();
    let headers = rdkafka::message::OwnedHeaders::new()
        .insert(rdkafka::message::Header { key: "ce_id", value: Some("1") });
    let record =
        FutureRecord::to("tools.round-trip").key("call-1").payload("body").headers(headers);
    producer.send(record, SOON).await.unwrap();

    let records = kafka.records("tools.round-trip", 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key.as_deref(), Some(b"call-1".as_slice()));
    assert_eq!(records[0].payload.as_deref(), Some(b"body".as_slice()));
    assert_eq!(records[0].header("ce_id"), Some("1"));

    let unknown = producer
        .send(FutureRecord::<(), _>::to("tools.nobody-made-it").payload("body"), SOON)
        .await;
    assert!(unknown.is_err(), "a topic must not make itself");
}

#[tokio::test]
async fn kafka_comes_back_with_its_data() {
    let Some(mut kafka) = kafka::Kafka::start().await else {
        return;
    };
    kafka.create_topic("kept", 1).await;
    let producer: FutureProducer = kafka.settings().set("acks", "all").create().unwrap();
    producer.send(FutureRecord::to("kept").key("k").payload("body"), SOON).await.unwrap();
    kafka.kill();
    kafka.restart().await;
    assert_eq!(kafka.records("kept", 1).await.len(), 1);
}

#[tokio::test]
async fn python_has_the_packages() {
    let script = "import sys, nats, confluent_kafka, cloudevents, vapi; print(sys.argv[1], sys.stdin.read())";
    let Some(output) = python::code(script, &["argument"], b"input").await else {
        return;
    };
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (Some(0), "argument input\n"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn the_checker_knows_good_replies_from_bad_ones() {
    let sample = sample("tool-calls.json");
    let request = sample.json();
    let id =
        request.pointer("/message/toolCallList/0/id").and_then(serde_json::Value::as_str).unwrap();
    let name = request
        .pointer("/message/toolCallList/0/function/name")
        .and_then(serde_json::Value::as_str)
        .unwrap();
    let good =
        serde_json::json!({"results": [{"name": name, "toolCallId": id, "result": "sunny"}]});
    let Some(verdict) = python::check_reply(&sample, good.to_string().as_bytes()).await else {
        return;
    };
    assert_eq!(verdict, Ok(()));

    let bad = serde_json::json!({"results": [{"name": name, "toolCallId": "another", "result": "two\nlines"}]});
    let reasons =
        python::check_reply(&sample, bad.to_string().as_bytes()).await.unwrap().unwrap_err();
    assert!(reasons.contains("line break") && reasons.contains("was not asked for"), "{reasons}");
}

#[test]
fn every_sample_is_as_its_index_says() {
    let samples = samples();
    assert_eq!(samples.len(), 59);
    for sample in samples {
        assert!(sample.key().is_some_and(|key| !key.is_empty()), "{}", sample.file);
        assert!(["ack", "json", "pcm"].contains(&sample.reply_kind.as_str()), "{}", sample.file);
    }
}

#[tokio::test]
async fn http_is_shown_as_it_is() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
            let answer = b"HTTP/1.1 202 Accepted\r\nhookbus-id: 7\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
        requests
    });
    let answer =
        http::post(&format!("http://{address}/vapi"), "{}", &[("x-vapi-secret", "s")]).await;
    assert_eq!((answer.status, answer.header("hookbus-id"), answer.text()), (202, Some("7"), "{}"));
    let raw = http::raw(&address, b"\x00nonsense\r\n\r\n").await;
    assert!(raw.starts_with(b"HTTP/1.1 202 Accepted\r\n") && raw.ends_with(b"{}"));
    let requests = server.await.unwrap();
    assert!(
        requests[0].contains("x-vapi-secret: s\r\n")
            && requests[0].contains("content-type: application/json\r\n")
    );
    assert_eq!(requests[1], "\0nonsense\r\n\r\n");
}

/// What becomes of the children when a test run is killed: their watchdogs see the end of their pipes.
#[tokio::test]
async fn no_child_outlives_the_tests() {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        Process::start(Command::new("sleep").arg("60").stdin(Stdio::null()), Some(folder.path()));
    process.abandon();
    let status = process.wait(SOON).await.expect("killed by its watchdog");
    assert!(!status.success());
    eventually("the end of its folder", SOON, async || (!folder.path().exists()).then_some(()))
        .await;
}
