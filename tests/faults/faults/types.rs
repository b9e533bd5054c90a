//! Types of events that no stream takes, hundreds of them, beside those that one takes: they wait, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::stream;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::stage::Stage;
use crate::support::eventually;

const TYPES: usize = 1_000;
/// So many are posted at the same time.
const LANES: usize = 16;
/// For all of them to be published when they are taken.
const MENDED: Duration = Duration::from_secs(60);

/// Posts events of all these types, again and again, and then gives them a stream.
pub(super) async fn without_a_stream(stage: &mut Stage<'_>) {
    let mut sent = BTreeSet::new();
    for round in 0..stage.lengths.rounds.div_ceil(2) {
        sent.extend(post(stage, round).await);
        sleep(stage.lengths.step).await;
    }
    // All of the others are direct meanwhile: there is no trouble that would excuse them.
    sleep(stage.lengths.outage).await;
    let waiting = stage.bridge.metric("hookbus_spool_apart_records").await;
    assert!(waiting == sent.len() as f64, "{waiting} of {} wait apart", sent.len());
    let name = format!("{}-rest", stage.name);
    let config = stream::Config {
        name: name.clone(),
        subjects: vec![format!("{}.events.other.>", stage.name)],
        ..stream::Config::default()
    };
    stage.ground.nats.create_stream_with(config).await;
    eventually("what waited", MENDED, async || {
        let left = stage.bridge.metric("hookbus_spool_apart_records").await;
        (left == 0.0).then_some(())
    })
    .await;
    let mut stored = BTreeSet::new();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for message in stage.ground.nats.messages(&name, 0).await {
        let id = message.header("ce-id").expect("an id").to_owned();
        assert!(stored.insert(id), "{} is there twice", message.subject);
        let body: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        let round = body["message"]["round"].as_u64().expect("a number") as usize;
        let before = last.insert(message.subject.clone(), round);
        assert!(before.is_none_or(|before| before < round), "{} is out of order", message.subject);
    }
    assert!(stored == sent, "{} of {} are there", stored.len(), sent.len());
    let jetstream = stage.ground.nats.jetstream().await;
    jetstream.delete_stream(&name).await.expect("a stream");
}

/// One of each type, of a call that has others too; the ids that the senders were told.
async fn post(stage: &Stage<'_>, round: usize) -> Vec<String> {
    let (client, url) = (stage.bridge.client(), stage.bridge.url("/hook"));
    let lanes = (0..LANES).map(async |lane| {
        let mut ids = Vec::new();
        for kind in (lane..TYPES).step_by(LANES) {
            let body = format!(
                r#"{{"message":{{"type":"other.{kind}","call":{{"id":"stuck-{}"}},"round":{round}}}}}"#,
                kind % 50
            );
            let answer = client.post(&url, body, &[]).await;
            assert!(answer.status == 202, "{}: {}", answer.status, answer.text());
            ids.push(answer.header("hookbus-id").expect("an id").to_owned());
        }
        ids
    });
    join_all(lanes).await.into_iter().flatten().collect()
}
