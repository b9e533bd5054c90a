//! How much of what is on disk is in flight at the same time: by number, and by bytes.

use bytes::Bytes;

use super::script::{Mode, Paths, event, in_time, no_topic, pass, reject, retry, until};
use super::*;
use crate::publish::dead_letters::{Filter, SpoolTasks, Task};

/// A destination of several names.
const TO: &str = "nats:e.{type}";
const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

async fn paths(folder: &tempfile::TempDir) -> Paths {
    let paths = Paths::new(folder.path(), 1_000).await;
    configured(&paths.all, TO, 1_000);
    paths
}

/// Stores events of this size, numbered from 0 on, each of a key of its own.
async fn store(paths: &Paths, names: impl IntoIterator<Item = String>, size: usize) {
    let payload = Bytes::from(vec![b'.'; size]);
    for (number, name) in names.into_iter().enumerate() {
        let event = event("t", &format!("k{number}"), &number.to_string());
        let event = Event { payload: payload.clone(), ..event };
        let storing = paths.begin_event(&name, &[TO], event);
        until("a receipt", || storing.is_finished()).await;
        assert!(matches!(storing.await.unwrap(), Ok(Receipt::Spooled | Receipt::DeadLettered)));
    }
}

/// What is under way once the first one was taken, and no other is.
async fn most_of(paths: &Paths) -> usize {
    paths.nats.names_are_like_others();
    paths.nats.all(Mode::Hangs);
    paths.nats.one("0", Mode::Takes);
    in_time("the first one", || paths.nats.taken() == ["0"]).await;
    in_time("others", || paths.nats.under_way() > 1).await;
    pass(SECOND).await;
    paths.nats.under_way()
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_by_number_and_bytes() {
    for (records, size, expected) in [(300, 2, 256), (10, MIB, 4), (6, 5 * MIB, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = paths(&folder).await;
        paths.nats.all(retry());
        store(&paths, std::iter::repeat_n("e.a".to_owned(), records), size).await;
        paths.nats.all(Mode::Hangs);
        paths.nats.one("0", Mode::Takes);
        paths.drain();
        in_time("the first one", || paths.nats.taken() == ["0"]).await;
        in_time("others", || paths.nats.under_way() > 0).await;
        pass(SECOND).await;
        assert_eq!(paths.nats.under_way(), expected, "{records} of {size} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_apart_is_bounded_by_number_and_bytes() {
    for (records, size, expected) in [(300, 2, 256), (10, MIB, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = paths(&folder).await;
        paths.drain();
        paths.nats.name("e.none", no_topic());
        store(&paths, std::iter::repeat_n("e.none".to_owned(), records), size).await;
        assert_eq!(paths.apart(), records as u64);
        assert_eq!(most_of(&paths).await, expected, "{records} of {size} bytes");
    }
}

/// Names that may take nothing wait for their answers a few at a time.
#[tokio::test(start_paused = true)]
async fn few_names_are_tried_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    let name = |number: usize| format!("e.none-{number}");
    for number in 0..40 {
        paths.nats.name(&name(number), no_topic());
    }
    store(&paths, (0..40).map(name), 2).await;
    in_time("attempts", || paths.nats.attempts() > 100).await;
    paths.nats.names_are_like_others();
    paths.nats.all(Mode::Hangs);
    for _ in 0..60 {
        pass(SECOND / 20).await;
    }
    assert_eq!(paths.nats.under_way(), 8);
}

/// Of several names one record each is kept in memory, and tried every two seconds; by reading the queue again it would be
/// far less often.
#[tokio::test(start_paused = true)]
async fn large_records_of_several_names_are_tried_as_often() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    let name = |number: usize| format!("e.none-{number}");
    for number in 0..6 {
        paths.nats.name(&name(number), no_topic());
    }
    store(&paths, (0..6).map(name), MIB).await;
    pass(SECOND).await;
    let before = paths.nats.attempts();
    for _ in 0..240 {
        pass(SECOND / 4).await;
    }
    let attempts = paths.nats.attempts() - before;
    assert!((150..=190).contains(&attempts), "{attempts} in a minute");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_bounded_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = paths(&folder).await;
    paths.nats.all(reject());
    store(&paths, std::iter::repeat_n("e.a".to_owned(), 24), MIB).await;
    assert_eq!(paths.spool.dead_letters().len(), 24);
    paths.nats.all(Mode::Hangs);
    for id in ["0", "1", "2"] {
        paths.nats.one(id, Mode::Takes);
    }
    let tasks = SpoolTasks::new(paths.all.clone());
    let all = Filter { all: true, ..Filter::default() };
    let lines = tasks.begin(Task::Replay(all)).unwrap();
    in_time("the first ones", || paths.nats.taken().len() == 3).await;
    in_time("others", || paths.nats.under_way() > 0).await;
    pass(SECOND).await;
    assert_eq!(paths.nats.under_way(), 16);
    drop(lines);
}
