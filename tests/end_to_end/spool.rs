//! What is kept on disk while a broker can't take it: nothing that was answered 2xx is lost, and every key keeps its
//! order.

mod crash;
mod damage;
mod dead_letters;
mod destinations;
mod disk;
mod handover;
mod names;
mod outage;
mod restart;
mod shutdown;
mod size;
mod slow;
mod vanished;

use crate::support::bridge::Setup;
use crate::support::http::{Answer, Client};
use crate::support::{Bridge, Kafka, LOAD, Nats, endpoint, eventually};
use bytes::Bytes;
use futures_util::future::join_all;
use hookbus::message::Event;
use hookbus::spool::{Record, Spool};
use hookbus::trace::Trace;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What a broker may take to acknowledge, in these tests.
const ACK: Duration = Duration::from_secs(2);
/// What a busy machine and a build for debugging may add to any answer.
const SLACK: Duration = Duration::from_millis(400);
/// How soon all that was kept is with a broker that is back.
const RECOVERY: Duration = Duration::from_secs(30);

/// One endpoint whose events go to these destinations.
fn config(spool: &Path, to: &[&str]) -> String {
    format!("{}\n[spool]\ndir = {spool:?}\n", endpoint("hook").events_to(to))
}

/// A broker that holds the events of one test.
enum Broker {
    Nats(Nats),
    Kafka(Kafka),
}

impl Broker {
    async fn nats() -> Option<Self> {
        let nats = Nats::start().await?;
        nats.create_stream("EVENTS", &["events.>"]).await;
        Some(Self::Nats(nats))
    }

    async fn kafka() -> Option<Self> {
        let kafka = Kafka::start().await?;
        kafka.create_topic("events", 3).await;
        Some(Self::Kafka(kafka))
    }

    fn destination(&self) -> &'static str {
        match self {
            Self::Nats(_) => "nats:events.{type}",
            Self::Kafka(_) => "kafka:events",
        }
    }

    /// Its line in `/readyz` while it is dead.
    fn down(&self) -> &'static str {
        match self {
            Self::Nats(_) => "nats: down",
            Self::Kafka(_) => "kafka: down",
        }
    }

    fn setup(&self, spool: &Path) -> Setup {
        let config = config(spool, &[self.destination()]);
        match self {
            Self::Nats(nats) => Bridge::config(format!(
                "{config}\n[nats]\nservers = [\"{{nats}}\"]\nack_timeout = \"{ACK:?}\"\n"
            ))
            .nats(nats),
            Self::Kafka(kafka) => Bridge::config(format!(
                "{config}\n[kafka]\nbrokers = [\"{{kafka}}\"]\nack_timeout = \"{ACK:?}\"\n"
            ))
            .kafka(kafka),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Nats(nats) => nats.kill(),
            Self::Kafka(kafka) => kafka.kill(),
        }
    }

    async fn restart(&mut self) {
        match self {
            Self::Nats(nats) => nats.restart().await,
            Self::Kafka(kafka) => kafka.restart().await,
        }
    }

    fn freeze(&mut self) {
        match self {
            Self::Nats(nats) => nats.stop_signal(),
            Self::Kafka(kafka) => kafka.stop_signal(),
        }
    }

    fn thaw(&mut self) {
        match self {
            Self::Nats(nats) => nats.cont_signal(),
            Self::Kafka(kafka) => kafka.cont_signal(),
        }
    }

    /// All that it holds, in its order.
    async fn stored(&self) -> Vec<Stored> {
        match self {
            Self::Nats(nats) => Self::stored_in(nats, "EVENTS").await,
            Self::Kafka(kafka) => {
                let records = kafka.records("events", 0).await;
                let stored = records.iter().map(|record| {
                    let payload = record.payload.as_deref().unwrap();
                    Stored::new(payload, record.header("ce_id"))
                });
                stored.collect()
            }
        }
    }

    async fn stored_in(nats: &Nats, stream: &str) -> Vec<Stored> {
        let messages = nats.messages(stream, 0).await;
        let stored =
            messages.iter().map(|message| Stored::new(&message.payload, message.header("ce-id")));
        stored.collect()
    }
}

fn event(key: &str, number: usize) -> String {
    json!({"message": {"type": "hang", "call": {"id": key}, "number": number}}).to_string()
}

/// An event as a broker holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    key: String,
    number: usize,
    id: String,
}

impl Stored {
    fn new(payload: &[u8], id: Option<&str>) -> Self {
        let body: serde_json::Value = serde_json::from_slice(payload).unwrap();
        let message = &body["message"];
        Self {
            key: message["call"]["id"].as_str().unwrap().to_owned(),
            number: message["number"].as_u64().unwrap() as usize,
            id: id.unwrap().to_owned(),
        }
    }
}

/// An event that was sent, and the answer.
struct Sent {
    key: String,
    number: usize,
    answer: Answer,
}

impl Sent {
    /// What a broker has to hold of it.
    fn stored(&self) -> Stored {
        let id = self.answer.header("hookbus-id").expect("an id with every 2xx");
        Stored { key: self.key.clone(), number: self.number, id: id.to_owned() }
    }
}

/// Sends the next events of a key, one after another.
async fn send(bridge: &Bridge, key: &str, numbers: std::ops::Range<usize>) -> Vec<Sent> {
    send_to(bridge.client(), &bridge.url("/hook"), key, numbers).await
}

async fn send_to(
    client: &Client,
    url: &str,
    key: &str,
    numbers: std::ops::Range<usize>,
) -> Vec<Sent> {
    let mut all = Vec::new();
    for number in numbers {
        let answer = client.post(url, event(key, number), &[]).await;
        all.push(Sent { key: key.to_owned(), number, answer });
    }
    all
}

/// The same for several keys at once: `k0`, `k1`, ...
async fn send_all(bridge: &Bridge, keys: usize, numbers: std::ops::Range<usize>) -> Vec<Sent> {
    let names: Vec<_> = (0..keys).map(|key| format!("k{key}")).collect();
    let sent = names.iter().map(|key| send(bridge, key, numbers.clone()));
    join_all(sent).await.into_iter().flatten().collect()
}

/// Between the events of one key. A disk takes them much faster than a broker that acknowledges one event of a key after
/// the other: with less of a pause the queue of a busy key ends by chance, or not at all.
const PAUSE: Duration = Duration::from_millis(20);

/// Sends one key after the other round and round until it is told to stop; each is sent in order.
struct Traffic {
    stop: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<Vec<Sent>>>,
}

impl Traffic {
    /// `keys` senders, each with a key of its own, whose numbers begin at `first`.
    fn start(bridge: &Bridge, keys: usize, first: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = (0..keys).map(|key| {
            let (client, url) = (bridge.client().clone(), bridge.url("/hook"));
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                let mut number = first;
                while !stop.load(Ordering::Relaxed) {
                    all.extend(
                        send_to(&client, &url, &format!("k{key}"), number..number + 1).await,
                    );
                    number += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                all
            })
        });
        Self { stop: stop.clone(), senders: senders.collect() }
    }

    async fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.senders).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

/// How many were answered with each status.
fn statuses(sent: &[Sent]) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for sent in sent {
        *statuses.entry(sent.answer.status).or_default() += 1;
    }
    statuses
}

fn assert_all(sent: &[Sent], status: u16) {
    let wrong = sent.iter().find(|sent| sent.answer.status != status);
    let text = wrong.map(|sent| sent.answer.text());
    assert!(wrong.is_none(), "{:?}, expected {status}: {text:?}", statuses(sent));
}

/// 99 of 100 took no longer.
fn p99(sent: &[Sent]) -> Duration {
    let mut times: Vec<_> = sent.iter().map(|sent| sent.answer.elapsed).collect();
    times.sort();
    times[(times.len() - 1) * 99 / 100]
}

/// All that was answered 2xx is there, under the id that the sender was told, and every key is in order. Returns how
/// many are there more than once.
fn assert_kept(sent: &[Sent], stored: &[Stored]) -> usize {
    let accepted: BTreeSet<_> =
        sent.iter().filter(|sent| sent.answer.status < 300).map(Sent::stored).collect();
    let mut known = BTreeSet::new();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for event in stored.iter().filter(|event| known.insert(*event)) {
        let before = last.insert(&event.key, event.number);
        assert!(
            before.is_none_or(|before| before < event.number),
            "{event:?} comes after {before:?}"
        );
    }
    let lost: Vec<_> = accepted.iter().filter(|event| !known.contains(event)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), accepted.len());
    stored.len() - known.len()
}

/// Waits until nothing is queued on disk.
async fn drained(bridge: &Bridge) {
    eventually("an empty spool", RECOVERY, async || {
        (bridge.metric("hookbus_spool_records").await == 0.0).then_some(())
    })
    .await;
}

/// The first number of events that are only sent to see where they go.
const PROBES: usize = 1_000_000;

/// Posts events of this key until one goes to the broker at once.
async fn stored_at_once(bridge: &Bridge, key: &str) {
    let number = AtomicUsize::new(PROBES);
    eventually("200", RECOVERY, async || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let answer = bridge.post("/hook", event(key, number), &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn outcomes(bridge: &Bridge, outcome: &str) -> f64 {
    let labels = format!(r#"{{endpoint="hook",type="hang",outcome="{outcome}"}}"#);
    bridge.metric(&format!("hookbus_webhooks_total{labels}")).await
}

/// Puts so many events of 1 KB and a thousand keys on disk, as a bridge does.
async fn fill(directory: &Path, destination: &str, name: &str, records: usize) {
    fill_with(directory, destination, name, records, true).await;
}

/// The same; whether JetStream may drop what it had before.
async fn fill_with(directory: &Path, destination: &str, name: &str, records: usize, dedupe: bool) {
    let settings = hookbus::config::Spool { dir: directory.to_owned(), ..Default::default() };
    let (spool, damage) = Spool::open(&settings).unwrap();
    assert!(damage.is_empty());
    let queue = spool.queue(destination);
    let record = |number: usize| {
        let key: Arc<str> = format!("k{}", number % 1_000).into();
        let mut payload = event(&key, number / 1_000).into_bytes();
        payload.resize(1_000, b' ');
        Record {
            name: name.into(),
            event: Event {
                id: format!("id-{number}").into(),
                endpoint: "hook".into(),
                kind: "ai.vapi.hang".into(),
                key: Some(key.clone()),
                subject: Some(key),
                time: SystemTime::now(),
                content_type: "application/json".into(),
                payload: Bytes::from(payload),
                trace: Trace::default(),
                dedupe,
            },
        }
    };
    for first in (0..records).step_by(5_000) {
        let batch = first..records.min(first + 5_000);
        let begun: Vec<_> = batch.map(|number| queue.begin(&record(number)).unwrap()).collect();
        for appending in begun {
            appending.finish().await.unwrap();
        }
    }
}
