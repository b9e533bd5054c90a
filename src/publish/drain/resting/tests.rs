use tokio::time::advance;

use super::*;
use crate::publish::window::tests::waiting;

const MOMENT: Duration = Duration::from_millis(1);

fn number(waiting: Option<Waiting>) -> Option<u64> {
    waiting.map(|waiting| waiting.position.sequence())
}

/// The next try of a name, when it isn't due, and when it is.
async fn is_tried_after(resting: &mut Resting, pause: Duration) -> Option<Waiting> {
    advance(pause - MOMENT).await;
    assert_eq!(number(resting.try_next()), None, "{pause:?}");
    advance(MOMENT).await;
    resting.try_next()
}

#[tokio::test(start_paused = true)]
async fn a_name_is_tried_with_its_first_record_ever_more_rarely() {
    let mut resting = Resting::default();
    resting.rest(waiting(1, "a", "", 10));
    resting.rest(waiting(2, "a", "", 10));
    assert_eq!(resting.due(), Some(Instant::now() + SHORTEST));
    for pause in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        let tried = is_tried_after(&mut resting, Duration::from_millis(pause)).await;
        assert_eq!(number(resting.try_next()), None, "one at a time");
        let tried = tried.filter(|tried| resting.is_tried(tried));
        assert_eq!(tried.as_ref().map(|tried| tried.position.sequence()), Some(1));
        assert!(!resting.is_tried(&waiting(2, "a", "", 10)));
        tried.into_iter().for_each(|tried| resting.rest(tried));
        assert!(!resting.is_tried(&waiting(1, "a", "", 10)));
    }
}

#[test]
fn what_rests_is_counted() {
    let mut resting = Resting::default();
    assert!(resting.is_empty() && resting.due().is_none());
    for (sequence, name, size) in [(1, "a", 10), (2, "a", 20), (3, "b", 40)] {
        resting.rest(waiting(sequence, name, "", size));
    }
    assert!(!resting.is_empty() && resting.contains("a") && !resting.contains("c"));
    assert_eq!((resting.len(), resting.bytes()), (2, 70));
    resting.hurry();
    assert_eq!(number(resting.try_next()), Some(1));
    // What is being tried counts elsewhere.
    assert_eq!((resting.len(), resting.bytes()), (2, 60));
    let left = resting.end(&"a".into());
    assert_eq!(left.iter().map(|left| left.position.sequence()).collect::<Vec<_>>(), [2]);
    assert_eq!((resting.len(), resting.bytes()), (1, 40));
    assert!(resting.end(&"a".into()).is_empty());
    assert_eq!(resting.end(&"b".into()).len(), 1);
    assert!(resting.is_empty() && resting.due().is_none() && resting.bytes() == 0);
}

/// Each of those that rest then, once, however long it would have rested.
#[tokio::test(start_paused = true)]
async fn all_are_tried_at_once_when_something_was_mended() {
    let mut resting = Resting::default();
    for (sequence, name) in [(1, "a"), (2, "b")] {
        resting.rest(waiting(sequence, name, "", 1));
        advance(MOMENT).await;
    }
    assert!(!resting.is_hurried());
    resting.hurry();
    assert!(resting.is_hurried());
    assert_eq!(resting.due(), Some(Instant::now()));
    let first = resting.try_next();
    assert!(resting.is_hurried());
    assert_eq!(number(resting.try_next()), Some(2));
    assert!(!resting.is_hurried());
    first.into_iter().for_each(|first| resting.rest(first));
    assert_eq!(resting.due(), Some(Instant::now() + SHORTEST * 2));
    assert_eq!(number(resting.try_next()), None);
}

#[test]
fn all_are_tried_once_each_of_them_was() {
    let mut resting = Resting::default();
    resting.rest(waiting(1, "a", "", 1));
    resting.rest(waiting(2, "b", "", 1));
    assert!(!resting.are_all_tried());
    resting.hurry();
    let tried: Vec<_> = [resting.try_next(), resting.try_next()].into_iter().flatten().collect();
    assert!(!resting.are_all_tried());
    for (at, tried) in tried.into_iter().enumerate() {
        resting.rest(tried);
        assert_eq!(resting.are_all_tried(), at == 1);
    }
}
