//! One destination for a text, and one drain for its queue, whoever asks for them.

use futures_util::FutureExt as _;

use super::script::{Mode, Paths, in_time, pass, reject, retry, until};
use super::*;
use crate::publish::dead_letters::{Line, Lines, Refused, SpoolTasks, Summary, Task};

const OLD: &str = "nats:old";
const RECORDS: usize = 20;

/// A process that finds a queue for [`OLD`], which isn't configured.
async fn paths(folder: &tempfile::TempDir) -> (Arc<Paths>, SpoolTasks) {
    let before = Paths::new(folder.path(), 100).await;
    before.nats.all(retry());
    configured(&before.all, OLD, 100);
    for number in 0..RECORDS {
        let storing = before.begin(&[OLD], &format!("k{}", number % 3), &number.to_string());
        until("a receipt", || storing.is_finished()).await;
        assert_eq!(storing.await.unwrap(), Ok(Receipt::Spooled));
    }
    before.spool.close();
    drop(before);
    let paths = Arc::new(Paths::new(folder.path(), 100).await);
    let spool_tasks = SpoolTasks::new(paths.all.clone());
    (paths, spool_tasks)
}

fn drain(spool_tasks: &SpoolTasks) -> Result<Lines, Refused> {
    spool_tasks.begin(Task::Drain(OLD.to_owned()))
}

/// What a replay says at its end.
async fn summary(mut lines: Lines) -> Summary {
    let mut last = None;
    in_time("the end of a replay", || {
        while let Ok(line) = lines.try_recv() {
            if let Line::Summary(summary) = line {
                last = Some(summary);
            }
        }
        last.is_some()
    })
    .await;
    last.unwrap()
}

/// Each of them once, in the order of its key.
fn assert_each_once(paths: &Paths, more: &[&str]) {
    for key in 0..3 {
        let expected = (0..RECORDS).filter(|number| number % 3 == key).map(|n| n.to_string());
        let taken = paths.nats.taken_of(&format!("k{key}"));
        assert!(taken.into_iter().eq(expected), "k{key}: {:?}", paths.nats.taken());
    }
    assert_eq!(paths.nats.taken_of("live"), more);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_comes_back_takes_over_from_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(Mode::Hangs);
    let lines = drain(&spool_tasks).unwrap();
    in_time("the first under way", || paths.nats.under_way() == 1).await;
    // It comes back, and others ask too.
    let mut background = JoinSet::new();
    let known = configured(&paths.all, OLD, 100);
    for _ in 0..3 {
        paths.all.drain_new(&mut background);
    }
    assert!(Arc::ptr_eq(&known, &configured(&paths.all, OLD, 100)));
    assert!(matches!(drain(&spool_tasks), Err(Refused::Busy)));
    pass(Duration::from_secs(1)).await;
    assert_eq!(paths.nats.under_way(), 1, "one drain");
    // Nobody knows the keys of what is there.
    let live = paths.begin(&[OLD], "live", "live-0");
    until("a receipt", || live.is_finished()).await;
    assert_eq!(live.await.unwrap(), Ok(Receipt::Spooled));
    paths.nats.all(Mode::Takes);
    let summary = summary(lines).await;
    assert_eq!((summary.left, summary.stopped), (0, None));
    assert_each_once(&paths, &["live-0"]);
    // From now on it is published by itself, and nobody else may.
    paths.nats.all(retry());
    let live = paths.begin(&[OLD], "live", "live-1");
    until("a receipt", || live.is_finished()).await;
    assert_eq!(live.await.unwrap(), Ok(Receipt::Spooled));
    assert!(matches!(drain(&spool_tasks), Err(Refused::Drained(_))));
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    assert_each_once(&paths, &["live-0", "live-1"]);
}

/// Whoever listens goes away: what is in flight is waited for before anybody else may begin.
#[tokio::test(start_paused = true)]
async fn a_replay_that_ends_early_leaves_nothing_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.one("0", Mode::Takes);
    paths.nats.all(Mode::Hangs);
    let lines = drain(&spool_tasks).unwrap();
    in_time("one of each key", || paths.nats.under_way() == 3).await;
    let mut background = JoinSet::new();
    configured(&paths.all, OLD, 100);
    paths.all.drain_new(&mut background);
    drop(lines);
    pass(Duration::from_secs(1)).await;
    assert_eq!(paths.nats.under_way(), 3);
    paths.nats.all(Mode::Takes);
    paths.drained().await;
    assert_each_once(&paths, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_stopped_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(Mode::Hangs);
    let lines = drain(&spool_tasks).unwrap();
    in_time("the first under way", || paths.nats.under_way() == 1).await;
    spool_tasks.stop();
    let summary = summary(lines).await;
    assert_eq!(summary.stopped.as_deref(), Some("the bridge is stopping"));
    assert_eq!((summary.matched, summary.left), (RECORDS as u64, RECORDS as u64));
}

/// Two replays, one after the other, and none beside the drain of a configured destination.
#[tokio::test(start_paused = true)]
async fn whoever_comes_second_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(retry());
    // It gives up by itself.
    let first = drain(&spool_tasks).unwrap();
    assert_eq!(summary(first).await.left, RECORDS as u64);
    let second = drain(&spool_tasks).unwrap();
    assert!(matches!(drain(&spool_tasks), Err(Refused::Busy)));
    paths.nats.all(Mode::Takes);
    paths.nats.one("4", reject());
    let second = summary(second).await;
    let records = RECORDS as u64;
    assert_eq!((second.matched, second.published, second.left), (records, records - 1, 0));
    assert_eq!((second.dead_lettered, second.stopped), (1, None));
    assert!(matches!(drain(&spool_tasks), Err(Refused::NoQueue(_))));
    assert_eq!(paths.nats.taken().len(), RECORDS - 1);
    // What nobody holds is forgotten, and made anew.
    assert!(paths.all.alive.lock().get(OLD).is_some_and(|known| known.strong_count() == 0));
    configured(&paths.all, OLD, 100);
    assert_eq!(paths.all.alive.lock().len(), 2);
}

/// It gives up only what fails again and again, and leaves no problem of it behind.
#[tokio::test(start_paused = true)]
async fn a_failure_or_two_end_no_replay() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(retry());
    let lines = drain(&spool_tasks).unwrap();
    in_time("two attempts", || paths.nats.attempts() == 2).await;
    paths.nats.all(Mode::Takes);
    assert_eq!(summary(lines).await.left, 0);
    assert_each_once(&paths, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_in_vain_is_no_problem_of_the_bridge() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(retry());
    assert_eq!(summary(drain(&spool_tasks).unwrap()).await.left, RECORDS as u64);
    assert!(!paths.health.readiness().1.contains("problem"), "{}", paths.health.readiness().1);
}

/// Nothing is in flight then, so nothing has to be waited for.
#[tokio::test(start_paused = true)]
async fn a_replay_that_pauses_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, spool_tasks) = paths(&folder).await;
    paths.nats.all(retry());
    let lines = drain(&spool_tasks).unwrap();
    in_time("two attempts", || paths.nats.attempts() == 2).await;
    let began = Instant::now();
    spool_tasks.stop();
    until("its end", || spool_tasks.idle().now_or_never().is_some()).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(summary(lines).await.stopped.as_deref(), Some("the bridge is stopping"));
}
