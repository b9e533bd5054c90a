#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::config;
use crate::publish::window::tests::waiting;
use crate::spool::Spool;

/// A queue that holds one record of an earlier process, with the key `old`.
async fn left(folder: &tempfile::TempDir) -> (Spool, Arc<Backlog>) {
    let settings = config::Spool { dir: folder.path().to_owned(), ..config::Spool::default() };
    let spool = Spool::open(&settings).unwrap().0;
    let queue = spool.queue("nats:e");
    queue.append(&waiting(0, "e", "old", 1).record).await.unwrap();
    (spool, Arc::new(Backlog::new(queue)))
}

fn holds(backlog: &Backlog, key: &str) -> bool {
    backlog.holds(Some(&key.into()))
}

#[tokio::test]
async fn keys_of_an_earlier_process_are_unknown_until_all_of_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, backlog) = left(&folder).await;
    let new = waiting(0, "e", "new", 1).record;
    backlog.begin(&new).unwrap().finish().await.unwrap();
    let taken = backlog.sit_down().unwrap();
    let all = backlog.reader(&taken).read(10, usize::MAX).await.unwrap();
    assert_eq!(all.iter().map(|(at, _)| backlog.is_old(*at)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(["old", "new", "other"].map(|key| holds(&backlog, key)), [true; 3]);
    assert!(!backlog.holds(None));
    backlog.done(all[0].0, Some(&"old".into()));
    backlog.old_is_over();
    assert_eq!(["old", "new", "other"].map(|key| holds(&backlog, key)), [false, true, false]);
    backlog.done(all[1].0, Some(&"new".into()));
    assert!(!holds(&backlog, "new") && backlog.is_empty());
    let held = backlog.held.lock();
    assert!(held.table.is_none() && !backlog.is_active.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_destination_is_tried_with_what_can_be_read_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, backlog) = left(&folder).await;
    assert!(backlog.is_tried());
    assert!(!backlog.set_stuck(true) && !backlog.is_tried());
    assert!(backlog.set_stuck(false) && backlog.is_tried());
    backlog.set_held_up(true);
    assert!(!backlog.is_tried());
    backlog.set_held_up(false);
    let taken = backlog.sit_down().unwrap();
    let all = backlog.reader(&taken).read(10, usize::MAX).await.unwrap();
    backlog.done(all[0].0, Some(&"old".into()));
    assert!(!backlog.is_tried());
}
