use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::message::{Event, Trace};

/// A record of this name, without a key where that is empty, and with so many bytes.
pub(in crate::publish) fn waiting(sequence: u64, name: &str, key: &str, size: usize) -> Waiting {
    let event = Event {
        id: sequence.to_string().into(),
        endpoint: "e".into(),
        kind: "t".into(),
        key: Some(key).filter(|key| !key.is_empty()).map(Into::into),
        subject: None,
        time: SystemTime::UNIX_EPOCH,
        content_type: "application/json".into(),
        payload: Bytes::from(vec![b'x'; size]),
        trace: Trace::default(),
        dedupe: true,
    };
    Waiting { position: Position::of(sequence), record: Record { name: name.into(), event } }
}

/// The numbers of all that may be sent now.
fn take(window: &mut Window, failing: Option<&str>) -> Vec<u64> {
    let next = std::iter::from_fn(|| window.next(failing));
    next.map(|waiting| waiting.position.sequence()).collect()
}

#[test]
fn one_of_each_key_is_ready_and_all_without_one() {
    let mut window = Window::default();
    assert!(window.is_empty());
    for (sequence, key) in (0..).zip(["a", "a", "b", "", "", "a"]) {
        window.add(waiting(sequence, "n", key, 1));
    }
    assert!(!window.is_empty());
    assert_eq!(take(&mut window, None), [0, 2, 3, 4]);
    for (sequence, key, next) in [
        (0, "a", &[1][..]),
        (2, "b", &[]),
        (3, "", &[]),
        (1, "a", &[5]),
        (5, "a", &[]),
        (4, "", &[]),
    ] {
        assert!(!window.is_empty());
        window.done(&waiting(sequence, "n", key, 1));
        assert_eq!(take(&mut window, None), next, "{sequence}");
    }
    assert!(window.is_empty() && window.lines.is_empty());
}

/// What failed gives way to what goes elsewhere, as far as that is near.
#[test]
fn what_goes_elsewhere_comes_first_while_a_name_fails() {
    let mut window = Window::default();
    for (sequence, name) in (0..).zip(["bad", "bad", "good", "bad", "fine"]) {
        window.add(waiting(sequence, name, "", 1));
    }
    assert_eq!(take(&mut window, Some("bad")), [2, 4, 0, 1, 3]);
    for (sequence, name) in (0..NEAR as u64).zip(std::iter::repeat("bad")) {
        window.add(waiting(sequence, name, "", 1));
    }
    window.add(waiting(1_000, "good", "", 1));
    let next = |window: &mut Window| window.next(Some("bad")).map(|next| next.position.sequence());
    assert_eq!((next(&mut window), next(&mut window)), (Some(0), Some(1_000)));
}

#[test]
fn what_is_put_back_comes_first_and_what_is_sent_again_last() {
    let mut window = Window::default();
    (0..4).for_each(|sequence| window.add(waiting(sequence, "n", "", 1)));
    let (first, second) = (window.next(None), window.next(None));
    window.put_back([first, second].into_iter().flatten().collect::<Vec<_>>());
    assert_eq!(window.next(None).map(|first| window.again(first)), Some(()));
    assert_eq!(take(&mut window, None), [1, 2, 3, 0]);
}

#[test]
fn records_and_bytes_are_bounded() {
    let mut window = Window::default();
    assert_eq!((window.has_room(), window.room()), (true, (RECORDS, BYTES)));
    window.add(waiting(0, "n", "", BYTES / 2));
    assert_eq!((window.has_room(), window.room()), (true, (RECORDS - 1, BYTES / 2)));
    window.add(waiting(1, "n", "", 1));
    assert_eq!((window.has_room(), window.room()), (false, (RECORDS - 2, BYTES / 2 - 1)));
    window.done(&waiting(1, "n", "", 1));
    assert_eq!((window.has_room(), window.room()), (true, (RECORDS - 1, BYTES / 2)));
    window.add(waiting(2, "n", "", BYTES / 2));
    // One is read all the same, once there is room.
    assert_eq!((window.has_room(), window.room()), (false, (RECORDS - 2, 1)));
    for sequence in [0, 2] {
        window.done(&waiting(sequence, "n", "", BYTES / 2));
    }
    for sequence in 0..RECORDS as u64 {
        assert_eq!(window.has_room(), sequence <= RECORDS as u64 / 2, "{sequence}");
        window.add(waiting(sequence, "n", "", 0));
    }
    assert_eq!(window.room(), (1, BYTES));
}
