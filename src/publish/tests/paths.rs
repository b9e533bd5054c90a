//! Both roads: when which one is taken, and what order remains.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;

use super::script::{Mode, Paths, in_time, no_topic, pass, reject, retry, until};
use super::*;
use crate::config::units::Time;
use crate::publish::disk_queue::FEW_TIMEOUT;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_one_waits_and_the_next_ones_do_not() {
    let folder = folder();
    let paths = Paths::new(folder.path(), 2).await;
    paths.nats.all(Mode::Hangs);
    let first = paths.begin(&["nats:events"], "k", "1");
    let behind = paths.begin(&["nats:events"], "k", "2");
    pass(BUDGET - Duration::from_millis(1)).await;
    assert!(!first.is_finished() && !behind.is_finished());
    pass(Duration::from_millis(1)).await;
    until("both", || first.is_finished() && behind.is_finished()).await;
    assert_eq!(first.await.unwrap(), Ok(Receipt::Spooled));
    assert_eq!(behind.await.unwrap(), Ok(Receipt::Spooled));
    // Many more than its share, for none of them stays.
    for number in 3..40 {
        let id = number.to_string();
        assert_eq!(paths.store(&format!("k{}", number % 4), &id).await, Ok(Receipt::Spooled));
    }
    assert_eq!(paths.store("", "without a key").await, Ok(Receipt::Spooled));
    assert_eq!((paths.nats.attempts(), paths.queued()), (1, 40));
    assert!(paths.health.readiness().1.contains("nats:events: timeout"));
}

/// A sender that waits for less than the broker may take is told in its own time, and so are those behind it.
#[tokio::test(start_paused = true)]
async fn a_sender_in_a_hurry_is_not_kept_waiting() {
    let folder = folder();
    let paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(Mode::Hangs);
    let within = Duration::from_millis(300);
    let hurried = paths.begin_within(within, "k", "1");
    let behind = paths.begin(&["nats:events"], "k", "2");
    pass(within - Duration::from_millis(1)).await;
    assert!(!hurried.is_finished() && !behind.is_finished());
    pass(Duration::from_millis(1)).await;
    until("both", || hurried.is_finished() && behind.is_finished()).await;
    assert_eq!(hurried.await.unwrap(), Ok(Receipt::Spooled));
    assert_eq!(behind.await.unwrap(), Ok(Receipt::Spooled));
    // No longer than the broker may take, whoever waits.
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(Mode::Hangs);
    let patient = paths.begin_within(BUDGET * 2, "k", "1");
    pass(BUDGET).await;
    until("it", || patient.is_finished()).await;
    assert_eq!(patient.await.unwrap(), Ok(Receipt::Spooled));
}

#[tokio::test(start_paused = true)]
async fn a_queued_key_holds_up_no_other() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    assert_eq!(paths.store("stuck", "1").await, Ok(Receipt::Spooled));
    assert_eq!(paths.store("other", "2").await, Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    paths.nats.one("1", retry());
    paths.drain();
    in_time("the other key", || paths.nats.taken() == ["2"]).await;
    // The drain fails and works by turns; while it fails, everything is queued, and published soon.
    for number in 3..10 {
        paths.store("other", &number.to_string()).await.unwrap();
        assert_eq!(paths.store("stuck", &format!("s{number}")).await, Ok(Receipt::Spooled));
        pass(SECOND).await;
    }
    in_time("the other key", || paths.nats.taken_of("other").len() == 8).await;
    assert_eq!(paths.nats.taken_of("stuck"), [""; 0]);
    // Its own success shows the destination to work.
    assert_eq!(paths.queued(), 8);
    paths.nats.one("1", Mode::Takes);
    paths.drained().await;
    let expected = ["1", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];
    assert_eq!(paths.nats.taken_of("stuck"), expected);
    assert_eq!(paths.nats.taken_of("other"), ["2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(paths.store("stuck", "10").await, Ok(Receipt::Stored));
    assert!(!paths.health.readiness().1.contains("problem"));
}

/// With a working circuit, it is the key alone that decides.
#[tokio::test(start_paused = true)]
async fn a_live_event_passes_no_queued_one_of_its_key() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    assert_eq!(paths.store("k", "1").await, Ok(Receipt::Spooled));
    assert_eq!(paths.store("l", "2").await, Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    paths.nats.one("2", Mode::Hangs);
    paths.drain();
    in_time("the first", || paths.nats.taken() == ["1"]).await;
    until("the second under way", || paths.nats.under_way() == 1).await;
    assert_eq!(paths.store("k", "3").await, Ok(Receipt::Stored));
    assert_eq!(paths.store("", "4").await, Ok(Receipt::Stored));
    assert_eq!(paths.store_behind("l", "5").await, Ok(Receipt::Spooled));
    paths.nats.one("2", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("l"), ["2", "5"]);
    assert_eq!(paths.store("l", "6").await, Ok(Receipt::Stored));
}

#[tokio::test(start_paused = true)]
async fn the_drain_sends_one_of_each_key_at_once() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    for number in 0..20 {
        paths.store(&format!("k{}", number % 5), &number.to_string()).await.unwrap();
    }
    for number in 20..23 {
        paths.store("", &number.to_string()).await.unwrap();
    }
    paths.nats.all(Mode::Hangs);
    paths.drain();
    in_time("a first attempt", || paths.nats.attempts() == 2).await;
    assert_eq!(paths.nats.under_way(), 1, "nobody knows yet whether it works");
    paths.nats.one("0", Mode::Takes);
    until("one of each", || paths.nats.under_way() == 5 + 3).await;
    pass(SECOND).await;
    assert_eq!(paths.nats.under_way(), 8);
    // A failure, and it is one at a time again.
    paths.nats.all(retry());
    until("all to fail", || paths.nats.under_way() == 0).await;
    paths.nats.all(Mode::Hangs);
    in_time("the next attempt", || paths.nats.under_way() > 0).await;
    assert_eq!(paths.nats.under_way(), 1);
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    for key in 0..5 {
        let expected: Vec<_> = (0..4).map(|round| (round * 5 + key).to_string()).collect();
        assert_eq!(paths.nats.taken_of(&format!("k{key}")), expected);
    }
}

/// Without the disk there is nothing that the drain could try.
#[tokio::test(start_paused = true)]
async fn one_live_event_a_second_probes_what_nobody_tries() {
    let folder = folder();
    let paths = Paths::new(folder.path(), 100).await;
    paths.spool.close();
    paths.nats.all(retry());
    let lost = Err(Refusal::NotStored("spool-closed"));
    assert_eq!(paths.store("a", "1").await, lost);
    for second in 0..3 {
        assert_eq!(paths.nats.attempts(), 1 + second);
        assert_eq!(paths.store("b", "2").await, lost);
        assert_eq!(paths.nats.attempts(), 1 + second, "nobody waits for what is known to fail");
        pass(SECOND).await;
        assert_eq!(paths.store("c", "3").await, lost);
        assert_eq!(paths.store("d", "4").await, lost);
    }
    paths.nats.all(Mode::Takes);
    assert_eq!(paths.store("e", "5").await, lost);
    pass(SECOND).await;
    for id in ["6", "7", "8"] {
        assert_eq!(paths.store("f", id).await, Ok(Receipt::Stored));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_is_a_dead_letter_on_both_roads() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.one("large", reject());
    assert_eq!(paths.store("k", "1").await, Ok(Receipt::Stored));
    assert_eq!(paths.store("k", "large").await, Ok(Receipt::DeadLettered));
    assert_eq!(paths.store("k", "2").await, Ok(Receipt::Stored));
    paths.nats.all(retry());
    assert_eq!(paths.store("k", "3").await, Ok(Receipt::Spooled));
    assert_eq!(paths.store("k", "large").await, Ok(Receipt::Spooled));
    assert_eq!(paths.store("k", "4").await, Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    paths.drain();
    paths.drained().await;
    assert_eq!(paths.nats.taken(), ["1", "2", "3", "4"]);
    let letters = paths.spool.dead_letters().reader().read(10, 1 << 20).await.unwrap();
    assert_eq!(letters.len(), 2);
    for (_, letter) in letters {
        let id = &*letter.record.event.id;
        assert_eq!(
            (&*letter.destination, &*letter.reason, id),
            ("nats:events", "too-large", "large")
        );
    }
    assert_eq!(paths.store("k", "5").await, Ok(Receipt::Stored));
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_does_not_slow_the_live_one() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 1_000).await;
    let both = ["nats:events", "kafka:events"];
    paths.kafka.all(Mode::Hangs);
    let first = paths.begin(&both, "k", "1");
    until("the live one", || paths.nats.taken() == ["1"]).await;
    assert!(!first.is_finished());
    pass(BUDGET).await;
    until("the dead one", || first.is_finished()).await;
    assert_eq!(first.await.unwrap(), Ok(Receipt::Spooled));
    let began = Instant::now();
    for number in 2..50 {
        let storing = paths.begin(&both, "k", &number.to_string());
        until("the next one", || storing.is_finished()).await;
        assert_eq!(storing.await.unwrap(), Ok(Receipt::Spooled));
        assert_eq!(paths.nats.taken().len(), number);
    }
    assert_eq!(paths.store("k", "alone").await, Ok(Receipt::Stored));
    assert_eq!(began.elapsed(), Duration::ZERO);
    paths.kafka.all(Mode::Takes);
    paths.drain();
    paths.drained().await;
    assert!(paths.kafka.taken().into_iter().eq((1..50).map(|number| number.to_string())));
    // The worst of two receipts is told.
    paths.kafka.one("50", reject());
    let storing = paths.begin(&both, "k", "50");
    until("the last one", || storing.is_finished()).await;
    assert_eq!(storing.await.unwrap(), Ok(Receipt::DeadLettered));
}

/// A sender that is refused sends again: nothing of what it was refused may be on a disk.
#[tokio::test(start_paused = true)]
async fn what_one_destination_has_no_room_for_is_kept_by_none() {
    let folder = folder();
    let paths = Paths::with_writer(folder.path(), 2, Time::seconds(3)).await;
    paths.nats.all(retry());
    assert_eq!(paths.store("k", "1").await, Ok(Receipt::Spooled));
    // From now on each has room for one, and Kafka's is taken.
    paths.kafka.all(Mode::Hangs);
    let _holding = paths.begin(&["kafka:events"], "l", "2");
    until("the only one", || paths.kafka.under_way() == 1).await;
    // The thread that writes can't have taken up what is there for a moment only.
    let stalled = paths.stall("nats:other");
    stalled.is_paused().await;
    for to in [["nats:events", "kafka:events"], ["kafka:events", "nats:events"]] {
        let refused = paths.begin(&to, "k", "3");
        assert_eq!(paths.on_its_way(), 0, "{to:?}");
        until("a refusal", || refused.is_finished()).await;
        assert!(matches!(refused.await.unwrap(), Err(Refusal::Overloaded(_))), "{to:?}");
    }
    stalled.end().await;
    assert_eq!(paths.queued(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_left_comes_first() {
    let folder = folder();
    let before = Paths::new(folder.path(), 100).await;
    before.nats.all(retry());
    for number in 0..30 {
        before.store(&format!("k{}", number % 3), &number.to_string()).await.unwrap();
    }
    before.spool.close();
    drop(before);

    let mut paths = Paths::new(folder.path(), 100).await;
    assert_eq!(paths.queued(), 30);
    paths.nats.one("4", retry());
    // Nobody knows the keys of what is there: all have to queue.
    assert_eq!(paths.store("k0", "a").await, Ok(Receipt::Spooled));
    assert_eq!(paths.store("new", "b").await, Ok(Receipt::Spooled));
    paths.drain();
    for _ in 0..50 {
        pass(SECOND / 10).await;
    }
    // Still one is left, and it may be of any key.
    assert_eq!(paths.nats.taken_of("k1"), ["1"]);
    assert_eq!(paths.store("new", "c").await, Ok(Receipt::Spooled));
    paths.nats.one("4", Mode::Takes);
    paths.drained().await;
    let of = |key: usize| (0..10).map(move |round| (round * 3 + key).to_string());
    assert!(paths.nats.taken_of("k0").into_iter().eq(of(0).chain(["a".to_owned()])));
    assert!(paths.nats.taken_of("k1").into_iter().eq(of(1)));
    assert_eq!(paths.nats.taken_of("new"), ["b", "c"]);
    assert_eq!(paths.store("k1", "d").await, Ok(Receipt::Stored));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_on_disk_at_once() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.drain();
    paths.nats.all(Mode::Hangs);
    let began = Instant::now();
    let waiting: Vec<_> = (0..10)
        .map(|number| {
            paths.begin(&["nats:events"], &format!("k{}", number % 3), &number.to_string())
        })
        .collect();
    until("one of each key", || paths.nats.under_way() == 3).await;
    paths.all.give_up();
    until("all", || waiting.iter().all(JoinHandle::is_finished)).await;
    for storing in waiting {
        assert_eq!(storing.await.unwrap(), Ok(Receipt::Spooled));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    // It is over: even what would work is left to the next process.
    paths.nats.all(Mode::Takes);
    assert_eq!(paths.store("k", "late").await, Ok(Receipt::Spooled));
    pass(SECOND * 10).await;
    assert_eq!((paths.nats.taken().len(), paths.queued()), (0, 11));
}

/// A shutdown: what is on its way may arrive, and nothing new is sent.
#[tokio::test(start_paused = true)]
async fn what_is_held_sends_nothing_and_waits_for_what_was_sent() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.drain();
    paths.nats.all(retry());
    for (key, id) in [("k", "1"), ("k", "2"), ("l", "3")] {
        assert_eq!(paths.store(key, id).await, Ok(Receipt::Spooled));
    }
    paths.nats.all(Mode::Hangs);
    in_time("the first under way", || paths.nats.under_way() == 1).await;
    paths.all.pause();
    let all = paths.all.clone();
    let settled = tokio::spawn(async move { all.settled().await });
    // It begins, and looks.
    for _ in 0..2 {
        pass(SECOND).await;
    }
    assert!(!settled.is_finished());
    paths.nats.all(Mode::Takes);
    in_time("the end", || settled.is_finished()).await;
    assert_eq!(paths.nats.taken().len(), 1);
    assert_eq!(paths.store("m", "late").await, Ok(Receipt::Spooled));
    pass(SECOND * 10).await;
    assert_eq!((paths.nats.taken().len(), paths.queued()), (1, 3));
}

/// `/readyz` says it as long as it lasts.
#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_read_is_said_and_read_later() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    for id in ["1", "2"] {
        assert_eq!(paths.store("k", id).await, Ok(Receipt::Spooled));
    }
    let queue = std::fs::read_dir(folder.path().join("queues")).unwrap().next().unwrap().unwrap();
    let names = std::fs::read_dir(queue.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut segments = names.filter(|name| name.extension().is_some_and(|end| end == "segment"));
    let segment = segments.next().unwrap();
    let away = folder.path().join("away");
    std::fs::rename(&segment, &away).unwrap();
    std::fs::create_dir(&segment).unwrap();
    paths.nats.all(Mode::Takes);
    paths.drain();
    let is_said = |paths: &Paths| paths.health.readiness().1.contains("queue of nats:events");
    in_time("a word of it", || is_said(&paths)).await;
    let destination = configured(&paths.all, "nats:events", 100);
    let is_tried = || destination.disk.as_ref().is_some_and(|disk| disk.disk_queue.is_tried());
    assert!(!is_tried(), "live events find out when the destination works");
    std::fs::remove_dir(&segment).unwrap();
    std::fs::rename(&away, &segment).unwrap();
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ["1", "2"]);
    assert!(!is_said(&paths));
}

/// What is queued since has keys that are known.
#[tokio::test(start_paused = true)]
async fn once_what_was_left_is_published_other_keys_are_free() {
    let folder = folder();
    let before = Paths::new(folder.path(), 100).await;
    before.nats.all(retry());
    for id in ["1", "2"] {
        assert_eq!(before.store("k", id).await, Ok(Receipt::Spooled));
    }
    before.spool.close();
    drop(before);

    let mut paths = Paths::new(folder.path(), 100).await;
    assert_eq!(paths.store("l", "3").await, Ok(Receipt::Spooled));
    paths.nats.one("3", Mode::Hangs);
    paths.drain();
    in_time("what was left", || paths.nats.taken_of("k") == ["1", "2"]).await;
    in_time("the other one under way", || paths.nats.under_way() == 1).await;
    assert_eq!(paths.store("m", "4").await, Ok(Receipt::Stored));
    assert_eq!(paths.store_behind("l", "5").await, Ok(Receipt::Spooled));
}

/// However many come: once few are queued, and the drain is at them, the next one waits instead of making them more.
#[tokio::test(start_paused = true)]
async fn a_busy_key_comes_back_to_the_direct_path() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    let before: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    for id in &before {
        assert_eq!(paths.store("k", id).await, Ok(Receipt::Spooled));
    }
    // The last few wait to be acknowledged one by one.
    for id in &before[5..] {
        paths.nats.one(id, Mode::Hangs);
    }
    paths.nats.all(Mode::Takes);
    paths.drain();
    in_time("the first", || paths.nats.taken().len() == 5).await;
    assert_eq!(paths.store("k", "many").await, Ok(Receipt::Spooled), "35 are not few");
    for id in &before[5..20] {
        paths.nats.one(id, Mode::Takes);
    }
    until("some more", || paths.nats.taken().len() == 20).await;
    let first = paths.begin(&["nats:events"], "k", "first");
    let second = paths.begin(&["nats:events"], "k", "second");
    pass(FEW_TIMEOUT / 2).await;
    assert_eq!((paths.queued(), first.is_finished()), (21, false), "they wait, and don't queue");
    for id in &before[20..] {
        paths.nats.one(id, Mode::Takes);
    }
    until("both", || first.is_finished() && second.is_finished()).await;
    assert_eq!(
        (first.await.unwrap(), second.await.unwrap()),
        (Ok(Receipt::Stored), Ok(Receipt::Stored))
    );
    let expected: Vec<_> =
        before.iter().map(String::as_str).chain(["many", "first", "second"]).collect();
    assert_eq!(paths.nats.taken_of("k"), expected);
    assert_eq!(paths.queued(), 0);
}

/// Where the others flow and this one stands still, one waits for it, and not each that comes.
#[tokio::test(start_paused = true)]
async fn a_key_that_stands_still_is_waited_for_once() {
    let folder = folder();
    let mut paths = Paths::new(folder.path(), 100).await;
    paths.nats.all(retry());
    for (key, id) in [("k", "1"), ("l", "2"), ("m", "3"), ("n", "4")] {
        assert_eq!(paths.store(key, id).await, Ok(Receipt::Spooled));
    }
    for id in ["1", "3", "4"] {
        paths.nats.one(id, Mode::Hangs);
    }
    paths.nats.all(Mode::Takes);
    paths.drain();
    in_time("the other one", || paths.nats.taken() == ["2"]).await;
    assert_eq!(paths.store_behind("k", "waits").await, Ok(Receipt::Spooled));
    paths.nats.one("3", Mode::Takes);
    until("a third one", || paths.nats.taken() == ["2", "3"]).await;
    let start = Instant::now();
    for id in ["5", "6", "7"] {
        assert_eq!(paths.store("k", id).await, Ok(Receipt::Spooled));
    }
    assert!(start.elapsed() < FEW_TIMEOUT / 4, "{:?}", start.elapsed());
    paths.nats.one("1", Mode::Takes);
    in_time("all of it", || paths.nats.taken_of("k") == ["1", "waits", "5", "6", "7"]).await;
    paths.nats.one("4", Mode::Takes);
    paths.drained().await;
    // From here on it may be waited for as any other.
    paths.nats.all(retry());
    for (key, id) in [("k", "8"), ("l", "9")] {
        assert_eq!(paths.store(key, id).await, Ok(Receipt::Spooled));
    }
    paths.nats.one("8", Mode::Hangs);
    paths.nats.all(Mode::Takes);
    in_time("the other one", || paths.nats.taken_of("l") == ["2", "9"]).await;
    assert_eq!(paths.store_behind("k", "10").await, Ok(Receipt::Spooled));
    paths.nats.one("8", Mode::Takes);
    paths.drained().await;
}

/// Without a connection each attempt waits for it; a broker that refuses is asked again after the pause alone.
#[tokio::test(start_paused = true)]
async fn a_pause_is_longer_where_something_is_waited_for() {
    for (mode, attempts) in [
        (Mode::Fails(sink::Error::transient(sink::DISCONNECTED, "gone")), 85..93),
        (retry(), 97..103),
    ] {
        let folder = folder();
        let mut paths = Paths::new(folder.path(), 100).await;
        paths.nats.all(retry());
        assert_eq!(paths.store("k", "1").await, Ok(Receipt::Spooled));
        paths.nats.all(mode);
        paths.drain();
        in_time("longest pauses", || paths.nats.attempts() > 10).await;
        let before = paths.nats.attempts();
        for _ in 0..2_000 {
            pass(SECOND / 10).await;
        }
        let made = paths.nats.attempts() - before;
        assert!(attempts.contains(&made), "{made} in 200 s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_broken_is_said_once_a_minute() {
    let folder = folder();
    // Of the whole process: what one thread logs is decided together with the others.
    let log = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut paths = Paths::new(folder.path(), 100).await;
    configured(&paths.all, "nats:said", 100);
    configured(&paths.all, "kafka:said.{type}", 100);
    paths.drain();
    let spooled = async |name: &str, to: &str, number: usize| {
        let storing = paths.begin_as(name, &[to], &format!("k{number}"), &number.to_string());
        until("a receipt", || storing.is_finished()).await;
        assert_eq!(storing.await.unwrap(), Ok(Receipt::Spooled));
    };
    // A short outage, and some time after it.
    paths.nats.all(retry());
    spooled("said", "nats:said", 0).await;
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    assert_eq!(log.lines("stores events again").len(), 1);
    assert_eq!(log.lines("all that was queued on disk is published").len(), 1);
    for _ in 0..140 {
        pass(SECOND / 2).await;
    }
    assert_eq!(log.lines("still queue").len(), 0);

    paths.nats.all(retry());
    let before = paths.nats.attempts();
    for number in 0..5 {
        spooled("said", "nats:said", number).await;
    }
    // Beside it something waits apart.
    paths.kafka.name("said.none", no_topic());
    for number in 0..3 {
        spooled("said.none", "kafka:said.{type}", number).await;
    }
    for _ in 0..620 {
        pass(SECOND / 2).await;
    }
    let lines = log.lines("events wait apart on disk");
    assert_eq!(lines.len(), 5, "in 310 s: {lines:?}");
    for line in &lines {
        assert!(line.contains("unknown-topic") && line.contains("names=1 records=3"), "{line}");
    }
    let lines = log.lines("still queue");
    assert_eq!(lines.len(), 5, "in 310 s: {lines:?}");
    for line in &lines {
        assert!(line.contains("store-failed"), "{line}");
        assert!(line.contains("records=5"), "{line}");
    }
    let of_nats =
        |text: &str| log.lines(text).into_iter().filter(|line| line.contains("nats:said")).count();
    assert_eq!(of_nats("events are not stored"), 2);
    // One at a time, and one in two seconds.
    let attempts = paths.nats.attempts() - before;
    assert!((100..250).contains(&attempts), "{attempts}");
    assert!(paths.health.readiness().1.contains("nats:said: store-failed: full"));
    paths.nats.all(Mode::Takes);
    paths.kafka.name("said.none", Mode::Takes);
    paths.drained().await;
    assert_eq!(of_nats("stores events again"), 2);
    assert_eq!(of_nats("all that was queued on disk is published"), 2);
    assert!(!paths.health.readiness().1.contains("problem"));
}

/// Whatever the destination does meanwhile: what was begun first is stored first, one at a time, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn any_order_of_things_keeps_the_order_of_events() {
    for seed in 1..=30 {
        let folder = folder();
        let mut random = Random(seed);
        let mut paths = Paths::new(folder.path(), 10_000).await;
        let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut storing = Vec::new();
        let mut number = 0;
        for life in 0..3 {
            if life > 0 {
                // As a process that ends in order: what is begun is finished.
                paths.all.give_up();
                for storing in storing.drain(..) {
                    in_time("a receipt", || JoinHandle::is_finished(&storing)).await;
                    let receipt = storing.await.unwrap();
                    assert!(
                        matches!(receipt, Ok(Receipt::Stored | Receipt::Spooled)),
                        "{receipt:?}"
                    );
                }
                paths.spool.close();
                let taken = paths.nats.take_out();
                drop(paths);
                paths = Paths::new(folder.path(), 10_000).await;
                paths.nats.put_back(taken);
            }
            paths.drain();
            for _ in 0..60 {
                match random.below(8) {
                    0 => paths.nats.all(Mode::Takes),
                    1 => paths.nats.all(retry()),
                    2 => paths.nats.all(Mode::Hangs),
                    3 => paths.nats.all(Mode::Fails(sink::Error::transient("busy", "an election"))),
                    4 => pass(SECOND * random.below(7) as u32).await,
                    _ => pass(SECOND / 10).await,
                }
                for _ in 0..random.below(8) {
                    number += 1;
                    let (key, id) = (format!("k{}", random.below(5)), number.to_string());
                    storing.push(paths.begin(&["nats:events"], &key, &id));
                    sent.entry(key).or_default().push(id);
                }
            }
        }
        paths.nats.all(Mode::Takes);
        paths.drained().await;
        for storing in storing {
            in_time("a receipt", || storing.is_finished()).await;
            storing.await.unwrap().unwrap();
        }
        paths.drained().await;
        for (key, sent) in &sent {
            let mut taken = paths.nats.taken_of(key);
            let mut known = BTreeSet::new();
            // What was sent when the process ended may come again.
            taken.retain(|id| known.insert(id.clone()));
            assert_eq!(&taken, sent, "seed {seed}, {key}");
        }
    }
}

/// Numbers that are the same for the same seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Those of one destination, for others log too.
    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock()).into_owned();
        let lines = text.lines().filter(|line| line.contains(":said") && line.contains(with));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
