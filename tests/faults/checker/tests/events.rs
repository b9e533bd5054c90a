//! Events: lost ones, misrouted ones, and their order.

use super::*;

pub(super) fn losses() {
    let both = one(Kind::Both);
    let lose = |history: &mut History, destination: Destination, number: u64| {
        let id = format!("id-{number}");
        list(history, destination).retain(|stored| stored.id != id);
    };
    for (kind, destination) in [
        (Kind::Both, Destination::Topic),
        (Kind::Both, Destination::Types),
        (Kind::Nats, Destination::Types),
        (Kind::Kafka, Destination::Topic),
    ] {
        let lost = judged(|history| lose(history, destination, one(kind)));
        assert_eq!(lost, [(Breach::Lost, 1)], "{kind:?} {destination:?}");
    }
    // One of two destinations of the same broker.
    let half = judged(|history| {
        let number = one(Kind::Pair);
        history.nats.retain(|stored| stored.position != number || !stored.name.contains("keys"));
    });
    assert_eq!(half, [(Breach::Lost, 1)]);
    // On disk is a promise too.
    let spooled = judged(|history| {
        lose(history, Destination::Topic, both);
        tell(history, both, 202);
        trouble(history, Part::Broker(Broker::Kafka), both, both);
    });
    assert_eq!(spooled, [(Breach::Lost, 1)]);
    // It was told to nobody that it is stored.
    let refused = judged(|history| {
        lose(history, Destination::Topic, both);
        tell(history, both, 503);
        trouble(history, Part::Broker(Broker::Kafka), both, both);
        trouble(history, Part::Disk, both, both);
    });
    assert_eq!(refused, []);
    let cut = judged(|history| {
        lose(history, Destination::Topic, both);
        told(history, both).answer = None;
        trouble(history, Part::Bridge, both, both);
    });
    assert_eq!(cut, []);
    // What was stored is another one of the same webhook.
    let another = judged(|history| {
        let mut first = attempt(both, 0);
        first.answer = None;
        sent(history, both).attempts.insert(0, first);
        trouble(history, Part::Bridge, both, both);
        let id = format!("id-{both}");
        for stored in history.kafka.iter_mut().filter(|stored| stored.id == id) {
            stored.id = "id-of-the-first-attempt".to_owned();
        }
    });
    assert_eq!(another, [(Breach::Lost, 1)]);
    // A topic takes what was sent before its end, and nothing of the stream.
    for (deleted, destination, expected) in [
        (both + 1, Destination::Topic, vec![]),
        (both, Destination::Topic, vec![(Breach::Lost, 1)]),
        (both + 1, Destination::Types, vec![(Breach::Lost, 1)]),
    ] {
        let gone = judged(|history| {
            lose(history, destination, both);
            history.excused.deleted = Some(at(deleted));
        });
        assert_eq!(gone, expected, "{deleted} {destination:?}");
    }
    for (destroyed, expected) in
        [(Destination::Topic, vec![]), (Destination::Types, vec![(Breach::Lost, 1)])]
    {
        let found = judged(|history| {
            lose(history, Destination::Topic, both);
            history.excused.destroyed.insert((destroyed, both));
        });
        assert_eq!(found, expected);
    }
}

pub(super) fn names() {
    let number = one(Kind::Nats);
    let find = |history: &mut History| -> usize {
        history.nats.iter().position(|stored| stored.position == number).unwrap()
    };
    for change in [
        (|stored: &mut Stored| stored.name = "shop.events.hang".to_owned()) as fn(&mut Stored),
        |stored| stored.name = "shop.keys.key-0".to_owned(),
        |stored| stored.name = "other.events.status-update".to_owned(),
        |stored| stored.key = "key-7".to_owned(),
    ] {
        // It isn't where it should be either.
        let misrouted = judged(|history| {
            let place = find(history);
            change(&mut history.nats[place]);
        });
        assert_eq!(misrouted, [(Breach::Lost, 1), (Breach::Misrouted, 1)]);
    }
    let elsewhere = judged(|history| {
        let place = find(history);
        let stored = history.nats.remove(place);
        history.kafka.push(stored);
    });
    assert_eq!(elsewhere, [(Breach::Lost, 1), (Breach::Misrouted, 1)]);
    let altered = judged(|history| {
        let place = find(history);
        history.nats[place].payload[5] ^= 1;
    });
    assert_eq!(altered, [(Breach::Lost, 1), (Breach::Altered, 1)]);
}

/// Two of the same key change their places.
fn exchange(history: &mut History, destination: Destination, one: u64, other: u64) {
    let list = list(history, destination);
    let place = |number: u64| {
        let name = webhook(number).name_at(destination, ENDPOINT);
        let is_it = |one: &Stored| one.id == format!("id-{number}") && one.name == name;
        list.iter().position(is_it).unwrap()
    };
    let (one, other) = (place(one), place(other));
    list.swap(one, other);
    let (before, after) = (list[one].position, list[other].position);
    (list[one].position, list[other].position) = (after, before);
}

pub(super) fn order() {
    let first = one(Kind::Kafka);
    let second = next(first);
    let kafka = Destination::Topic;
    // The one between them, which goes there too, is overtaken as well.
    let swapped = judged(|history| exchange(history, kafka, first, second));
    assert_eq!(swapped, [(Breach::OutOfOrder, 2)]);
    // Several bridges share nothing but the brokers.
    let by_two = judged(|history| {
        exchange(history, kafka, first, second);
        history.bridges = 2;
    });
    assert_eq!(by_two, []);
    let others = judged(|history| exchange(history, kafka, first, first + 1));
    assert_eq!(others, []);
    // What was refused has no place.
    let refused = judged(|history| {
        exchange(history, Destination::Keys, one(Kind::Pair), next(one(Kind::Pair)));
        tell(history, one(Kind::Pair), 503);
        trouble(history, Part::Disk, 20, 30);
        trouble(history, Part::Broker(Broker::Nats), 20, 30);
    });
    assert_eq!(refused, []);
    // A second copy stands anywhere.
    let copied = judged(|history| {
        history.kafka.push(Stored { position: 1_000, ..stored(first, kafka) });
        trouble(history, Part::Broker(Broker::Kafka), 20, 30);
    });
    assert_eq!(copied, []);
    let partitions = judged(|history| {
        let stored = history.kafka.iter_mut().find(|stored| stored.position == first);
        stored.unwrap().partition = 1;
    });
    assert!(partitions.iter().all(|(breach, _)| *breach == Breach::OutOfOrder), "{partitions:?}");
    assert!(!partitions.is_empty());
}

/// Which of two that are in flight at once was first is known by their connection, or by the time between them.
pub(super) fn several_at_once() {
    // Neighbours there.
    let (first, second, place) = (one(Kind::Both), one(Kind::Nats), Destination::Types);
    let milliseconds = Duration::from_millis;
    let in_flight = |apart: u64, lines: [Option<(u64, u64)>; 2], stall: u64| {
        judged(|history| {
            exchange(history, place, first, second);
            let former = told(history, first);
            (former.ended, former.line) = (at(first + 10), lines[0]);
            let written = former.written;
            let latter = told(history, second);
            latter.line = lines[1];
            latter.sent = written + milliseconds(apart);
            latter.written = latter.sent;
            latter.ended = latter.sent + milliseconds(500);
            super::stall(history, written + milliseconds(20), milliseconds(stall), Who::Bridge);
        })
    };
    let none = [None, None];
    assert_eq!(in_flight(24, none, 0), []);
    assert_eq!(in_flight(25, none, 0), [(Breach::OutOfOrder, 1)]);
    // The machine stood still: then it was too short.
    assert_eq!(in_flight(60, none, 100), []);
    assert_eq!(in_flight(125, none, 100), [(Breach::OutOfOrder, 1)]);
    let same = [Some((7, 0)), Some((7, 1))];
    assert_eq!(in_flight(0, same, 0), [(Breach::OutOfOrder, 1)]);
    assert_eq!(in_flight(0, [same[1], same[0]], 0), []);
    assert_eq!(in_flight(0, [Some((7, 0)), Some((8, 1))], 0), []);
    // Both were written before anybody could read them, or one of them was.
    let started = |after: u64| {
        judged(|history| {
            exchange(history, place, first, second);
            let start = at(second) + milliseconds(10);
            told(history, first).ended = at(first + 10);
            let latter = told(history, second);
            latter.sent = start + milliseconds(after);
            latter.written = latter.sent;
            latter.ended = latter.sent + milliseconds(500);
            history.troubles.push(Trouble { part: Part::Bridge, from: at(first), to: start });
        })
    };
    assert_eq!(started(24), []);
    assert_eq!(started(25), [(Breach::OutOfOrder, 1)]);
}

/// A live view may miss something while NATS is away, and nothing else.
pub(super) fn live() {
    let number = one(Kind::Live);
    let missed = |history: &mut History| history.live.retain(|stored| stored.time != at(number));
    assert_eq!(judged(missed), [(Breach::Lost, 1)]);
    let away = judged(|history| {
        missed(history);
        trouble(history, Part::Broker(Broker::Nats), number, number);
    });
    assert_eq!(away, []);
    let by_kafka = judged(|history| {
        missed(history);
        trouble(history, Part::Broker(Broker::Kafka), number, number);
    });
    assert_eq!(by_kafka, [(Breach::Lost, 1)]);
    let twice = judged(|history| history.live.push(stored(number, Destination::Live)));
    assert_eq!(twice, [(Breach::Duplicate, 1)]);
    let swapped = judged(|history| exchange(history, Destination::Live, number, next(number)));
    assert_eq!(swapped, [(Breach::OutOfOrder, 1)]);
}
