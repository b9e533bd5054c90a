use tokio::time::advance;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_published_until_the_queue_is_empty_is_counted() {
    let mut backoff = Backoff {
        max_in_flight: 1,
        pause: None,
        next: MAX_BACKOFF,
        has_failed: false,
        run: None,
        last_logged: Instant::now(),
        failures: 3,
        failing: Some("a".into()),
    };
    assert_eq!(backoff.end_run(), (0, 0.0));
    for _ in 0..3 {
        backoff.record_published();
        advance(Duration::from_secs(2)).await;
    }
    assert_eq!(backoff.end_run(), (3, 6.0));
    assert_eq!(backoff.end_run(), (0, 0.0));
    assert_eq!(
        (backoff.max_in_flight, backoff.next, backoff.failures),
        (MAX_IN_FLIGHT, MIN_BACKOFF, 0)
    );
    assert!(backoff.failing.is_none());
}

#[test]
fn an_age_is_that_of_the_oldest() {
    assert_eq!(age(None), 0);
    assert_eq!(age(Some(SystemTime::now() + Duration::from_secs(60))), 0);
    let age = age(Some(SystemTime::now() - Duration::from_secs(60)));
    assert!((60..70).contains(&age), "{age}");
}
