//! Brokers that die, freeze, come back, or were never there.

mod connection;
mod hurry;

use self::connection::Connection;
use crate::support::http::Client;
use crate::support::{Bridge, HOOK, Kafka, LOAD, Nats, Question, Reply, Worker, eventually};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::time::sleep;

/// How soon a bridge works again once its broker does.
const RECOVERY: Duration = Duration::from_secs(10);

fn event(key: &str, number: usize) -> String {
    json!({"message": {"type": "hang", "call": {"id": key}, "number": number}}).to_string()
}

fn number(payload: &[u8]) -> usize {
    let body: serde_json::Value = serde_json::from_slice(payload).unwrap();
    body["message"]["number"].as_u64().unwrap() as usize
}

/// A question with an answer of any JSON.
fn question(number: usize) -> String {
    json!({"message": {"type": "campaign.predial", "number": number}}).to_string()
}

fn tool_call(number: usize) -> String {
    let call = json!({
        "id": format!("call_{number}"),
        "type": "function",
        "function": {"name": "f", "arguments": {"number": number}},
    });
    json!({"message": {"type": "tool-calls", "toolCallList": [call]}}).to_string()
}

/// A worker for [`question`] and [`tool_call`].
async fn worker(nats: &Nats, subject: &str) -> Worker {
    Worker::start(nats, subject, |_| Reply::json(&json!({"eligible": true}))).await
}

fn is_past_its_deadline(question: &Question) -> bool {
    let deadline: u128 = question.header("Hookbus-Deadline").unwrap().parse().unwrap();
    let arrived = question.arrived.duration_since(UNIX_EPOCH).unwrap();
    arrived.as_millis() >= deadline
}

/// Posts until it is stored.
async fn stored(bridge: &Bridge, path: &str, body: &str) {
    eventually("a stored event", RECOVERY * 2, async || {
        let answer = bridge.post(path, body.to_owned(), &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

async fn answered(bridge: &Bridge, body: &str) {
    eventually("an answered question", RECOVERY, async || {
        let answer = bridge.post("/hook", body.to_owned(), &[]).await;
        (answer.header("hookbus-outcome") == Some("answered")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_question_outlives_the_connection() {
    let _calm = LOAD.read().await;
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let asked = worker(&nats, "hook.ask.>").await;
    let called = worker(&nats, "hook.tool.>").await;
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    answered(&bridge, &question(0)).await;
    answered(&bridge, &tool_call(0)).await;

    nats.kill();
    bridge.readiness("nats: down (events, questions)").await;
    for number in 1..=20 {
        let answer = bridge.post("/hook", question(number), &[]).await;
        assert_eq!((answer.status, answer.header("hookbus-outcome")), (503, Some("disconnected")));
        assert!(answer.elapsed < Duration::from_millis(200), "{:?}", answer.elapsed);
        let answer = bridge.post("/hook", tool_call(number), &[]).await;
        assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("disconnected")));
        assert!(answer.json()["results"][0]["error"].is_string());
        assert!(answer.elapsed < Duration::from_millis(200), "{:?}", answer.elapsed);
    }

    nats.restart().await;
    // The workers connect again too; then whatever was left would come before the new questions.
    answered(&bridge, &question(100)).await;
    answered(&bridge, &tool_call(100)).await;
    let number = |question: &Question| {
        let json = question.json();
        let number = json.pointer("/message/number");
        number.or(json.pointer("/arguments/number")).unwrap().as_u64()
    };
    for worker in [&asked, &called] {
        let questions = worker.questions();
        let numbers: BTreeSet<_> = questions.iter().map(number).collect();
        assert_eq!(numbers, BTreeSet::from([Some(0), Some(100)]));
    }
}

/// A server that stops to answer without a word: nothing is called stored, everything ends in time, and what it hands
/// on when it goes on is late and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_stores_and_answers_nothing_in_time() {
    let _calm = LOAD.read().await;
    const LIMIT: Duration = Duration::from_secs(1);
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let worker = worker(&nats, "hook.ask.>").await;
    let text = r#"
        [[endpoint.question]]
        types = ["*"]
        timeout = "1s"
        [nats]
        servers = ["{nats}"]
        ack_timeout = "1s"
    "#;
    let bridge =
        Bridge::config(format!("{HOOK}{text}")).nats(&nats).without_spool().start_ready().await;
    stored(&bridge, "/hook", &event("k", 0)).await;
    answered(&bridge, &question(0)).await;
    assert_eq!(worker.questions().len(), 1);

    nats.stop_signal();
    // Longer than it takes the bridge to give the connection up.
    let frozen = Instant::now();
    let mut waiting = Vec::new();
    let mut number = 0;
    while frozen.elapsed() < Duration::from_secs(5) {
        number += 1;
        for body in [event(&format!("k{number}"), number), question(number)] {
            let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
            waiting.push(tokio::spawn(async move { client.post(&url, body, &[]).await }));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for answer in join_all(waiting).await {
        let answer = answer.unwrap();
        assert!([503, 504].contains(&answer.status), "{}", answer.status);
        let limit = LIMIT + Duration::from_millis(200);
        assert!(answer.elapsed < limit, "{:?}: {}", answer.elapsed, answer.text());
        let outcome = answer.header("hookbus-outcome").unwrap_or("event");
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }
    // First it is not known yet, then it is.
    assert!(outcomes["timeout"] > 5 && outcomes["disconnected"] > 5, "{outcomes:?}");

    nats.cont_signal();
    stored(&bridge, "/hook", &event("k", 1_000)).await;
    answered(&bridge, &question(1_000)).await;
    let questions = worker.questions();
    let (late, fresh): (Vec<_>, Vec<_>) =
        questions.iter().skip(1).partition(|question| number_of(question) < 1_000);
    assert!(!late.is_empty(), "the socket held some");
    assert!(late.iter().all(|question| is_past_its_deadline(question)));
    assert!(fresh.iter().all(|question| !is_past_its_deadline(question)));
}

fn number_of(question: &Question) -> u64 {
    question.json()["message"]["number"].as_u64().unwrap()
}

/// Kafka is away from the start, comes, freezes, goes on, dies and comes back. Meanwhile one key is sent in order, and
/// NATS doesn't feel any of it.
#[tokio::test(flavor = "multi_thread")]
async fn kafka_may_come_and_go_without_harm_to_nats() {
    let _calm = LOAD.read().await;
    const LIMIT: Duration = Duration::from_secs(2);
    let (Some(nats), Some(mut kafka)) = tokio::join!(Nats::start(), Kafka::start()) else {
        return;
    };
    nats.create_stream("EVENTS", &["fast.events.>"]).await;
    kafka.create_topic("outage", 1).await;
    kafka.kill();
    let text = r#"
        [[endpoint.event]]
        types = ["*"]
        to = ["kafka:outage"]
        [[endpoint]]
        name = "fast"
        path = "/fast"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        [kafka]
        brokers = ["{kafka}"]
        ack_timeout = "2s"
    "#;
    let bridge = Bridge::config(format!("{HOOK}{text}"))
        .nats(&nats)
        .kafka(&kafka)
        .without_spool()
        .start_ready()
        .await;
    let refused = async || {
        let answers = (0..20).map(|number| {
            let body = event(&format!("refused-{number}"), number);
            bridge.post("/hook", body, &[])
        });
        for answer in join_all(answers).await {
            assert_eq!(answer.status, 503);
            let limit = LIMIT + Duration::from_millis(200);
            assert!(answer.elapsed < limit, "{:?}", answer.elapsed);
        }
    };
    // NATS all the while, and one key to Kafka.
    let stop = Arc::new(AtomicBool::new(false));
    let fast = tokio::spawn(keep_fast(bridge.client().clone(), bridge.url("/fast"), stop.clone()));
    let sent = Arc::new(AtomicUsize::new(0));
    let ordered = tokio::spawn(send_in_order(
        bridge.client().clone(),
        bridge.url("/hook"),
        stop.clone(),
        sent.clone(),
    ));

    refused().await;
    let ready = bridge.readiness("kafka: down (producer)").await;
    assert_eq!(ready.status, 200, "NATS is there");
    kafka.restart().await;
    stored(&bridge, "/hook", &event("there", 0)).await;
    bridge.readiness("kafka: connected").await;

    kafka.stop_signal();
    refused().await;
    kafka.cont_signal();
    stored(&bridge, "/hook", &event("thawed", 0)).await;

    kafka.kill();
    refused().await;
    bridge.readiness("kafka: down (producer)").await;
    kafka.restart().await;
    stored(&bridge, "/hook", &event("back", 0)).await;

    let before = sent.load(Ordering::Relaxed);
    eventually("more of the key", RECOVERY, async || {
        (sent.load(Ordering::Relaxed) > before + 20).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut took = fast.await.unwrap();
    let count = ordered.await.unwrap();
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(took.len() > 200 && p99 < Duration::from_millis(250), "{} {p99:?}", took.len());

    let records = kafka.records("outage", count).await;
    let mut numbers: Vec<usize> = Vec::new();
    for record in records {
        let number = number(&record.payload.unwrap());
        if record.key.as_deref() == Some(b"ordered") && !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    // The last one may have been refused, and stored all the same.
    assert!(numbers.len() >= count);
    assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
}

async fn keep_fast(client: Client, url: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = client.post(&url, event("fast", took.len()), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        took.push(answer.elapsed);
        sleep(Duration::from_millis(20)).await;
    }
    took
}

async fn send_in_order(
    client: Client,
    url: String,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> usize {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        match client.post(&url, event("ordered", number), &[]).await.status {
            200 => {
                number += 1;
                sent.store(number, Ordering::Relaxed);
            }
            status => assert_eq!(status, 503),
        }
        sleep(Duration::from_millis(5)).await;
    }
    number
}

#[tokio::test]
async fn a_bridge_without_its_broker_says_so_and_waits_for_it() {
    let _calm = LOAD.read().await;
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    nats.kill();
    let text = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"500ms\"\n";
    let bridge = Bridge::config(format!("{HOOK}{text}")).nats(&nats).without_spool().start().await;
    let ready = bridge.readiness("not ready: nothing can be served").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("nats: down (events, questions)"), "{}", ready.text());
    assert_eq!(bridge.metric(r#"hookbus_broker_connected{broker="nats"}"#).await, 0.0);
    bridge.logs("not connected to NATS; retrying").await;
    let answer = bridge.post("/hook", event("k", 0), &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.elapsed < Duration::from_millis(700), "{:?}", answer.elapsed);

    nats.restart().await;
    let ready = bridge.readiness("nats: connected").await;
    assert_eq!(ready.status, 200);
    stored(&bridge, "/hook", &event("k", 1)).await;
    assert_eq!(bridge.metric(r#"hookbus_broker_connected{broker="nats"}"#).await, 1.0);
}

/// Memory is what is in flight, not what was ever asked: a server that answers nothing leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_answered_leaves_nothing_behind() {
    let _load = LOAD.write().await;
    const UNANSWERED: f64 = 100_000.0;
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let _deaf = Worker::start(&nats, "hook.>", |_| Reply::none()).await;
    let text = r#"
        [[endpoint.tool]]
        names = ["*"]
        timeout = "50ms"
        [nats]
        servers = ["{nats}"]
        ack_timeout = "50ms"
    "#;
    let bridge =
        Bridge::config(format!("{HOOK}{text}")).nats(&nats).without_spool().start_ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..128)
        .map(|key| tokio::spawn(send_in_vain(bridge.address(), key, stop.clone())))
        .collect();
    let unanswered = async || {
        let asked =
            r#"hookbus_ask_seconds_count{endpoint="hook",type="",function="*",outcome="timeout"}"#;
        let published = r#"hookbus_publish_errors_total{destination="nats:{endpoint}.events.{type}",reason="timeout"}"#;
        let (asked, published) = (bridge.metric(asked).await, bridge.metric(published).await);
        assert!(asked == 0.0 || published > 0.0);
        asked + published
    };
    // Frozen again and again, mostly for less time than it takes to notice, and now and then for longer.
    let mut warm = None;
    for round in 0.. {
        nats.stop_signal();
        let is_long = round % 4 == 3;
        sleep(Duration::from_millis(if is_long { 4_000 } else { 1_500 })).await;
        nats.cont_signal();
        sleep(Duration::from_millis(300)).await;
        let count = unanswered().await;
        if count > UNANSWERED {
            break;
        }
        if count > UNANSWERED / 5.0 {
            warm.get_or_insert_with(|| bridge.rss_bytes());
        }
        assert!(round < 60, "{count}");
    }
    let (warm, after) = (warm.unwrap(), bridge.rss_bytes());
    // One place of the inbox that isn't given back takes some 300 bytes: 80,000 of them would be 24 MB.
    assert!(after < warm + (10 << 20), "{warm} bytes grew to {after}");
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    eventually("an empty bridge", Duration::from_secs(5), async || {
        (bridge.metric("hookbus_in_flight").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(bridge.metric("hookbus_in_flight_bytes").await, 0.0);
}

/// Some events, then a webhook with many questions, again and again.
async fn send_in_vain(address: String, key: usize, stop: Arc<AtomicBool>) {
    let calls: Vec<_> = (0..32)
        .map(|call| json!({"id": format!("call_{call}"), "name": "f", "arguments": {}}))
        .collect();
    let questions = json!({"message": {"type": "tool-calls", "toolCallList": calls}}).to_string();
    let event = event(&format!("k{key}"), 0);
    let mut connection = Connection::open(&address).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..4 {
            let answer = connection.post("/hook", &event).await.unwrap();
            assert_eq!(answer.status, 503);
        }
        let answer = connection.post("/hook", &questions).await.unwrap();
        let outcome = answer.header("hookbus-outcome").unwrap();
        assert!(["timeout", "disconnected"].contains(&outcome), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_called_stored_is_stored_when_the_bridge_is_stopped() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let mut bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    let senders: Vec<_> = (0..32)
        .map(|sender| {
            let address = bridge.address();
            tokio::spawn(async move {
                let mut stored = Vec::new();
                let mut connection = Connection::open(&address).await.unwrap();
                // Until the bridge closes the connection.
                while let Ok(answer) =
                    connection.post("/hook", &event(&format!("k{sender}"), stored.len())).await
                {
                    match answer.status {
                        200 => stored.push(answer.header("hookbus-id").unwrap().to_owned()),
                        status => assert_eq!(status, 503),
                    }
                }
                stored
            })
        })
        .collect();
    nats.messages("EVENTS", 200).await;
    // Now they are surely in flight, on their way to a server that doesn't move.
    nats.stop_signal();
    eventually("events in flight", Duration::from_secs(5), async || {
        let in_flight = bridge.metric(r#"hookbus_in_flight{kind="event"}"#).await;
        (in_flight == 32.0).then_some(())
    })
    .await;
    bridge.signal("TERM");
    eventually("its stop", Duration::from_secs(5), async || {
        bridge.log().contains("stopping").then_some(())
    })
    .await;
    nats.cont_signal();
    let status = bridge.wait().await;
    assert_eq!(status.code(), Some(0), "{}", bridge.log());
    let told: Vec<String> = join_all(senders).await.into_iter().flat_map(Result::unwrap).collect();
    let messages = nats.messages("EVENTS", told.len() as u64).await;
    let there: BTreeSet<&str> =
        messages.iter().map(|message| message.header("ce-id").unwrap()).collect();
    for id in &told {
        assert!(there.contains(&**id), "{id} was called stored");
    }
    // Those in flight at the signal were not given up.
    assert_eq!(there.len(), told.len());
}
