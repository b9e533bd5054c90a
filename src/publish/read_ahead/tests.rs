use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::message::Event;
use crate::trace::Trace;

/// A record of this name, without a key where that is empty, and with so many bytes.
pub(in crate::publish) fn queued(
    sequence: u64,
    name: &str,
    key: &str,
    size: usize,
) -> QueuedRecord {
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
    let record = Record { name: name.into(), event };
    QueuedRecord { position: Position::of(sequence), record, is_alone: false }
}

/// The numbers of all that may be sent now.
fn take(read_ahead: &mut ReadAhead, failing: Option<&str>) -> Vec<u64> {
    let next = std::iter::from_fn(|| read_ahead.next(failing));
    next.map(|queued| queued.position.sequence()).collect()
}

#[test]
fn one_of_each_key_is_ready_and_all_without_one() {
    let mut read_ahead = ReadAhead::default();
    assert!(read_ahead.is_empty());
    for (sequence, key) in (0..).zip(["a", "a", "b", "", "", "a"]) {
        read_ahead.add(queued(sequence, "n", key, 1));
    }
    assert!(!read_ahead.is_empty());
    assert_eq!(take(&mut read_ahead, None), [0, 2, 3, 4]);
    for (sequence, key, next) in [
        (0, "a", &[1][..]),
        (2, "b", &[]),
        (3, "", &[]),
        (1, "a", &[5]),
        (5, "a", &[]),
        (4, "", &[]),
    ] {
        assert!(!read_ahead.is_empty());
        read_ahead.done(&queued(sequence, "n", key, 1));
        assert_eq!(take(&mut read_ahead, None), next, "{sequence}");
    }
    assert!(read_ahead.is_empty() && read_ahead.lines.is_empty());
}

/// What failed gives way to what goes elsewhere, as far as that is near.
#[test]
fn what_goes_elsewhere_comes_first_while_a_name_fails() {
    let mut read_ahead = ReadAhead::default();
    for (sequence, name) in (0..).zip(["bad", "bad", "good", "bad", "fine"]) {
        read_ahead.add(queued(sequence, name, "", 1));
    }
    assert_eq!(take(&mut read_ahead, Some("bad")), [2, 4, 0, 1, 3]);
    for (sequence, name) in (0..MAX_SCANNED as u64).zip(std::iter::repeat("bad")) {
        read_ahead.add(queued(sequence, name, "", 1));
    }
    read_ahead.add(queued(1_000, "good", "", 1));
    let next = |read_ahead: &mut ReadAhead| {
        read_ahead.next(Some("bad")).map(|next| next.position.sequence())
    };
    assert_eq!((next(&mut read_ahead), next(&mut read_ahead)), (Some(0), Some(1_000)));
}

#[test]
fn what_is_put_back_comes_first_and_what_is_sent_again_last() {
    let mut read_ahead = ReadAhead::default();
    (0..4).for_each(|sequence| read_ahead.add(queued(sequence, "n", "", 1)));
    let (first, second) = (read_ahead.next(None), read_ahead.next(None));
    read_ahead.put_back([first, second].into_iter().flatten().collect::<Vec<_>>());
    assert_eq!(read_ahead.next(None).map(|first| read_ahead.retry(first)), Some(()));
    assert_eq!(take(&mut read_ahead, None), [1, 2, 3, 0]);
}

#[test]
fn records_and_bytes_are_bounded() {
    let mut read_ahead = ReadAhead::default();
    assert_eq!((read_ahead.has_room(), read_ahead.room()), (true, (MAX_RECORDS, MAX_BYTES)));
    read_ahead.add(queued(0, "n", "", MAX_BYTES / 2));
    assert_eq!(
        (read_ahead.has_room(), read_ahead.room()),
        (true, (MAX_RECORDS - 1, MAX_BYTES / 2))
    );
    read_ahead.add(queued(1, "n", "", 1));
    assert_eq!(
        (read_ahead.has_room(), read_ahead.room()),
        (false, (MAX_RECORDS - 2, MAX_BYTES / 2 - 1))
    );
    read_ahead.done(&queued(1, "n", "", 1));
    assert_eq!(
        (read_ahead.has_room(), read_ahead.room()),
        (true, (MAX_RECORDS - 1, MAX_BYTES / 2))
    );
    read_ahead.add(queued(2, "n", "", MAX_BYTES / 2));
    // One is read all the same, once there is room.
    assert_eq!((read_ahead.has_room(), read_ahead.room()), (false, (MAX_RECORDS - 2, 1)));
    for sequence in [0, 2] {
        read_ahead.done(&queued(sequence, "n", "", MAX_BYTES / 2));
    }
    for sequence in 0..MAX_RECORDS as u64 {
        assert_eq!(read_ahead.has_room(), sequence <= MAX_RECORDS as u64 / 2, "{sequence}");
        read_ahead.add(queued(sequence, "n", "", 0));
    }
    assert_eq!(read_ahead.room(), (1, MAX_BYTES));
}

/// The next that may be sent, and those that go with it.
fn run(read_ahead: &mut ReadAhead, max: (usize, usize)) -> Vec<QueuedRecord> {
    let mut run: Vec<_> = read_ahead.next(None).into_iter().collect();
    let behind = run.first().map(|first| read_ahead.run_behind(first, max));
    run.extend(behind.into_iter().flatten());
    run
}

fn numbers(run: &[QueuedRecord]) -> Vec<u64> {
    run.iter().map(|queued| queued.position.sequence()).collect()
}

#[test]
fn a_run_is_of_one_key_and_one_name_and_what_is_left_of_it_comes_first() {
    let mut read_ahead = ReadAhead::default();
    for (sequence, name) in (0..6).zip(["n", "n", "n", "n", "m", "n"]) {
        read_ahead.add(queued(sequence, name, "k", 10));
    }
    read_ahead.add(queued(6, "n", "l", 10));
    read_ahead.add(queued(7, "n", "", 10));
    let mut done = run(&mut read_ahead, (3, 1_000));
    assert_eq!(numbers(&done), [0, 1, 2], "three in all");
    let rest = done.split_off(1);
    read_ahead.run_ended(&done, rest);
    assert_eq!((read_ahead.records, read_ahead.bytes), (7, 70));
    let first = run(&mut read_ahead, (1, 1_000));
    assert_eq!((numbers(&first), first[0].is_alone), (vec![1], true));
    let others = [run(&mut read_ahead, (9, 1_000)), run(&mut read_ahead, (9, 1_000))];
    assert_eq!(others.each_ref().map(|run| numbers(run)), [[6], [7]], "none of its key is ready");
    read_ahead.done(&first[0]);
    let bounded = run(&mut read_ahead, (9, 19));
    assert_eq!((numbers(&bounded), bounded[0].is_alone), (vec![2], false), "bytes are bounded");
    assert_eq!(numbers(&read_ahead.run_behind(&bounded[0], (9, 1_000))), [3], "a name ends it");
    let all: Vec<_> = bounded.into_iter().chain([queued(3, "n", "k", 10)]).collect();
    read_ahead.run_ended(&all, Vec::new());
    assert_eq!(numbers(&run(&mut read_ahead, (9, 1_000))), [4], "another name ends it too");
    assert_eq!(read_ahead.records, 4);
}
