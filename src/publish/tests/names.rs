//! Subjects and topics that take nothing, beside others of the same destination that do.

mod bounds;
mod chance;
mod lives;

use super::script::{Mode, Paths, in_time, no_stream, no_topic, pass, retry, until};
use super::*;
use crate::publish::apart_queue::UNCERTAIN_TIMEOUT;

/// A destination of several names.
const TO: &str = "nats:e.{type}";
const SECOND: Duration = Duration::from_secs(1);

async fn paths(folder: &tempfile::TempDir) -> Paths {
    let paths = Paths::new(folder.path(), 1_000).await;
    configured(&paths.all, TO, 1_000);
    paths
}

/// Stores an event under a name of [`TO`], while time passes.
async fn slowly(paths: &Paths, name: &str, key: &str, id: &str) -> Result<Receipt, Refusal> {
    let storing = paths.begin_as(name, &[TO], key, id);
    in_time(id, || storing.is_finished()).await;
    storing.await.unwrap()
}

/// The same without any time passing.
async fn store(paths: &Paths, name: &str, key: &str, id: &str) -> Result<Receipt, Refusal> {
    let began = Instant::now();
    let storing = paths.begin_as(name, &[TO], key, id);
    until(id, || storing.is_finished()).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "{id}");
    storing.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_takes_nothing_holds_up_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.none", no_topic());
    assert_eq!(store(&paths, "e.none", "k", "n1").await, Ok(Receipt::Spooled));
    assert_eq!((paths.queued(), paths.apart(), paths.nats.attempts()), (1, 1, 1));
    // Of its key, of others, and without one.
    for (number, key) in ["k", "l", "", "k"].into_iter().enumerate() {
        let id = format!("g{number}");
        assert_eq!(store(&paths, "e.good", key, &id).await, Ok(Receipt::Stored));
    }
    // Of its name all wait, and none of them is tried.
    let before = paths.nats.attempts();
    for (key, id) in [("k", "n2"), ("l", "n3"), ("", "n4"), ("k", "n5")] {
        assert_eq!(store(&paths, "e.none", key, id).await, Ok(Receipt::Spooled));
    }
    assert_eq!((paths.apart(), paths.nats.attempts()), (5, before));
    let ready = paths.health.readiness().1;
    let problem = "problem: nats:e.{type}: unknown-topic: `e.none` takes nothing";
    assert!(ready.contains(problem), "{ready}");
    // It is tried again and again, and not often.
    for _ in 0..60 {
        pass(SECOND).await;
    }
    let tried = paths.nats.attempts() - before;
    assert!((25..60).contains(&tried), "{tried} in a minute");
    assert_eq!(store(&paths, "e.good", "k", "g4").await, Ok(Receipt::Stored));

    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    let of_k = |taken: &script::DrainGuard| taken.name == "e.none" && taken.key == "k";
    assert_eq!(paths.nats.taken_if(of_k), ["n1", "n2", "n5"]);
    assert_eq!(paths.nats.taken_by("e.none").len(), 5);
    assert_eq!(store(&paths, "e.none", "k", "n6").await, Ok(Receipt::Stored));
    assert!(!paths.health.readiness().1.contains("problem"), "{}", paths.health.readiness().1);
}

/// Behind those of its name and key alone.
#[tokio::test(start_paused = true)]
async fn what_is_mended_goes_on_at_once_except_behind_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.none", no_topic());
    for id in ["a1", "a2"] {
        assert_eq!(store(&paths, "e.none", "a", id).await, Ok(Receipt::Spooled));
    }
    assert_eq!(store(&paths, "e.none", "b", "b1").await, Ok(Receipt::Spooled));
    paths.nats.one("a2", Mode::Hangs);
    paths.nats.name("e.none", Mode::Takes);
    in_time("all but one", || paths.nats.taken().len() == 2 && paths.nats.under_way() == 1).await;
    assert_eq!(store(&paths, "e.none", "b", "b2").await, Ok(Receipt::Stored));
    assert_eq!(store(&paths, "e.none", "c", "c1").await, Ok(Receipt::Stored));
    assert_eq!(store(&paths, "e.none", "a", "a3").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.good", "a", "good").await, Ok(Receipt::Stored));
    paths.nats.one("a2", Mode::Takes);
    paths.drained().await;
    let of_a = |taken: &script::DrainGuard| taken.name == "e.none" && taken.key == "a";
    assert_eq!(paths.nats.taken_if(of_a), ["a1", "a2", "a3"]);
}

/// An election looks like a missing stream: for a while the order of a key holds across its names.
#[tokio::test(start_paused = true)]
async fn what_may_be_over_in_a_moment_keeps_the_order_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.elects", no_stream());
    // Shorter than anybody gives up.
    let first = paths.begin_as("e.elects", &[TO], "k", "1");
    let behind = paths.begin_as("e.good", &[TO], "k", "2");
    pass(SECOND / 4).await;
    assert!(!first.is_finished() && !behind.is_finished());
    assert_eq!(store(&paths, "e.good", "l", "other").await, Ok(Receipt::Stored));
    paths.nats.name("e.elects", Mode::Takes);
    in_time("both", || first.is_finished() && behind.is_finished()).await;
    assert_eq!(
        (first.await.unwrap(), behind.await.unwrap()),
        (Ok(Receipt::Stored), Ok(Receipt::Stored))
    );

    // Longer: they queue, and those of other keys don't.
    paths.nats.name("e.elects", no_stream());
    assert_eq!(slowly(&paths, "e.elects", "k", "3").await, Ok(Receipt::Spooled));
    let attempts = paths.nats.attempts();
    assert_eq!(store(&paths, "e.good", "k", "4").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.elects", "k", "5").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.elects", "m", "6").await, Ok(Receipt::Spooled));
    assert_eq!(paths.nats.attempts(), attempts, "none is tried that queues");
    assert_eq!(store(&paths, "e.good", "l", "7").await, Ok(Receipt::Stored));
    for _ in 0..8 {
        pass(SECOND).await;
        assert_eq!(store(&paths, "e.good", "l", "more").await, Ok(Receipt::Stored));
    }
    assert_eq!((paths.queued(), paths.apart()), (4, 0));
    paths.nats.name("e.elects", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ["1", "2", "3", "4", "5"]);
    assert_eq!(store(&paths, "e.elects", "k", "8").await, Ok(Receipt::Stored));
    assert!(!paths.health.readiness().1.contains("problem"), "{}", paths.health.readiness().1);
}

/// Nobody can be asked: what lasts longer than any election is no election.
#[tokio::test(start_paused = true)]
async fn what_is_not_over_in_a_while_waits_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.none", no_stream());
    assert_eq!(slowly(&paths, "e.none", "k", "n1").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.good", "k", "g1").await, Ok(Receipt::Spooled));
    assert_eq!(paths.apart(), 0);
    in_time("it apart", || paths.apart() == 1).await;
    in_time("the one behind", || paths.nats.taken_by("e.good") == ["g1"]).await;
    assert_eq!(store(&paths, "e.good", "k", "g2").await, Ok(Receipt::Stored));
    assert_eq!(store(&paths, "e.none", "k", "n2").await, Ok(Receipt::Spooled));
    assert_eq!(paths.apart(), 2);
    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_by("e.none"), ["n1", "n2"]);
}

/// The broker can say whether there is a stream.
#[tokio::test(start_paused = true)]
async fn what_the_broker_says_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    let none = sink::Error::unavailable("no-stream", "there is none").of_name();
    paths.nats.examined(Some(none.clone()));
    paths.nats.name("e.none", no_stream());
    let began = Instant::now();
    assert_eq!(slowly(&paths, "e.none", "k", "n1").await, Ok(Receipt::Spooled));
    // Long before nobody would have to say it.
    assert!(began.elapsed() < UNCERTAIN_TIMEOUT / 2, "{:?}", began.elapsed());
    assert_eq!(paths.apart(), 1);
    assert_eq!(store(&paths, "e.good", "k", "g1").await, Ok(Receipt::Stored));

    // The drain asks too, and not before a moment is over.
    paths.nats.all(retry());
    assert_eq!(store(&paths, "e.new", "l", "n2").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.good", "l", "g2").await, Ok(Receipt::Spooled));
    paths.nats.name("e.new", no_stream());
    paths.nats.all(Mode::Takes);
    in_time("the first attempt", || paths.health.readiness().1.contains("`e.new`")).await;
    assert_eq!(paths.apart(), 1);
    let began = Instant::now();
    in_time("it apart", || paths.apart() == 2).await;
    assert!(began.elapsed() < UNCERTAIN_TIMEOUT / 2, "{:?}", began.elapsed());
    in_time("the one behind", || paths.nats.taken_by("e.good").len() == 2).await;

    // Where nothing at all exists it is the destination that fails.
    paths.nats.examined(Some(sink::Error::transient("unavailable", "there is no JetStream")));
    paths.nats.all(no_stream());
    assert_eq!(slowly(&paths, "e.a", "m", "a1").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.b", "m", "b1").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.c", "o", "c1").await, Ok(Receipt::Spooled));
    for _ in 0..30 {
        pass(SECOND).await;
    }
    assert_eq!(paths.apart(), 2, "none but those from before");
    paths.nats.examined(None);
    paths.nats.names_are_like_others();
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("m"), ["a1", "b1"]);
    assert_eq!(paths.nats.taken_of("l").len(), 2);
}

/// A broker that is away keeps the order of a key across its names, also for those that take nothing when it is back.
#[tokio::test(start_paused = true)]
async fn an_outage_keeps_the_order_across_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.all(retry());
    for number in 0..12 {
        let name = ["e.a", "e.b", "e.none"][number % 3];
        assert_eq!(store(&paths, name, "k", &number.to_string()).await, Ok(Receipt::Spooled));
    }
    assert_eq!((paths.queued(), paths.apart()), (12, 0));
    paths.nats.name("e.none", no_topic());
    paths.nats.all(Mode::Takes);
    in_time("those that are taken", || paths.nats.taken().len() == 8).await;
    let flows = |taken: &script::DrainGuard| taken.name != "e.none";
    assert_eq!(paths.nats.taken_if(flows), ["0", "1", "3", "4", "6", "7", "9", "10"]);
    in_time("the others apart", || (paths.queued(), paths.apart()) == (4, 4)).await;
    assert_eq!(store(&paths, "e.a", "k", "12").await, Ok(Receipt::Stored));

    // Another outage while they wait: the order of those that are not apart holds.
    paths.nats.name("e.none", retry());
    paths.nats.all(retry());
    assert_eq!(store(&paths, "e.a", "k", "13").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.none", "k", "14").await, Ok(Receipt::Spooled));
    assert_eq!(store(&paths, "e.b", "k", "15").await, Ok(Receipt::Spooled));
    pass(SECOND * 5).await;
    paths.nats.all(Mode::Takes);
    paths.nats.name("e.none", no_topic());
    in_time("those that are taken", || paths.nats.taken_if(flows).len() == 11).await;
    assert_eq!(paths.nats.taken_if(flows)[8..], ["12", "13", "15"]);
    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_by("e.none"), ["2", "5", "8", "11", "14"]);
}

/// What a broker will never take becomes a dead letter, and its name is tried with the next one.
#[tokio::test(start_paused = true)]
async fn what_is_never_taken_holds_up_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    paths.drain();
    paths.nats.name("e.none", no_topic());
    for (key, id) in [("k", "large"), ("k", "n1"), ("l", "n2")] {
        assert_eq!(store(&paths, "e.none", key, id).await, Ok(Receipt::Spooled));
    }
    paths.nats.one("large", script::reject());
    in_time("the dead letter", || paths.spool.dead_letters().len() == 1).await;
    pass(SECOND * 5).await;
    assert_eq!((paths.apart(), paths.nats.taken().len()), (2, 0));
    paths.nats.name("e.none", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ["n1"]);
    assert_eq!(paths.nats.taken_of("l"), ["n2"]);
}
