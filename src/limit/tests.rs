#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use super::*;
use crate::config::units::Size;

fn endpoint(text: &str) -> config::Endpoint {
    let text = format!("name = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n{text}");
    toml::from_str(&text).unwrap()
}

fn endpoint_limits(http: Http, text: &str) -> (Arc<Limits>, EndpointLimits) {
    let limits = Arc::new(Limits::new(&http));
    (limits.clone(), EndpointLimits::new(limits, &endpoint(text)))
}

#[test]
fn each_pool_has_its_own_places() {
    let http = Http { max_events: 1, max_questions: 1, ..Http::default() };
    let (limits, endpoint_limits) = endpoint_limits(http, "");
    let first = endpoint_limits.event(&mut endpoint_limits.reservation()).unwrap();
    assert_eq!(
        endpoint_limits.event(&mut endpoint_limits.reservation()).unwrap_err(),
        Refusal::Overloaded("events")
    );
    let _question = endpoint_limits.question().unwrap();
    assert_eq!(limits.in_flight(), 2);
    drop(first);
    assert!(endpoint_limits.event(&mut endpoint_limits.reservation()).is_ok());
}

#[test]
fn an_endpoint_that_is_full_leaves_room_to_the_others() {
    let (limits, small) = endpoint_limits(Http::default(), "max_events = 1\nmax_questions = 1");
    let other = EndpointLimits::new(limits, &endpoint(""));
    let _event = small.event(&mut small.reservation()).unwrap();
    let refused = small.event(&mut small.reservation()).unwrap_err();
    assert_eq!(refused, Refusal::Overloaded("events of this endpoint"));
    let _question = small.question().unwrap();
    assert!(small.question().is_err());
    assert!(other.event(&mut other.reservation()).is_ok() && other.question().is_ok());
}

#[test]
fn bytes_are_given_back() {
    let (_, endpoint_limits) =
        endpoint_limits(Http { max_in_flight_bytes: Size::mib(1), ..Http::default() }, "");
    let mut reservation = endpoint_limits.reservation();
    reservation.grow(1 << 20).unwrap();
    let mut other = endpoint_limits.reservation();
    assert!(other.grow(1).is_err());
    drop(reservation);
    other.grow(1 << 20).unwrap();
}

#[test]
fn events_leave_a_quarter_of_the_bytes() {
    let http =
        Http { max_in_flight_bytes: Size::mib(8), max_body: Size::mib(2), ..Http::default() };
    let (_, endpoint_limits) = endpoint_limits(http, "");
    let events: Vec<_> = (0..3)
        .map(|_| {
            let mut reservation = endpoint_limits.reservation();
            reservation.grow(2 << 20).unwrap();
            (endpoint_limits.event(&mut reservation).unwrap(), reservation)
        })
        .collect();
    let mut reservation = endpoint_limits.reservation();
    reservation.grow(2 << 20).unwrap();
    let refused = endpoint_limits.event(&mut reservation).unwrap_err();
    assert_eq!(refused, Refusal::Overloaded("bytes of events in flight"));
    // The same bytes are fine for a question.
    assert!(endpoint_limits.question().is_ok());
    drop(events);
    assert!(endpoint_limits.event(&mut reservation).is_ok());
}

#[test]
fn limits_change_while_they_are_in_use() {
    let (limits, endpoint_limits) =
        endpoint_limits(Http { max_events: 2, ..Http::default() }, "max_events = 2");
    let held = [(); 2].map(|()| endpoint_limits.event(&mut endpoint_limits.reservation()).unwrap());
    assert!(endpoint_limits.event(&mut endpoint_limits.reservation()).is_err());
    limits.set(&Http { max_events: 3, ..Http::default() });
    assert!(endpoint_limits.event(&mut endpoint_limits.reservation()).is_err());
    endpoint_limits.set(&endpoint(""));
    let third = endpoint_limits.event(&mut endpoint_limits.reservation()).unwrap();
    limits.set(&Http { max_events: 1, ..Http::default() });
    drop((held, third));
    assert_eq!(limits.in_flight(), 0);
    let _only = endpoint_limits.event(&mut endpoint_limits.reservation()).unwrap();
    assert!(endpoint_limits.event(&mut endpoint_limits.reservation()).is_err());
}

#[test]
fn a_rate_allows_a_burst_and_then_says_when_to_come_back() {
    let (_, endpoint_limits) =
        endpoint_limits(Http::default(), "rate_limit = \"1/m\"\nrate_burst = 2");
    assert!(endpoint_limits.rate().is_ok() && endpoint_limits.rate().is_ok());
    let Err(Refusal::TooFast { wait }) = endpoint_limits.rate() else { panic!("it was let in") };
    assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
    // Setting the same again doesn't fill the bucket.
    endpoint_limits.set(&endpoint("rate_limit = \"1/m\"\nrate_burst = 2"));
    assert!(endpoint_limits.rate().is_err());
    endpoint_limits.set(&endpoint("rate_limit = \"2/m\"\nrate_burst = 1"));
    assert!(endpoint_limits.rate().is_ok() && endpoint_limits.rate().is_err());
    endpoint_limits.set(&endpoint(""));
    assert!(endpoint_limits.rate().is_ok());
}

mod unknown {
    use std::future::{pending, ready};
    use std::task::Poll;

    use futures_util::FutureExt;

    use super::*;

    fn endpoint_limits(bytes: usize, count: usize) -> (Arc<Limits>, EndpointLimits) {
        let http = Http {
            max_unverified_bytes: Some(Size::bytes(bytes)),
            max_reading: count,
            max_body: Size::bytes(1 << 20),
            ..Http::default()
        };
        super::endpoint_limits(http, "")
    }

    /// So many bytes of a body have arrived, and no more come for now.
    fn stall(reading: &mut Reading, bytes: usize) -> Poll<Result<(), Refusal>> {
        if let Err(refusal) = reading.grow(bytes) {
            return Poll::Ready(Err(refusal));
        }
        is_still_there(reading)
    }

    fn is_still_there(reading: &mut Reading) -> Poll<Result<(), Refusal>> {
        let waiting = reading.wait(pending::<Option<()>>());
        waiting.now_or_never().map_or(Poll::Pending, |waited| Poll::Ready(waited.map(|_| ())))
    }

    fn held(limits: &Limits) -> (usize, usize) {
        let count = limits.unverified.load(Ordering::Relaxed);
        (count, limits.unverified_bytes.load(Ordering::Relaxed))
    }

    const GONE: Poll<Result<(), Refusal>> =
        Poll::Ready(Err(Refusal::Overloaded("bodies of unknown senders")));

    #[test]
    fn nothing_is_taken_from_those_who_are_known() {
        let (limits, endpoint_limits) = endpoint_limits(100, 10);
        let mut stranger = endpoint_limits.reading(false).unwrap();
        assert!(stall(&mut stranger, 80).is_pending());
        assert_eq!((limits.reading.held(), limits.bytes.held()), (0, 0));
        assert_eq!(held(&limits), (1, 80));
        // Known at last: now it counts like any other.
        let (permit, reservation) = endpoint_limits.verified(stranger, 80).unwrap();
        assert_eq!((limits.reading.held(), limits.bytes.held()), (1, 80));
        assert_eq!(held(&limits), (0, 0));
        drop((permit, reservation));
        assert_eq!((limits.reading.held(), limits.bytes.held()), (0, 0));
    }

    #[test]
    fn what_comes_in_one_piece_needs_no_room() {
        let (limits, endpoint_limits) = endpoint_limits(1, 1);
        let mut stranger = endpoint_limits.reading(false).unwrap();
        stranger.grow(10_000).unwrap();
        assert_eq!(stranger.wait(ready(Some(7))).now_or_never(), Some(Ok(Some(7))));
        assert_eq!(stranger.wait(ready(None::<()>)).now_or_never(), Some(Ok(None)));
        assert_eq!(held(&limits), (0, 0));
        endpoint_limits.verified(stranger, 10_000).unwrap();
    }

    #[test]
    fn the_oldest_has_to_go_when_there_is_no_room() {
        let (limits, endpoint_limits) = endpoint_limits(100, 3);
        let mut readings: Vec<_> =
            (0..3).map(|_| endpoint_limits.reading(false).unwrap()).collect();
        for reading in &mut readings {
            assert!(stall(reading, 30).is_pending());
        }
        // By bytes.
        let mut fourth = endpoint_limits.reading(false).unwrap();
        assert!(stall(&mut fourth, 20).is_pending());
        assert_eq!(is_still_there(&mut readings[0]), GONE);
        assert!(is_still_there(&mut readings[1]).is_pending());
        assert_eq!(held(&limits), (3, 80));
        // By count.
        let mut fifth = endpoint_limits.reading(false).unwrap();
        assert!(stall(&mut fifth, 1).is_pending());
        assert_eq!(is_still_there(&mut readings[1]), GONE);
        // By itself: it is the oldest, and grows.
        assert!(stall(&mut readings[2], 40).is_pending());
        assert_eq!(stall(&mut readings[2], 40), GONE);
        assert_eq!(stall(&mut readings[0], 1), GONE, "whoever was told to go can't stay");
        drop((readings, fourth, fifth));
        assert_eq!(held(&limits), (0, 0));
    }

    #[test]
    fn each_endpoint_has_its_own_room() {
        let (limits, first) = endpoint_limits(100, 10);
        let other = EndpointLimits::new(limits.clone(), &endpoint(""));
        let mut honest = other.reading(false).unwrap();
        assert!(stall(&mut honest, 90).is_pending());
        let mut strangers: Vec<_> = (0..10).map(|_| first.reading(false).unwrap()).collect();
        for stranger in &mut strangers {
            assert!(stall(stranger, 90).is_pending());
        }
        assert!(is_still_there(&mut honest).is_pending());
        assert_eq!(held(&limits), (2, 180));
    }

    /// What keeps coming has to let others have a turn, and is counted; when there is little room, it has to pause.
    #[tokio::test(start_paused = true)]
    async fn what_keeps_coming_has_no_advantage() {
        let (limits, endpoint_limits) = endpoint_limits(10 << 20, 10);
        let mut stranger = endpoint_limits.reading(false).unwrap();
        for share in 1..=80 {
            stranger.grow(64 << 10).unwrap();
            // Its end isn't held back.
            assert_eq!(stranger.wait(ready(None::<()>)).now_or_never(), Some(Ok(None)));
            assert_eq!(stranger.wait(ready(Some(()))).now_or_never(), None, "share {share}");
            assert!(stranger.wait(ready(Some(()))).now_or_never().is_some(), "share {share}");
            assert_eq!(held(&limits), (1, share * (64 << 10)));
        }
        let began = tokio::time::Instant::now();
        for _ in 0..50 {
            stranger.grow(64 << 10).unwrap();
            stranger.wait(ready(Some(()))).await.unwrap();
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(110), "{took:?}");
        // Whoever pauses can be told to go, too.
        stranger.grow(64 << 10).unwrap();
        let mut other = endpoint_limits.reading(false).unwrap();
        let other = async {
            other.grow(10 << 20).unwrap();
            other.wait(ready(Some(()))).await
        };
        let (first, other) = tokio::join!(stranger.wait(ready(Some(()))), other);
        assert!(first.is_err() && other.is_ok());
    }
}
