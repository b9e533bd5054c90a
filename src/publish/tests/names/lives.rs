//! What waits apart outlives the process, and the configuration.

use super::*;
use crate::publish::dead_letters::{Line, Lines, SpoolTasks, Summary, Task};

/// As a process that ends in order.
fn end(paths: Paths) {
    paths.all.give_up();
    paths.spool.close();
}

/// The same, and the next one.
async fn next_life(paths: Paths, folder: &tempfile::TempDir) -> Paths {
    let taken = paths.nats.take_out();
    end(paths);
    let next = super::paths(folder).await;
    next.nats.put_back(taken);
    next
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_it_apart_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.none", no_topic());
    for number in 0..40 {
        let key = format!("k{}", number % 4);
        let id = number.to_string();
        assert_eq!(store(&paths, "e.none", &key, &id).await, Ok(Receipt::Spooled));
    }
    let mut paths = next_life(paths, &folder).await;
    paths.nats.name("e.none", no_topic());
    assert_eq!((paths.queued(), paths.apart()), (40, 40));
    // Nobody knows yet what is there: all queue, in their order.
    assert_eq!(store(&paths, "e.none", "k0", "a0").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.good", "k0", "g0").await, Ok(Receipt::Spooled));
    assert_eq!(paths.apart(), 40);
    paths.drain();
    in_time("the good one", || paths.nats.taken_by("e.good") == ["g0"]).await;
    in_time("the other one apart", || paths.apart() == 41).await;
    assert_eq!(store(&paths, "e.good", "k0", "g1").await, Ok(Receipt::Stored));
    assert_eq!(store(&paths, "e.none", "k0", "a1").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.none", "new", "n").await, Ok(Receipt::Spooled));
    assert!(paths.nats.taken_by("e.none").is_empty());

    // Mended while no process runs.
    let mut paths = next_life(paths, &folder).await;
    assert_eq!(store(&paths, "e.none", "k0", "a2").await, Ok(Receipt::Spooled));
    paths.drain();
    paths.drained().await;
    for key in 0..4 {
        let more: &[&str] = if key == 0 { &["a0", "a1", "a2"] } else { &[] };
        let of =
            |taken: &script::DrainGuard| taken.name == "e.none" && taken.key == format!("k{key}");
        let expected = (0..40).filter(|number| number % 4 == key).map(|number| number.to_string());
        let expected: Vec<_> = expected.chain(more.iter().map(|id| (*id).to_owned())).collect();
        assert_eq!(paths.nats.taken_if(of), expected);
    }
    assert_eq!(store(&paths, "e.none", "k0", "a3").await, Ok(Receipt::Stored));
}

/// While the first of its name and key is tried again, another event finds out that the name takes nothing. What comes
/// from the disk then is not taken for the first one.
#[tokio::test(start_paused = true)]
async fn what_is_tried_again_stays_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = paths(&folder).await;
    before.drain();
    before.nats.name("e.none", no_topic());
    assert_eq!(store(&before, "e.none", "k", "old").await, Ok(Receipt::Spooled));
    end(before);

    let mut paths =
        Paths::with_writer(folder.path(), 1_000, crate::config::Spool::default().sync_timeout)
            .await;
    configured(&paths.all, TO, 1_000);
    paths.nats.one("old", retry());
    paths.drain();
    while paths.nats.attempts() == 0 || paths.nats.under_way() > 0 {
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(paths.nats.attempts(), 1);
    paths.nats.one("old", Mode::Takes);
    // The destination works for others.
    assert_eq!(store(&paths, "e.good", "g", "g").await, Ok(Receipt::Spooled));
    until("a stored one", || paths.nats.taken_by("e.good") == ["g"]).await;
    let stalled = paths.stall("nats:other");
    stalled.is_paused().await;
    paths.nats.one("finder", no_topic());
    let new = paths.begin_as("e.none", &[TO], "k", "new");
    let finder = paths.begin_as("e.none", &[TO], "l", "finder");
    let blocked = "problem: nats:e.{type}: unknown-topic: `e.none` takes nothing";
    until("a name that takes nothing", || paths.health.readiness().1.contains(blocked)).await;
    stalled.end().await;
    paths.nats.one("finder", Mode::Takes);
    in_time("all of them", || paths.apart() == 0 && new.is_finished() && finder.is_finished())
        .await;
    let of_key = |taken: &script::DrainGuard| taken.name == "e.none" && taken.key == "k";
    assert_eq!(paths.nats.taken_if(of_key), ["old", "new"]);
}

async fn summary(mut lines: Lines) -> (Summary, Vec<String>) {
    let (mut last, mut given_up) = (None, Vec::new());
    in_time("the end of a replay", || {
        while let Ok(line) = lines.try_recv() {
            match line {
                Line::Summary(summary) => last = Some(summary),
                Line::GivenUp { error, .. } => given_up.push(error),
                _ => {}
            }
        }
        last.is_some()
    })
    .await;
    (last.unwrap(), given_up)
}

/// `hookbus spool drain` of a destination that left the configuration: both of its queues, and why something stays.
#[tokio::test(start_paused = true)]
async fn a_replay_publishes_what_it_can_and_says_what_takes_nothing() {
    const OLD: &str = "nats:old.{type}";
    let folder = tempfile::tempdir().unwrap();
    let mut before = paths(&folder).await;
    configured(&before.all, OLD, 100);
    before.drain();
    before.nats.name("old.none", no_topic());
    let store_old = async |paths: &Paths, name: &str, key: &str, id: &str| {
        let storing = paths.begin_as(name, &[OLD], key, id);
        until(id, || storing.is_finished()).await;
        storing.await.unwrap()
    };
    for id in ["n0", "n1"] {
        assert_eq!(store_old(&before, "old.none", "k", id).await, Ok(Receipt::Spooled));
    }
    before.nats.all(retry());
    for (name, id) in [("old.a", "a0"), ("old.none", "n2"), ("old.b", "b0")] {
        assert_eq!(store_old(&before, name, "k", id).await, Ok(Receipt::Spooled));
    }
    let next = next_life(before, &folder).await;
    let spool_tasks = SpoolTasks::new(next.all.clone());
    next.nats.name("old.none", no_topic());
    let queued = next.spool.queued();
    let old = queued.iter().find(|queued| &**queued.destination() == OLD).unwrap();
    // When its process ended, one may have been on its way to the others.
    assert_eq!(old.records(), 5);
    for _ in 0..2 {
        let lines = spool_tasks.begin(Task::Drain(OLD.to_owned())).unwrap();
        let (summary, given_up) = summary(lines).await;
        assert_eq!((summary.left, summary.stopped), (3, None));
        assert_eq!(given_up, ["unknown-topic: there is none"]);
        assert_eq!(next.nats.taken(), ["a0", "b0"]);
        assert!(!next.health.readiness().1.contains("old"), "{}", next.health.readiness().1);
    }
    next.nats.name("old.none", Mode::Takes);
    let lines = spool_tasks.begin(Task::Drain(OLD.to_owned())).unwrap();
    let (summary, given_up) = summary(lines).await;
    assert_eq!((summary.left, summary.published, given_up.len()), (0, 3, 0));
    assert_eq!(next.nats.taken_by("old.none"), ["n0", "n1", "n2"]);
}

/// A replay ends, and the bridge goes on with the same queues.
#[tokio::test(start_paused = true)]
async fn a_replay_hands_over_what_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = paths(&folder).await;
    before.drain();
    before.nats.name("e.none", no_topic());
    for number in 0..6 {
        let key = format!("k{}", number % 2);
        let id = number.to_string();
        assert_eq!(store(&before, "e.none", &key, &id).await, Ok(Receipt::Spooled));
    }
    end(before);
    let mut paths = Paths::new(folder.path(), 100).await;
    let spool_tasks = SpoolTasks::new(paths.all.clone());
    paths.nats.name("e.none", no_topic());
    let lines = spool_tasks.begin(Task::Drain(TO.to_owned())).unwrap();
    let known = configured(&paths.all, TO, 100);
    paths.drain();
    assert_eq!(summary(lines).await.0.left, 6);
    drop(known);
    for _ in 0..5 {
        pass(SECOND).await;
        assert_eq!(store(&paths, "e.good", "k0", "g").await, Ok(Receipt::Stored));
    }
    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_by("e.none").len(), 6);
    // Counted once, whoever counted.
    assert_eq!(store(&paths, "e.none", "k0", "6").await, Ok(Receipt::Stored));
}

/// What waits apart is left, and what is in flight of it is waited for.
#[tokio::test(start_paused = true)]
async fn a_replay_of_what_waits_apart_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = paths(&folder).await;
    before.drain();
    before.nats.name("e.none", no_topic());
    for id in ["1", "2", "3"] {
        assert_eq!(store(&before, "e.none", "k", id).await, Ok(Receipt::Spooled));
    }
    end(before);
    let paths = Paths::new(folder.path(), 100).await;
    let spool_tasks = SpoolTasks::new(paths.all.clone());
    paths.nats.all(Mode::Hangs);
    let lines = spool_tasks.begin(Task::Drain(TO.to_owned())).unwrap();
    in_time("the first one", || paths.nats.under_way() == 1).await;
    spool_tasks.stop();
    pass(SECOND).await;
    assert_eq!(paths.nats.under_way(), 1);
    paths.nats.all(Mode::Takes);
    let (summary, _) = summary(lines).await;
    assert_eq!((summary.published, summary.left), (1, 2));
    assert_eq!(summary.stopped.as_deref(), Some("the bridge is stopping"));
}

/// What is in flight when a replay gives up is waited for as well, and not sent again by the next one.
#[tokio::test(start_paused = true)]
async fn a_replay_that_gives_up_knows_what_it_has_sent() {
    let folder = tempfile::tempdir().unwrap();
    let before = paths(&folder).await;
    before.nats.all(retry());
    for id in ["works", "a", "b", "c", "d"] {
        assert_eq!(store(&before, "e.good", id, id).await, Ok(Receipt::Spooled));
    }
    end(before);
    let paths = Paths::new(folder.path(), 100).await;
    let spool_tasks = SpoolTasks::new(paths.all.clone());
    paths.nats.all(Mode::Hangs);
    paths.nats.one("works", Mode::Takes);
    let lines = spool_tasks.begin(Task::Drain(TO.to_owned())).unwrap();
    in_time("the other four", || paths.nats.under_way() == 4).await;
    for id in ["a", "b", "c"] {
        paths.nats.one(id, retry());
    }
    pass(SECOND).await;
    assert_eq!(paths.nats.under_way(), 1, "it waits for the last one");
    paths.nats.one("d", Mode::Takes);
    let (said, given_up) = summary(lines).await;
    assert_eq!((said.published, said.left), (2, 3));
    assert_eq!(given_up.len(), 1, "{given_up:?}");
    for id in ["a", "b", "c"] {
        paths.nats.one(id, Mode::Takes);
    }
    let (said, _) = summary(spool_tasks.begin(Task::Drain(TO.to_owned())).unwrap()).await;
    assert_eq!((said.published, said.left), (3, 0));
    let mut taken = paths.nats.taken();
    taken.sort();
    assert_eq!(taken, ["a", "b", "c", "d", "works"]);
}
