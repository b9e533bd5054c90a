//! What was posted: each thing that can be wrong with it is seen, and a kill explains copies and nothing else.

use super::*;
use crate::history::Forwarded;

/// All of the stream, in its order, with a kill at the end of the first half.
fn posted(change: impl FnOnce(&mut Forwarded)) -> Vec<(Breach, usize)> {
    judged(|history| {
        let is_meant = |stored: &&Stored| stored.name.contains(".events.");
        let posted = history.nats.iter().filter(is_meant).cloned().collect();
        let mut forwarded = Forwarded { posted, kills: vec![(at(101), at(102))] };
        change(&mut forwarded);
        history.forwarded = Some(forwarded);
    })
}

/// The place of the first that was posted at this time or later.
fn place(forwarded: &Forwarded, tenths: u64) -> usize {
    forwarded.posted.iter().position(|posted| posted.time >= at(tenths)).expect("some later")
}

/// One of this time comes once more, right behind.
fn again(forwarded: &mut Forwarded, first: u64, second: u64) {
    let place = place(forwarded, first);
    let mut copy = forwarded.posted[place].clone();
    copy.time = at(second);
    forwarded.posted.insert(place + 1, copy);
}

pub(super) fn run() {
    assert_eq!(posted(|_| {}), []);
    let lost = posted(|forwarded| {
        let place = place(forwarded, 50);
        forwarded.posted.remove(place);
    });
    assert_eq!(lost, [(Breach::Lost, 1)]);
    let altered = posted(|forwarded| {
        let place = place(forwarded, 50);
        forwarded.posted[place].payload.push(b' ');
    });
    assert_eq!(altered, [(Breach::Lost, 1), (Breach::Altered, 1)]);
    let misrouted = posted(|forwarded| {
        let place = place(forwarded, 50);
        forwarded.posted[place].key = "key-7".to_owned();
    });
    assert_eq!(misrouted, [(Breach::Lost, 1), (Breach::Misrouted, 1)]);
    let swapped = posted(|forwarded| {
        let first = place(forwarded, 50);
        let key = forwarded.posted[first].key.clone();
        let later = forwarded.posted[first + 1..].iter().position(|posted| posted.key == key);
        forwarded.posted.swap(first, first + 1 + later.expect("another of its key"));
    });
    assert_eq!(swapped.len(), 1);
    assert_eq!(swapped[0].0, Breach::OutOfOrder);
    // A kill between explains one more, at any other time none.
    assert_eq!(posted(|forwarded| again(forwarded, 100, 103)), []);
    assert_eq!(posted(|forwarded| again(forwarded, 90, 91)), [(Breach::Duplicate, 1)]);
    assert_eq!(posted(|forwarded| again(forwarded, 110, 111)), [(Breach::Duplicate, 1)]);
    let twice = posted(|forwarded| {
        again(forwarded, 100, 104);
        again(forwarded, 100, 103);
    });
    assert_eq!(twice, [(Breach::Duplicate, 1)]);
    // Nor more of them than were being posted.
    let many = posted(|forwarded| {
        let early: Vec<_> =
            forwarded.posted.iter().filter(|posted| posted.time < at(100)).cloned().collect();
        for first in early {
            let place = forwarded.posted.iter().position(|posted| posted.id == first.id);
            let copy = Stored { time: at(103), ..first };
            forwarded.posted.insert(place.expect("the first one") + 1, copy);
        }
    });
    assert_eq!(many, [(Breach::Duplicate, 1)]);
    let unbroken = posted(|forwarded| forwarded.kills.clear());
    assert_eq!(unbroken, [(Breach::TooSmall, 1)]);
}
