use tokio::time::advance;

use super::*;
use crate::publish::read_ahead::tests::queued;

const MOMENT: Duration = Duration::from_millis(1);

fn number(queued: Option<QueuedRecord>) -> Option<u64> {
    queued.map(|queued| queued.position.sequence())
}

/// The next try of a name, when it isn't due, and when it is.
async fn is_tried_after(retries: &mut NameRetries, pause: Duration) -> Option<QueuedRecord> {
    advance(pause - MOMENT).await;
    assert_eq!(number(retries.try_next()), None, "{pause:?}");
    advance(MOMENT).await;
    retries.try_next()
}

#[tokio::test(start_paused = true)]
async fn a_name_is_tried_with_its_first_record_ever_more_rarely() {
    let mut retries = NameRetries::default();
    retries.add(queued(1, "a", "", 10));
    retries.add(queued(2, "a", "", 10));
    assert_eq!(retries.due(), Some(Instant::now() + MIN_BACKOFF));
    for pause in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        let tried = is_tried_after(&mut retries, Duration::from_millis(pause)).await;
        assert_eq!(number(retries.try_next()), None, "one at a time");
        let tried = tried.filter(|tried| retries.is_tried(tried));
        assert_eq!(tried.as_ref().map(|tried| tried.position.sequence()), Some(1));
        assert!(!retries.is_tried(&queued(2, "a", "", 10)));
        tried.into_iter().for_each(|tried| retries.add(tried));
        assert!(!retries.is_tried(&queued(1, "a", "", 10)));
    }
}

#[test]
fn what_rests_is_counted() {
    let mut retries = NameRetries::default();
    assert!(retries.is_empty() && retries.due().is_none());
    for (sequence, name, size) in [(1, "a", 10), (2, "a", 20), (3, "b", 40)] {
        retries.add(queued(sequence, name, "", size));
    }
    assert!(!retries.is_empty() && retries.contains("a") && !retries.contains("c"));
    assert_eq!((retries.len(), retries.bytes()), (2, 70));
    retries.hurry();
    assert_eq!(number(retries.try_next()), Some(1));
    // What is being tried counts elsewhere.
    assert_eq!((retries.len(), retries.bytes()), (2, 60));
    let left = retries.end(&"a".into());
    assert_eq!(left.iter().map(|left| left.position.sequence()).collect::<Vec<_>>(), [2]);
    assert_eq!((retries.len(), retries.bytes()), (1, 40));
    assert!(retries.end(&"a".into()).is_empty());
    assert_eq!(retries.end(&"b".into()).len(), 1);
    assert!(retries.is_empty() && retries.due().is_none() && retries.bytes() == 0);
}

/// Each of those that rest then, once, however long it would have rested.
#[tokio::test(start_paused = true)]
async fn all_are_tried_at_once_when_something_was_mended() {
    let mut retries = NameRetries::default();
    for (sequence, name) in [(1, "a"), (2, "b")] {
        retries.add(queued(sequence, name, "", 1));
        advance(MOMENT).await;
    }
    assert!(!retries.is_hurried());
    retries.hurry();
    assert!(retries.is_hurried());
    assert_eq!(retries.due(), Some(Instant::now()));
    let first = retries.try_next();
    assert!(retries.is_hurried());
    assert_eq!(number(retries.try_next()), Some(2));
    assert!(!retries.is_hurried());
    first.into_iter().for_each(|first| retries.add(first));
    assert_eq!(retries.due(), Some(Instant::now() + MIN_BACKOFF * 2));
    assert_eq!(number(retries.try_next()), None);
}

#[test]
fn all_are_tried_once_each_of_them_was() {
    let mut retries = NameRetries::default();
    retries.add(queued(1, "a", "", 1));
    retries.add(queued(2, "b", "", 1));
    assert!(!retries.are_all_tried());
    retries.hurry();
    let tried: Vec<_> = [retries.try_next(), retries.try_next()].into_iter().flatten().collect();
    assert!(!retries.are_all_tried());
    for (at, tried) in tried.into_iter().enumerate() {
        retries.add(tried);
        assert_eq!(retries.are_all_tried(), at == 1);
    }
}
