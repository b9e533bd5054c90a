#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::config;
use crate::publish::read_ahead::tests::queued;
use crate::spool::Spool;

/// A queue that holds one record of an earlier process, with the key `old`.
async fn left(folder: &tempfile::TempDir) -> (Spool, Arc<DiskQueue>) {
    let settings = config::Spool { dir: folder.path().to_owned(), ..config::Spool::default() };
    let spool = Spool::open(&settings).unwrap().0;
    let queue = spool.queue("nats:e");
    queue.append(&queued(0, "e", "old", 1).record).await.unwrap();
    (spool, Arc::new(DiskQueue::new(queue)))
}

fn holds(queue: &DiskQueue, key: &str) -> bool {
    queue.ahead(Some(&key.into())) != Ahead::Nothing
}

#[tokio::test]
async fn keys_of_an_earlier_process_are_unknown_until_all_of_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, queue) = left(&folder).await;
    let new = queued(0, "e", "new", 1).record;
    queue.begin(&new).unwrap().finish().await.unwrap();
    let taken = queue.try_lock().unwrap();
    let all = queue.reader(&taken).read(10, usize::MAX).await.unwrap();
    assert_eq!(
        all.iter().map(|(at, _)| queue.is_inherited(*at)).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(["old", "new", "other"].map(|key| holds(&queue, key)), [true; 3]);
    assert_eq!(queue.ahead(None), Ahead::Nothing);
    queue.done(all[0].0, Some(&"old".into()));
    queue.inherited_done();
    assert_eq!(["old", "new", "other"].map(|key| holds(&queue, key)), [false, true, false]);
    queue.done(all[1].0, Some(&"new".into()));
    assert!(!holds(&queue, "new") && queue.is_empty());
    let keys = queue.keys.lock();
    assert!(keys.table.is_empty() && !queue.is_active.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_destination_is_tried_with_what_can_be_read_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, queue) = left(&folder).await;
    assert!(queue.is_tried());
    assert!(!queue.set_stuck(true) && !queue.is_tried());
    assert!(queue.set_stuck(false) && queue.is_tried());
    queue.set_held_up(true);
    assert!(!queue.is_tried());
    queue.set_held_up(false);
    let taken = queue.try_lock().unwrap();
    let all = queue.reader(&taken).read(10, usize::MAX).await.unwrap();
    queue.done(all[0].0, Some(&"old".into()));
    assert!(!queue.is_tried());
}
