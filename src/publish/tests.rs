#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod dead_letters;
mod disk;
mod in_flight;
mod late;
mod names;
mod paths;
mod runs;
mod script;
mod drain_lock;

use std::pin::Pin;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout_at;

use super::*;
use crate::sink::{self, Sending};
use crate::trace::Trace;

/// A sink that tells what it is handed, and acknowledges when it is told to.
struct Manual {
    handed: mpsc::Sender<(String, Arc<Notify>)>,
    error: Mutex<Option<sink::Error>>,
}

impl Sink for Manual {
    fn send<'a>(&'a self, _: &'a str, event: &'a Event, deadline: Instant) -> Sending<'a> {
        Box::pin(async move {
            if let Some(error) = self.error.lock().clone() {
                return Err(error);
            }
            let acknowledged = Arc::new(Notify::new());
            let handed = (event.id.to_string(), acknowledged.clone());
            self.handed.send(handed).await.unwrap();
            match timeout_at(deadline, acknowledged.notified()).await {
                Ok(()) => Ok(()),
                Err(_) => Err(sink::Error::timeout()),
            }
        })
    }

    fn recovered(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(Duration::from_millis(250)))
    }
}

const BUDGET: Duration = Duration::from_secs(5);

struct Bench {
    sink: Arc<Manual>,
    destination: Arc<Destination>,
    handed: mpsc::Receiver<(String, Arc<Notify>)>,
}

impl Bench {
    fn new(max: usize) -> Self {
        let (sender, handed) = mpsc::channel(100);
        let sink = Arc::new(Manual { handed: sender, error: Mutex::new(None) });
        let timed = SinkWithTimeout { sink: sink.clone(), ack_timeout: BUDGET };
        let sinks = Sinks { jetstream: Some(timed), ..Sinks::default() };
        let all = Destinations::new(sinks, None, Arc::default(), Arc::default());
        let destination = configured(&all, "nats:events", max);
        Self { sink, destination, handed }
    }

    fn begin(&self, id: &str, key: Option<&str>) -> Result<Publishing, Refusal> {
        let event = Event {
            id: id.into(),
            endpoint: "e".into(),
            kind: "t".into(),
            key: key.map(Into::into),
            subject: None,
            time: SystemTime::now(),
            content_type: "application/json".into(),
            payload: bytes::Bytes::new(),
            trace: Trace::default(),
            dedupe: true,
        };
        begin([(self.destination.clone(), "events".to_owned())], event)
    }

    async fn next(&mut self) -> (String, Arc<Notify>) {
        self.handed.recv().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn one_key_is_stored_one_by_one_in_the_order_of_the_turns() {
    let mut bench = Bench::new(100);
    let turns: Vec<_> = ["1", "2", "3"].map(|id| bench.begin(id, Some("k")).unwrap()).into();
    let other = bench.begin("other", Some("l")).unwrap();
    // Later turns are waited for first: the order is that of the turns all the same.
    let waiting: Vec<_> = turns.into_iter().rev().map(|turn| tokio::spawn(turn.finish())).collect();
    let (first, acknowledge) = bench.next().await;
    assert_eq!(first, "1");
    let other = tokio::spawn(other.finish());
    let (id, of_other) = bench.next().await;
    assert_eq!(id, "other", "another key doesn't wait");
    of_other.notify_one();
    assert_eq!(other.await.unwrap(), Ok(Receipt::Stored));
    assert!(bench.handed.try_recv().is_err(), "one at a time");
    acknowledge.notify_one();
    for expected in ["2", "3"] {
        let (id, acknowledge) = bench.next().await;
        assert_eq!(id, expected);
        acknowledge.notify_one();
    }
    for task in waiting {
        assert_eq!(task.await.unwrap(), Ok(Receipt::Stored));
    }
    assert!(bench.destination.keys.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_passes_the_turn_on() {
    let mut bench = Bench::new(100);
    let first = tokio::spawn(bench.begin("1", Some("k")).unwrap().finish());
    let (_, acknowledge) = bench.next().await;
    let dropped_while_waiting = bench.begin("2", Some("k")).unwrap();
    let last = tokio::spawn(bench.begin("3", Some("k")).unwrap().finish());
    drop(dropped_while_waiting);
    acknowledge.notify_one();
    first.await.unwrap().unwrap();
    let (id, acknowledge) = bench.next().await;
    assert_eq!(id, "3");
    acknowledge.notify_one();
    last.await.unwrap().unwrap();
    // A turn that came but was never used.
    let unused = bench.begin("4", Some("k")).unwrap();
    let after = tokio::spawn(bench.begin("5", Some("k")).unwrap().finish());
    drop(unused);
    let (id, acknowledge) = bench.next().await;
    assert_eq!(id, "5");
    acknowledge.notify_one();
    after.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_counts_against_the_budget() {
    let mut bench = Bench::new(100);
    let began = Instant::now();
    let stuck = tokio::spawn(bench.begin("1", Some("k")).unwrap().finish());
    let behind = tokio::spawn(bench.begin("2", Some("k")).unwrap().finish());
    let (_, _never) = bench.next().await;
    assert_eq!(stuck.await.unwrap(), Err(Refusal::NotStored("timeout")));
    assert_eq!(behind.await.unwrap(), Err(Refusal::NotStored("queued")));
    assert_eq!(began.elapsed().as_secs(), BUDGET.as_secs());
    assert!(bench.handed.try_recv().is_err(), "nothing is handed over after its budget");
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_tried_again_and_a_fault_is_not() {
    let mut bench = Bench::new(100);
    *bench.sink.error.lock() = Some(sink::Error::transient("no-stream", "an election"));
    let event = tokio::spawn(bench.begin("1", None).unwrap().finish());
    tokio::time::sleep(Duration::from_secs(1)).await;
    *bench.sink.error.lock() = None;
    let (_, acknowledge) = bench.next().await;
    acknowledge.notify_one();
    assert_eq!(event.await.unwrap(), Ok(Receipt::Stored));

    *bench.sink.error.lock() = Some(sink::Error::unavailable("store-failed", "full"));
    let began = Instant::now();
    let refused = bench.begin("2", None).unwrap().finish().await;
    assert_eq!(
        (refused, began.elapsed()),
        (Err(Refusal::NotStored("store-failed")), Duration::ZERO)
    );

    *bench.sink.error.lock() = Some(sink::Error::transient("no-stream", "no stream"));
    let refused = bench.begin("3", None).unwrap().finish().await;
    assert_eq!(refused, Err(Refusal::NotStored("no-stream")));
    assert_eq!(began.elapsed().as_secs(), BUDGET.as_secs());
}

/// A live view that misses an event is nobody's loss.
#[tokio::test(start_paused = true)]
async fn what_is_for_a_live_view_fails_nothing() {
    let bench = Bench::new(100);
    let timed = SinkWithTimeout { sink: bench.sink.clone(), ack_timeout: BUDGET };
    let sinks = Sinks { nats_core: Some(timed), ..Sinks::default() };
    let all = Destinations::new(sinks, None, Arc::default(), Arc::default());
    let view = Bench { destination: configured(&all, "nats-core:live", 100), ..bench };
    let began = Instant::now();
    for error in [
        sink::Error::unavailable("store-failed", "full"),
        sink::Error::permanent("too-large", "it is too large"),
        sink::Error::transient(sink::DISCONNECTED, "gone"),
    ] {
        *view.sink.error.lock() = Some(error);
        assert_eq!(view.begin("1", Some("k")).unwrap().finish().await, Ok(Receipt::Stored));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_destination_takes_no_more_than_its_share() {
    let bench = Bench::new(2);
    let first = bench.begin("1", None).unwrap();
    let _second = bench.begin("2", None).unwrap();
    assert!(matches!(bench.begin("3", None), Err(Refusal::Overloaded(_))));
    drop(first);
    assert!(bench.begin("4", None).is_ok());
}

/// One destination more, beside those that there are; `max` events may be in flight.
fn configured(all: &Destinations, text: &str, max: usize) -> Arc<Destination> {
    let draft = all.draft();
    let known: Vec<String> = all.by_text.read().keys().cloned().collect();
    for text in known {
        draft.get(&text).unwrap();
    }
    let destination = draft.get(text).unwrap();
    all.adopt(draft, max);
    destination
}

#[test]
fn equal_texts_share_a_destination_and_all_share_the_room() {
    let bench = Bench::new(10);
    let timed = SinkWithTimeout { sink: bench.sink.clone(), ack_timeout: BUDGET };
    let sinks = Sinks { jetstream: Some(timed), ..Sinks::default() };
    let all = Destinations::new(sinks, None, Arc::default(), Arc::default());
    let one = configured(&all, "nats:a", 10);
    assert_eq!(one.share.load(Ordering::Relaxed), 10);
    assert!(Arc::ptr_eq(&one, &configured(&all, "nats:a", 10)));
    configured(&all, "nats:b", 10);
    configured(&all, "nats:c", 10);
    assert_eq!(one.share.load(Ordering::Relaxed), 4);
    assert!(all.draft().get("kafka:a").is_err());
}

#[test]
fn a_draft_that_is_dropped_changes_nothing() {
    let bench = Bench::new(10);
    let timed = SinkWithTimeout { sink: bench.sink.clone(), ack_timeout: BUDGET };
    let sinks = Sinks { jetstream: Some(timed), ..Sinks::default() };
    let all = Destinations::new(sinks, None, Arc::default(), Arc::default());
    let one = configured(&all, "nats:a", 10);
    let draft = all.draft();
    assert!(Arc::ptr_eq(&one, &draft.get("nats:a").unwrap()));
    let other = draft.get("nats:b").unwrap();
    assert!(Arc::ptr_eq(&other, &draft.get("nats:b").unwrap()));
    drop(draft);
    assert_eq!(one.share.load(Ordering::Relaxed), 10);
    assert!(!all.is_configured("nats:b"));
    // What is in use no longer stays known, and takes no share.
    let draft = all.draft();
    draft.get("nats:c").unwrap();
    all.adopt(draft, 10);
    assert!(all.is_configured("nats:a") && all.is_configured("nats:c"));
    assert_eq!(one.share.load(Ordering::Relaxed), 10);
}
