//! librdkafka sends batches, and Kafka has one verdict for all of a batch: an event is judged by itself.

use super::{event, to};
use crate::support::{Bridge, Kafka, kafka};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeMap;

/// An event of a call, of about that many bytes.
fn sized(call: &str, number: usize, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    json!({"message": {"type": "hang", "number": number, "call": {"id": call}, "text": text}})
        .to_string()
}

/// Posts `each` events of every call, one after the other, all calls at once. Returns how many had each status.
async fn storm(bridge: &Bridge, calls: usize, each: usize, bytes: usize) -> BTreeMap<u16, usize> {
    let post = async |call: usize| {
        let mut statuses = Vec::new();
        for number in 0..each {
            let body = sized(&format!("call-{call}"), number, bytes);
            statuses.push(bridge.post("/hook", body, &[]).await.status);
        }
        statuses
    };
    let mut counts = BTreeMap::new();
    for status in join_all((0..calls).map(post)).await.into_iter().flatten() {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

/// The numbers of each call as they are stored.
async fn stored(kafka: &Kafka, topic: &str, at_least: usize) -> BTreeMap<String, Vec<u64>> {
    let mut calls: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in kafka.records(topic, at_least).await {
        let body: serde_json::Value = serde_json::from_slice(&record.payload.unwrap()).unwrap();
        let (call, number) = (&body["message"]["call"]["id"], &body["message"]["number"]);
        calls.entry(call.as_str().unwrap().to_owned()).or_default().push(number.as_u64().unwrap());
    }
    calls
}

#[tokio::test]
async fn events_that_fit_are_stored_whatever_batch_they_were_in() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let topic = "kafka-batches";
    kafka.create_topic_with(topic, 1, &[("max.message.bytes", "200000")]).await;
    let bridge = Bridge::config(to(topic)).kafka(kafka).start_ready().await;
    let counts = storm(&bridge, 64, 6, 40_000).await;
    assert_eq!(counts, BTreeMap::from([(200, 384)]), "{}", bridge.log());
    let calls = stored(kafka, topic, 384).await;
    assert_eq!(calls.len(), 64);
    for (call, numbers) in &calls {
        assert_eq!(numbers, &[0, 1, 2, 3, 4, 5], "{call}");
    }
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0);
}

/// One that is too large is refused, and nothing that happened to be sent beside it.
#[tokio::test]
async fn one_that_does_not_fit_takes_no_other_along() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let topic = "kafka-batches-large";
    kafka.create_topic_with(topic, 1, &[("max.message.bytes", "100000")]).await;
    let bridge = Bridge::config(to(topic)).kafka(kafka).start_ready().await;
    let large = async |number: usize| {
        let body = sized(&format!("large-{number}"), 0, 150_000);
        bridge.post("/hook", body, &[]).await
    };
    let (counts, large) = tokio::join!(storm(&bridge, 32, 8, 2_000), join_all((0..16).map(large)));
    assert_eq!(counts, BTreeMap::from([(200, 256)]), "{}", bridge.log());
    for answer in &large {
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 16.0);
    let calls = stored(kafka, topic, 256).await;
    assert_eq!(calls.len(), 32);
    for (call, numbers) in &calls {
        assert_eq!(numbers, &[0, 1, 2, 3, 4, 5, 6, 7], "{call}");
    }
}

/// Events of one call that come close together are sent together, which takes a producer that is made when it is needed:
/// in the second half there is one. What doesn't fit among them is refused by itself, whichever producer it was sent by.
#[tokio::test]
async fn one_that_does_not_fit_takes_no_other_of_its_call_along() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let topic = "kafka-batches-one-call";
    kafka.create_topic_with(topic, 2, &[("max.message.bytes", "20000")]).await;
    let bridge = Bridge::config(to(topic)).kafka(kafka).start_ready().await;
    let (waves, each, large) = (20, 48, 24);
    for wave in 0..waves {
        let post = async |number: usize| {
            let bytes = if wave % 5 == 4 && number == large { 30_000 } else { 100 };
            let body = sized("call", wave * each + number, bytes);
            bridge.post("/hook", body, &[]).await.status
        };
        let statuses = join_all((0..each).map(post)).await;
        let expected = |number: usize| if wave % 5 == 4 && number == large { 202 } else { 200 };
        let expected: Vec<u16> = (0..each).map(expected).collect();
        assert_eq!(statuses, expected, "wave {wave}: {}", bridge.log());
    }
    let refused = waves / 5;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, refused as f64);
    let calls = stored(kafka, topic, waves * each - refused).await;
    let numbers = &calls["call"];
    assert_eq!(numbers.len(), waves * each - refused, "none is missing, and none is there twice");
    let waves: Vec<u64> = numbers.iter().map(|number| number / each as u64).collect();
    assert!(waves.is_sorted(), "{waves:?}");
}

/// A compacted topic takes no record without a key, and refuses the whole batch that one is in.
#[tokio::test]
async fn one_without_a_key_for_a_compacted_topic_takes_no_other_along() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    let topic = "kafka-batches-compacted";
    kafka.create_topic_with(topic, 1, &[("cleanup.policy", "compact")]).await;
    let bridge = Bridge::config(to(topic)).kafka(kafka).start_ready().await;
    let keyless = async |_: usize| bridge.post("/hook", event(None), &[]).await;
    let (counts, keyless) =
        tokio::join!(storm(&bridge, 32, 8, 100), join_all((0..16).map(keyless)));
    assert_eq!(counts, BTreeMap::from([(200, 256)]), "{}", bridge.log());
    for answer in &keyless {
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 16.0);
    let reason = format!(
        r#"hookbus_publish_errors_total{{destination="kafka:{topic}",reason="invalid-record"}}"#
    );
    assert_eq!(bridge.metric(&reason).await, 16.0);
    let calls = stored(kafka, topic, 256).await;
    assert_eq!(calls.values().map(Vec::len).sum::<usize>(), 256);
}
