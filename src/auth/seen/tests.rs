#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use super::*;

const TOLERANCE: u64 = 300;
const DONE: Ended = Ok(Delivered { is_accepted: false });

fn seen(max: usize) -> Arc<Seen> {
    Arc::new(Seen::new(max))
}

fn id(id: u64) -> Mark {
    Mark::new(&[&id.to_le_bytes()], None)
}

/// A delivery that was signed at this second.
fn timed(id: u64, at: u64) -> Mark {
    Mark::new(&[&id.to_le_bytes()], Some(Signed { at, tolerance: TOLERANCE }))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn enter(seen: &Arc<Seen>, mark: Mark) -> Entry {
    match seen.find(mark) {
        Found::New(entry) => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delivery_counts_once_it_got_its_2xx() {
    let seen = seen(10);
    let got = Delivered { is_accepted: true };
    let entry = enter(&seen, id(1));
    entry.end(Err(Refusal::Undecided));
    drop(enter(&seen, id(1)));
    enter(&seen, id(1)).end(Ok(got));
    assert!(matches!(seen.find(id(1)), Found::Done(done) if done == got));
    assert!(matches!(seen.find(id(2)), Found::New(_)));
}

#[tokio::test]
async fn a_copy_gets_what_the_first_gets() {
    let seen = seen(10);
    for ended in [DONE, Err(Refusal::NotStored("because")), Ok(Delivered { is_accepted: true })] {
        let entry = enter(&seen, id(1));
        let copies = [(); 3].map(|()| match seen.find(id(1)) {
            Found::Open(end) => end,
            other => panic!("{other:?}"),
        });
        entry.end(ended.clone());
        for copy in copies {
            assert_eq!(copy.await.unwrap(), ended);
        }
        if ended.is_ok() {
            break;
        }
    }
    // Given up: whoever waits for it may try by itself.
    let entry = enter(&seen, id(2));
    let Found::Open(end) = seen.find(id(2)) else { panic!("it is being handled") };
    drop(entry);
    assert!(end.await.is_err());
    enter(&seen, id(2)).end(DONE);
}

#[test]
fn the_end_of_one_is_not_the_end_of_the_next() {
    let seen = seen(10);
    let first = enter(&seen, id(1));
    first.end(Err(Refusal::Undecided));
    let second = enter(&seen, id(1));
    assert!(matches!(seen.find(id(1)), Found::Open(_)));
    drop(second);
}

#[test]
fn the_oldest_is_forgotten_first() {
    let seen = seen(3);
    (0..5).for_each(|number| enter(&seen, id(number)).end(DONE));
    let is_known = |number| matches!(seen.find(id(number)), Found::Done(_));
    assert_eq!([0, 1, 2, 3, 4].map(is_known), [false, false, true, true, true]);
    seen.set(1);
    assert_eq!([2, 3, 4].map(is_known), [false, false, true]);
}

#[test]
fn nothing_is_refused_for_what_another_endpoint_has_seen() {
    let all = SeenDeliveries::default();
    assert!(all.of("a").is_none());
    let (first, other) = (seen(2), seen(2));
    all.keep("a".into(), first.clone());
    all.keep("b".into(), other.clone());
    enter(&first, id(1)).end(DONE);
    (10..20).for_each(|number| enter(&other, id(number)).end(DONE));
    assert!(matches!(all.of("a").unwrap().find(id(1)), Found::Done(_)));
    assert!(matches!(all.of("b").unwrap().find(id(1)), Found::New(_)));
}

#[test]
fn two_at_the_same_time_are_one() {
    let seen = seen(10);
    let now = at(10_000);
    for mark in [timed(1, 10_000), id(2)] {
        let first = seen.refuse_at(mark, now).unwrap();
        assert_eq!(seen.refuse_at(mark, now).unwrap_err(), Cause::Repeated);
        // What got no 2xx may come again.
        first.end(Err(Refusal::Undecided));
        drop(seen.refuse_at(mark, now).unwrap());
        seen.refuse_at(mark, now).unwrap().end(DONE);
        assert_eq!(seen.refuse_at(mark, now).unwrap_err(), Cause::Repeated);
    }
}

/// At any rate that there is room for: whatever would still be accepted is remembered, and nothing much longer.
#[test]
fn nothing_is_forgotten_within_the_tolerance() {
    const RATE: u64 = 50;
    let max = (TOLERANCE + 3 * SLOT) * RATE;
    let seen = seen(max as usize);
    for second in 10_000..10_000 + 3 * TOLERANCE {
        let now = at(second);
        for number in 0..RATE {
            seen.refuse_at(timed(second * RATE + number, second), now).unwrap().end(DONE);
        }
        for age in [0, 1, TOLERANCE / 2, TOLERANCE] {
            let Some(signed) = second.checked_sub(age).filter(|signed| *signed >= 10_000) else {
                continue;
            };
            let again = seen.refuse_at(timed(signed * RATE, signed), now);
            assert_eq!(again.unwrap_err(), Cause::Repeated, "signed {age} s ago");
        }
        assert!(seen.state.lock().count as u64 <= max);
    }
}

/// Times and tolerances are cut to seconds, and together these parts make up to two of them.
#[test]
fn nothing_is_forgotten_for_parts_of_a_second() {
    let seen = seen(10);
    let mark = Mark::new(&[b"1"], Some(Signed { at: SLOT - 1, tolerance: 1 }));
    seen.refuse_at(mark, at(SLOT)).unwrap().end(DONE);
    // Signed at 15.9, good for 1.9 s.
    let last = at(SLOT + 1) + Duration::from_millis(800);
    assert_eq!(seen.refuse_at(mark, last).unwrap_err(), Cause::Repeated);
    assert_eq!(seen.refuse_at(mark, at(SLOT + 2)).unwrap_err(), Cause::TooOld);
}

#[test]
fn a_full_memory_refuses_what_is_new_until_there_is_room() {
    let seen = seen(3);
    let now = at(10_000);
    let enter = |number, signed, now| seen.refuse_at(timed(number, signed), now);
    enter(1, 10_000, now).unwrap().end(DONE);
    enter(2, 10_000, now).unwrap().end(DONE);
    let open = enter(3, 10_000, now).unwrap();
    assert_eq!(enter(4, 10_000, now).unwrap_err(), Cause::Full);
    for number in 1..=3 {
        assert_eq!(enter(number, 10_000, now).unwrap_err(), Cause::Repeated);
    }
    drop(open);
    enter(4, 10_000, now).unwrap().end(DONE);
    assert_eq!(enter(5, 10_000, now).unwrap_err(), Cause::Full);
    // A smaller room takes nothing away.
    seen.set(1);
    assert_eq!(enter(1, 10_000, now).unwrap_err(), Cause::Repeated);
    let later = at(10_000 + TOLERANCE + 2 * SLOT);
    enter(5, 10_000 + TOLERANCE, later).unwrap().end(DONE);
}

/// A clock that is set back, or a longer tolerance, lets nothing in that may have been forgotten.
#[test]
fn what_may_have_been_forgotten_is_refused() {
    let seen = seen(10);
    seen.refuse_at(timed(1, 10_000), at(10_000)).unwrap().end(DONE);
    let later = 10_000 + TOLERANCE + 2 * SLOT;
    seen.refuse_at(timed(2, later), at(later)).unwrap().end(DONE);
    assert_eq!(seen.refuse_at(timed(1, 10_000), at(10_000)).unwrap_err(), Cause::TooOld);
    // What was signed after it is not touched by that.
    seen.refuse_at(timed(3, 10_000 + 2 * SLOT), at(10_100)).unwrap().end(DONE);
}

#[test]
fn what_needs_no_memory_makes_room_for_what_does() {
    let seen = seen(3);
    (0..3).for_each(|number| enter(&seen, id(number)).end(DONE));
    let now = at(10_000);
    (10..12).for_each(|number| seen.refuse_at(timed(number, 10_000), now).unwrap().end(DONE));
    let is_known = |number| matches!(seen.find(id(number)), Found::Done(_));
    assert_eq!([0, 1, 2].map(is_known), [false, false, true]);
}
