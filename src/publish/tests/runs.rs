//! Several events of one key, sent as a run.

use super::script::{Mode, Paths, in_time, pass, reject, retry, until};
use super::*;

const TO: &[&str] = &["nats:events"];

type Storing = tokio::task::JoinHandle<Result<Receipt, Refusal>>;

async fn paths(folder: &tempfile::TempDir) -> Paths {
    let paths = Paths::new(folder.path(), 1_000).await;
    paths.nats.takes_runs();
    paths
}

/// The first one is on its way, and the others wait behind it.
async fn waiting(paths: &Paths, key: &str, count: usize) -> Vec<Storing> {
    paths.nats.one(&format!("{key}0"), Mode::Hangs);
    let mut all = vec![paths.begin(TO, key, &format!("{key}0"))];
    until("the first one under way", || paths.nats.under_way() == 1).await;
    for number in 1..=count {
        all.push(paths.begin(TO, key, &format!("{key}{number}")));
    }
    pass(Duration::ZERO).await;
    all
}

async fn receipts(all: Vec<Storing>) -> Vec<Result<Receipt, Refusal>> {
    let mut receipts = Vec::new();
    for storing in all {
        receipts.push(storing.await.unwrap());
    }
    receipts
}

fn ids(key: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{key}{number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_sent_together() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths(&folder).await;
    let all = waiting(&paths, "k", 300).await;
    assert_eq!(paths.nats.attempts(), 1);
    paths.nats.one("k0", Mode::Takes);
    assert!(receipts(all).await.iter().all(|receipt| *receipt == Ok(Receipt::Stored)));
    assert_eq!(paths.nats.taken(), ids("k", 301));
    assert_eq!(paths.nats.runs(), [128, 128, 44], "no more than are worth it");
    // Nobody waits: it is sent as ever.
    assert_eq!(paths.store("k", "last").await, Ok(Receipt::Stored));
    assert!(paths.nats.runs().is_empty());
}

/// Those before it are stored, and those behind it wait until it is known what becomes of it.
#[tokio::test(start_paused = true)]
async fn what_fails_stops_those_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    let all = waiting(&paths, "k", 5).await;
    paths.nats.one("k3", retry());
    paths.nats.one("k0", Mode::Takes);
    let (stored, spooled) = (Ok(Receipt::Stored), Ok(Receipt::Spooled));
    assert_eq!(
        receipts(all).await,
        [[(); 3].map(|()| stored.clone()), [(); 3].map(|()| spooled.clone())].concat()
    );
    assert_eq!((paths.nats.taken(), paths.nats.runs()), (ids("k", 3), vec![5]));
    paths.nats.one("k3", Mode::Takes);
    paths.drain();
    paths.drained().await;
    assert_eq!(paths.nats.taken(), ids("k", 6));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_in_a_run_is_alone() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths(&folder).await;
    let all = waiting(&paths, "k", 4).await;
    paths.nats.one("k2", reject());
    paths.nats.one("k0", Mode::Takes);
    let stored = Ok(Receipt::Stored);
    let expected =
        [&stored, &stored, &Ok(Receipt::DeadLettered), &stored, &stored].map(Clone::clone);
    assert_eq!(receipts(all).await, expected);
    assert_eq!(paths.nats.taken(), ["k0", "k1", "k3", "k4"]);
}

/// A sender that leaves before its turn stores nothing; one that leaves later takes no other event along.
#[tokio::test(start_paused = true)]
async fn senders_that_go_away_leave_the_run_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths(&folder).await;
    let mut all = waiting(&paths, "k", 5).await;
    all.remove(2).abort();
    paths.nats.one("k3", Mode::Hangs);
    paths.nats.one("k0", Mode::Takes);
    until("those before it", || paths.nats.taken() == ["k0", "k1"]).await;
    // The one that is on its way.
    all.remove(2).abort();
    pass(Duration::ZERO).await;
    paths.nats.one("k3", Mode::Takes);
    assert!(receipts(all).await.iter().all(|receipt| *receipt == Ok(Receipt::Stored)));
    assert_eq!(
        (paths.nats.taken(), paths.nats.runs()),
        (vec!["k0", "k1", "k3", "k4", "k5"].into_iter().map(str::to_owned).collect(), vec![4])
    );
    assert_eq!(paths.store("k", "last").await, Ok(Receipt::Stored));
}

/// A run is given up with the first of its senders, and none of them waits longer for it.
#[tokio::test(start_paused = true)]
async fn a_run_takes_no_longer_than_the_shortest_budget() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths(&folder).await;
    let hurried = Duration::from_secs(1);
    paths.nats.one("first", Mode::Hangs);
    let first = paths.begin(TO, "k", "first");
    until("the first one under way", || paths.nats.under_way() == 1).await;
    let all = [paths.begin(TO, "k", "patient"), paths.begin_within(hurried, "k", "hurried")];
    pass(Duration::ZERO).await;
    paths.nats.all(Mode::Hangs);
    paths.nats.one("first", Mode::Takes);
    assert_eq!(first.await.unwrap(), Ok(Receipt::Stored));
    let [patient, hurried_one] = all;
    pass(hurried).await;
    assert_eq!((paths.nats.runs(), patient.is_finished()), (vec![2], false), "it tries by itself");
    pass(BUDGET).await;
    until("both", || patient.is_finished() && hurried_one.is_finished()).await;
    assert_eq!(
        receipts(vec![patient, hurried_one]).await,
        [Ok(Receipt::Spooled), Ok(Receipt::Spooled)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_drained_in_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.nats.all(retry());
    for id in ids("k", 200) {
        assert_eq!(paths.store("k", &id).await, Ok(Receipt::Spooled));
    }
    for id in ["l0", "l1", "l2"] {
        assert_eq!(paths.store("l", id).await, Ok(Receipt::Spooled));
    }
    // What is in its way stays there for a while.
    paths.nats.all(Mode::Takes);
    paths.nats.one("k150", retry());
    paths.drain();
    in_time("the other key, and all before it", || paths.queued() == 50).await;
    assert_eq!(paths.nats.taken_of("k"), ids("k", 150));
    let mut runs = paths.nats.runs();
    runs.sort_unstable();
    // The first one was tried by itself, as long as it wasn't known whether anything works.
    assert_eq!(runs, [3, 71, 128]);
    pass(Duration::from_secs(10)).await;
    assert_eq!(paths.queued(), 50);
    paths.nats.one("k150", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ids("k", 200));
    assert_eq!(paths.nats.taken_of("l"), ids("l", 3));
    assert_eq!(paths.store("k", "last").await, Ok(Receipt::Stored));
}
