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

fn holds(disk_queue: &Backlog, key: &str) -> bool {
    disk_queue.holds(Some(&key.into()))
}

#[tokio::test]
async fn keys_of_an_earlier_process_are_unknown_until_all_of_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, disk_queue) = left(&folder).await;
    let new = waiting(0, "e", "new", 1).record;
    disk_queue.begin(&new).unwrap().finish().await.unwrap();
    let taken = disk_queue.sit_down().unwrap();
    let all = disk_queue.reader(&taken).read(10, usize::MAX).await.unwrap();
    assert_eq!(all.iter().map(|(at, _)| disk_queue.is_old(*at)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(["old", "new", "other"].map(|key| holds(&disk_queue, key)), [true; 3]);
    assert!(!disk_queue.holds(None));
    disk_queue.done(all[0].0, Some(&"old".into()));
    disk_queue.old_is_over();
    assert_eq!(["old", "new", "other"].map(|key| holds(&disk_queue, key)), [false, true, false]);
    disk_queue.done(all[1].0, Some(&"new".into()));
    assert!(!holds(&disk_queue, "new") && disk_queue.is_empty());
    let settled = disk_queue.settled.lock();
    assert!(settled.table.is_none() && !disk_queue.is_active.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_destination_is_tried_with_what_can_be_read_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, disk_queue) = left(&folder).await;
    assert!(disk_queue.is_tried());
    assert!(!disk_queue.set_stuck(true) && !disk_queue.is_tried());
    assert!(disk_queue.set_stuck(false) && disk_queue.is_tried());
    disk_queue.set_held_up(true);
    assert!(!disk_queue.is_tried());
    disk_queue.set_held_up(false);
    let taken = disk_queue.sit_down().unwrap();
    let all = disk_queue.reader(&taken).read(10, usize::MAX).await.unwrap();
    disk_queue.done(all[0].0, Some(&"old".into()));
    assert!(!disk_queue.is_tried());
}
