//! Questions: late ones, repeated ones, and those for somebody else.

use super::*;

const LATE: Duration = Duration::from_millis(3_000);

/// Where the first call of a question stands among what arrived.
fn find(history: &History, number: u64) -> usize {
    history.arrivals.iter().position(|arrival| arrival.number == number).unwrap()
}

/// A question that came later, and to a worker that saw it.
fn late(history: &mut History, number: u64, by: Duration) -> &mut Arrival {
    let place = find(history, number);
    let arrival = &mut history.arrivals[place];
    (arrival.at, arrival.is_acted_on) = (at(number) + by, false);
    arrival
}

pub(super) fn run() {
    stale();
    misled();
    repeated();
    let number = one(Kind::Question);
    for change in [
        (|arrival: &mut Arrival| arrival.subject = "shop.tool.other".to_owned())
            as fn(&mut Arrival),
        |arrival| arrival.key = "key-9".to_owned(),
    ] {
        let misrouted = judged(|history| {
            let place = find(history, number);
            change(&mut history.arrivals[place]);
        });
        assert_eq!(misrouted, [(Breach::Misrouted, 1)]);
    }
    for change in
        [(|arrival: &mut Arrival| arrival.number = 1_000) as fn(&mut Arrival), |arrival| {
            arrival.call = "call_1_1".to_owned()
        }]
    {
        let altered = judged(|history| {
            let place = find(history, number);
            change(&mut history.arrivals[place]);
        });
        assert_eq!(altered, [(Breach::Altered, 1)]);
    }
}

fn stale() {
    let number = one(Kind::Question);
    let stale = vec![(Breach::Stale, 1)];
    let arrives = |part: Part, from: u64, to: u64, by: Duration| {
        judged(|history| {
            late(history, number, by);
            trouble(history, part, number + from, number + to);
        })
    };
    let just_in_time = LATE - Duration::from_millis(1);
    for (by, expected) in [(just_in_time, vec![]), (LATE, stale.clone())] {
        let without_trouble = judged(|history| {
            late(history, number, by);
        });
        assert_eq!(without_trouble, expected);
    }
    let nats = Part::Stalled(Broker::Nats);
    for (part, from, to, by, expected) in [
        (nats, 0, 40, at(41), vec![]),
        (nats, 0, 20, LATE, vec![]),
        (nats, 0, 19, LATE, stale.clone()),
        // It was sent when that was over.
        (nats, 0, 0, LATE, stale.clone()),
        (Part::Broker(Broker::Nats), 0, 40, at(41), stale.clone()),
        (Part::Stalled(Broker::Kafka), 0, 40, at(41), stale.clone()),
        (Part::Bridge, 0, 40, at(41), stale.clone()),
    ] {
        assert_eq!(arrives(part, from, to, by), expected, "{part:?} {from} {to} {by:?}");
    }
    // Late by what a worker knows, and it did something.
    let acted_on = judged(|history| {
        late(history, number, at(41)).is_acted_on = true;
        trouble(history, nats, number, number + 40);
    });
    assert_eq!(acted_on, stale);
    // More than a kernel holds comes from the bridge.
    for (bytes, expected) in [(10_000, vec![]), (10_001, stale.clone())] {
        let too_many = judged(|history| {
            late(history, number, at(41)).bytes = bytes;
            trouble(history, nats, number, number + 40);
        });
        assert_eq!(too_many, expected);
    }
}

/// A question says how long its sender waits, and no longer.
fn misled() {
    let number = one(Kind::Question);
    // It was answered after a tenth of a second, or never: the limit can't begin later than the answer, nor much later
    // than the question.
    for (bridges, took, more, expected) in [
        (1, at(1), 250, vec![]),
        (1, at(1), 251, vec![(Breach::Stale, 1)]),
        (1, at(30), 1_000, vec![]),
        (1, at(30), 1_001, vec![(Breach::Stale, 1)]),
        (2, at(30), 1_001, vec![]),
        (2, at(1), 251, vec![(Breach::Stale, 1)]),
    ] {
        let found = judged(|history| {
            history.bridges = bridges;
            told(history, number).ended = at(number) + took;
            let place = find(history, number);
            history.arrivals[place].deadline += Duration::from_millis(more);
        });
        assert_eq!(found, expected, "{bridges} {took:?} {more}");
    }
    // However it acted on it.
    let found = judged(|history| {
        let place = find(history, number);
        history.arrivals[place].at = at(number + 51);
        history.arrivals[place].deadline = at(number + 100);
    });
    assert_eq!(found, [(Breach::Stale, 1)]);
}

fn repeated() {
    let number = one(Kind::Question);
    let again = |history: &mut History| {
        let place = find(history, number);
        let copy = history.arrivals[place].clone();
        history.arrivals.push(copy);
    };
    assert_eq!(judged(again), [(Breach::Repeated, 1)]);
    // Asked again, since the bridge died.
    let resent = judged(|history| {
        again(history);
        let arrival = history.arrivals.last_mut().unwrap();
        (arrival.at, arrival.deadline) = (arrival.at + at(10), arrival.deadline + at(10));
        let mut second = attempt(number, 200);
        second.sent += at(10);
        second.written += at(10);
        second.ended += at(10);
        sent(history, number).attempts[0].answer = None;
        sent(history, number).attempts.push(second);
        trouble(history, Part::Bridge, number, number + 5);
    });
    assert_eq!(resent, []);
}
