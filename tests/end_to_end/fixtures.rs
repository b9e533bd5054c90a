//! Every recorded webhook through the built binary: into both brokers, or to a worker and back. What is stored is read
//! by clients made by others, and what is answered is judged by Vapi's own models.

use crate::support::{Bridge, Endpoint, Nats, Sample, endpoint, kafka, python, samples};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader};

fn config() -> Endpoint {
    let both = r#"["nats:fixtures.events.{type}", "kafka:fixtures-events"]"#;
    endpoint("fixtures").tables(&format!(
        "[[endpoint.event]]\ntypes = [\"*\"]\nto = {both}\n\
         [[endpoint.question]]\ntypes = [\"*\"]\ncopy_to = {both}\n\
         [[endpoint.tool]]\nnames = [\"*\"]\ncopy_to = {both}"
    ))
}

/// An event as the scripts print it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    time: f64,
    content_type: String,
    is_object: bool,
    specversion: String,
    sha256: String,
    place: String,
    key: Option<String>,
    message_id: Option<String>,
}

#[tokio::test]
async fn every_sample_is_stored_in_both_brokers_or_answered() {
    let (Some(nats), Some(kafka)) = (Nats::start().await, kafka::shared().await) else {
        return;
    };
    let Some(mut worker) = python::command() else {
        return;
    };
    nats.create_stream("FIXTURES", &["fixtures.events.>"]).await;
    nats.create_stream("JOBS", &["fixtures.jobs.>"]).await;
    kafka.create_topic("fixtures-events", 3).await;
    let bridge = Bridge::config(config()).nats(&nats).kafka(kafka).start_ready().await;
    let program = crate::support::project().join("tests/end_to_end/fixtures/worker.py");
    let mut worker = worker
        .arg(program)
        .args([&nats.url(), "fixtures"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(worker.stdout.take().unwrap()).lines();
    assert_eq!(said.next_line().await.unwrap().unwrap(), "ready");

    let samples = samples();
    assert_eq!(samples.len(), 59);
    let began = now();
    let mut ids = Vec::new();
    let mut replies = Vec::new();
    for sample in &samples {
        let answer = bridge.post("/fixtures", sample.bytes.clone(), &[]).await;
        let outcome = answer.header("hookbus-outcome");
        assert_eq!(answer.status, 200, "{}: {}", sample.file, answer.text());
        let is_question = sample.reply_expected || sample.kind == "tool-calls";
        assert_eq!(outcome, is_question.then_some("answered"), "{}", sample.file);
        if is_question {
            replies.push(json!({
                "request": sample.path(),
                "type": sample.kind,
                "reply": answer.body.to_vec(),
            }));
        }
        ids.push(answer.header("hookbus-id").unwrap().to_owned());
    }
    let ended = now();

    // Copies of questions are stored beside the answers.
    nats.messages("FIXTURES", 59).await;
    let input = serde_json::to_vec(&replies).unwrap();
    let (url, bootstrap) = (nats.url(), kafka.bootstrap());
    let (from_nats, from_kafka) =
        ([url.as_str(), "FIXTURES"], [bootstrap.as_str(), "fixtures-events", "59"]);
    let (checked, in_nats, in_kafka) = tokio::join!(
        script::<Option<String>>("fixtures/check_replies.py", &[], &input),
        script::<Event>("fixtures/read_nats.py", &from_nats, b""),
        script::<Event>("fixtures/read_kafka.py", &from_kafka, b""),
    );
    assert_eq!(checked.len(), replies.len());
    for (reply, wrong) in replies.iter().zip(checked) {
        assert_eq!(wrong, None, "the answer to {}", reply["request"]);
    }
    let (in_nats, in_kafka) = (by_id(in_nats), by_id(in_kafka));
    for (sample, id) in samples.iter().zip(&ids) {
        let event = &in_nats[id];
        same(sample, event, began..=ended);
        let subject = format!("fixtures.events.{}", encoded(&sample.kind));
        assert_eq!(event.place, subject, "{}", sample.file);
        let message_id = format!("fixtures/{id}/{subject}");
        assert_eq!(event.message_id.as_ref(), Some(&message_id), "{}", sample.file);

        let event = &in_kafka[id];
        same(sample, event, began..=ended);
        assert_eq!(event.place, "fixtures-events", "{}", sample.file);
        assert_eq!(event.key, sample.key(), "{}", sample.file);
    }
    assert_eq!((in_nats.len(), in_kafka.len()), (59, 59));
    // The asynchronous calls of two samples.
    assert_eq!(nats.messages("JOBS", 2).await.len(), 2);
}

fn same(sample: &Sample, event: &Event, while_sent: std::ops::RangeInclusive<f64>) {
    let file = &sample.file;
    assert_eq!(event.sha256, format!("{:x}", Sha256::digest(&sample.bytes)), "{file}");
    assert_eq!(event.specversion, "1.0", "{file}");
    assert_eq!(event.source, "/hookbus/fixtures", "{file}");
    assert_eq!(event.kind, format!("ai.vapi.{}", sample.kind), "{file}");
    assert_eq!(event.subject, sample.key(), "{file}");
    assert_eq!(event.content_type, "application/json", "{file}");
    assert!(event.is_object, "{file}");
    let is_receipt = while_sent.contains(&event.time);
    assert!(is_receipt, "{file}: {} in {while_sent:?}", event.time);
}

/// Runs a script that prints a JSON list.
async fn script<T: for<'a> Deserialize<'a>>(
    name: &str,
    arguments: &[&str],
    input: &[u8],
) -> Vec<T> {
    let output = python::run(name, arguments, input).await.unwrap();
    assert_eq!(output.code, Some(0), "{name}: {}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn by_id(events: Vec<Event>) -> BTreeMap<String, Event> {
    let count = events.len();
    let events: BTreeMap<_, _> =
        events.into_iter().map(|event| (event.id.clone(), event)).collect();
    assert_eq!(events.len(), count, "an id is there twice");
    events
}

/// A type in a subject, as the contract writes it; all samples' types begin and end with something.
fn encoded(kind: &str) -> String {
    kind.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// In milliseconds' precision, rounded down, as the events say it.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::try_from(since.as_millis()).unwrap()).as_secs_f64()
}
