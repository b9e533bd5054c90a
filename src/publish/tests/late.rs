//! A disk that takes longer than anybody waits: what was given up may be kept all the same.

use super::script::{Mode, Paths, in_time, pass, retry, until};
use super::*;
use crate::config::units::Time;

const LIMIT: Duration = Duration::from_secs(3);

/// With a broker that fails.
async fn paths(folder: &tempfile::TempDir) -> Paths {
    let paths = Paths::with_writer(folder.path(), 100, Time::seconds(LIMIT.as_secs())).await;
    paths.nats.all(retry());
    paths
}

/// Waits until an event that is on its way to the disk is given up.
async fn given_up(storing: tokio::task::JoinHandle<Result<Receipt, Refusal>>) {
    pass(LIMIT).await;
    until("its refusal", || storing.is_finished()).await;
    assert_eq!(storing.await.unwrap(), Err(Refusal::NotStored("spool-slow")));
}

/// One is told 503 while the writer is busy with it, and is on disk.
async fn kept_too_late(paths: &Paths, key: &str, id: &str) {
    let before = paths.stall("nats:other");
    before.is_paused().await;
    let with_it = paths.stall("nats:events");
    let late = paths.begin(&["nats:events"], key, id);
    until("its place", || paths.on_its_way() == 1).await;
    before.end().await;
    with_it.is_paused().await;
    given_up(late).await;
    assert_eq!(paths.on_its_way(), 1, "nobody knows yet what becomes of it");
    with_it.end().await;
    until("what became of it", || paths.on_its_way() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn its_key_counts_as_queued_until_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    kept_too_late(&paths, "k", "late").await;
    assert_eq!(paths.queued(), 1);
    assert_eq!(paths.store("k", "told").await, Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    paths.nats.one("told", Mode::Hangs);
    paths.drain();
    in_time("the late one", || paths.nats.taken() == ["late"]).await;
    until("the next one under way", || paths.nats.under_way() == 1).await;
    // The circuit is closed, and one of its key is still queued.
    assert_eq!(paths.store("other", "free").await, Ok(Receipt::Stored));
    assert_eq!(paths.store_behind("k", "behind").await, Ok(Receipt::Spooled));
    paths.nats.one("told", Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ["late", "told", "behind"]);
    assert_eq!(paths.store("k", "after").await, Ok(Receipt::Stored));
}

/// What can be read can be published: its end may be known before the writer says that it is there.
#[tokio::test(start_paused = true)]
async fn it_may_be_published_before_it_is_known_to_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    let before = paths.stall("nats:other");
    before.is_paused().await;
    let with_it = paths.stall("nats:events");
    let late = paths.begin(&["nats:events"], "k", "late");
    until("its place", || paths.on_its_way() == 1).await;
    before.end().await;
    with_it.is_paused().await;
    given_up(late).await;
    paths.nats.all(Mode::Takes);
    paths.drain();
    in_time("both", || paths.nats.taken() == ["0", "late"]).await;
    assert_eq!(paths.on_its_way(), 1);
    assert_eq!(paths.store("k", "direct").await, Ok(Receipt::Stored));
    with_it.end().await;
    until("what became of it", || paths.on_its_way() == 0).await;
    paths.nats.all(retry());
    assert_eq!(paths.store("k", "queued").await, Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    assert_eq!(paths.nats.taken_of("k"), ["late", "direct", "queued"]);
}

/// What is given up before the writer comes to it is not kept, and counts no longer.
#[tokio::test(start_paused = true)]
async fn what_was_not_begun_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    let stalled = paths.stall("nats:other");
    stalled.is_paused().await;
    let late = paths.begin(&["nats:events"], "k", "late");
    until("its place", || paths.on_its_way() == 1).await;
    given_up(late).await;
    assert_eq!(paths.on_its_way(), 1);
    stalled.end().await;
    until("what became of it", || paths.on_its_way() == 0).await;
    assert_eq!(paths.queued(), 0);
    paths.nats.all(Mode::Takes);
    paths.drain();
    pass(Duration::from_secs(1)).await;
    assert_eq!(paths.store("k", "next").await, Ok(Receipt::Stored), "nothing holds its key");
}

/// With several of one key, whatever becomes of the first ones.
#[tokio::test(start_paused = true)]
async fn each_counts_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = paths(&folder).await;
    for round in 0..3 {
        kept_too_late(&paths, "k", &format!("late-{round}")).await;
    }
    assert_eq!(paths.queued(), 3);
    paths.nats.all(Mode::Takes);
    for id in ["late-1", "late-2"] {
        paths.nats.one(id, Mode::Hangs);
    }
    paths.drain();
    for id in ["late-1", "late-2"] {
        in_time("the next one under way", || paths.nats.under_way() == 1).await;
        let behind = format!("behind-{id}");
        // What was waited for in vain isn't waited for again.
        let receipt = match id {
            "late-1" => paths.store_behind("k", &behind).await,
            _ => paths.store("k", &behind).await,
        };
        assert_eq!(receipt, Ok(Receipt::Spooled));
        paths.nats.one(id, Mode::Takes);
        in_time("it", || paths.nats.taken().iter().any(|taken| taken == id)).await;
    }
    paths.drained().await;
    let expected = ["late-0", "late-1", "late-2", "behind-late-1", "behind-late-2"];
    assert_eq!(paths.nats.taken_of("k"), expected);
    assert_eq!(paths.store("k", "after").await, Ok(Receipt::Stored));
}
