//! Copies: bounded in time and number, and none for what JetStream knows or a bridge had time to note.

use super::*;

pub(super) fn run() {
    let number = one(Kind::Kafka);
    // It was sent again, so much later.
    let copy = |history: &mut History, later: u64| {
        let time = at(number) + at(later);
        let position = 1_000 + later;
        history.kafka.push(Stored { position, time, ..stored(number, Destination::Topic) });
    };
    let found = |part: Part, from: u64, to: u64, copies: u64| {
        judged(|history| {
            (1..copies).for_each(|later| copy(history, later));
            trouble(history, part, from, to);
        })
    };
    let twice = vec![(Breach::Duplicate, 1)];
    assert_eq!(judged(|history| copy(history, 1)), twice);

    // Only the trouble of this broker explains it, only at its time, and not any number of copies.
    let kafka = Part::Broker(Broker::Kafka);
    for (part, from, to, copies, expected) in [
        (kafka, number, number + 1, 2, vec![]),
        (Part::Stalled(Broker::Kafka), number, number + 1, 2, vec![]),
        // Its acknowledgement was waited for when the trouble began.
        (kafka, number + 20, number + 21, 2, vec![]),
        (kafka, number + 21, number + 22, 2, twice.clone()),
        // It went on a moment longer.
        (kafka, number - 19, number - 19, 2, vec![]),
        (kafka, number - 20, number - 20, 2, vec![]),
        (kafka, 0, number - 21, 2, twice.clone()),
        (kafka, number, number + 1, 7, vec![]),
        (kafka, number, number + 1, 8, twice.clone()),
        (Part::Broker(Broker::Nats), number, number + 1, 2, twice.clone()),
        (Part::Disk, number, number + 1, 2, twice.clone()),
        // What was published in the last second before a kill may come once more.
        (Part::Bridge, number, number, 2, vec![]),
        (Part::Bridge, number + 13, number + 13, 2, vec![]),
        (Part::Bridge, number + 14, number + 14, 2, twice.clone()),
        (Part::Bridge, number - 1, number - 1, 2, twice.clone()),
        (Part::Bridge, number + 2, number + 2, 3, twice.clone()),
        // There was time to note it.
        (Part::BridgeGently, number, number, 2, twice.clone()),
    ] {
        assert_eq!(
            found(part, from, to, copies),
            expected,
            "{part:?} from {from} to {to}, {copies} copies"
        );
    }
    let killed_twice = judged(|history| {
        copy(history, 1);
        copy(history, 2);
        trouble(history, Part::Bridge, number, number);
        trouble(history, Part::Bridge, number + 2, number + 2);
    });
    assert_eq!(killed_twice, []);
    // Neither what is on disk nor what is slow explains anything by itself.
    let slow = judged(|history| {
        copy(history, 1);
        told(history, number).ended = at(number + 19);
    });
    assert_eq!(slow, twice);
    for (until, late, who, expected) in [
        (number + 4, 250, Who::Broker, vec![]),
        (number + 4, 250, Who::Bridge, vec![]),
        (number + 4, 249, Who::Broker, twice.clone()),
        (number - 9, 500, Who::Broker, twice.clone()),
        (number + 20, 500, Who::Broker, twice.clone()),
    ] {
        let busy = judged(|history| {
            copy(history, 1);
            stall(history, at(until), Duration::from_millis(late), who);
        });
        assert_eq!(busy, expected, "{until} {late} {who:?}");
    }

    // JetStream knows its ids.
    let number = one(Kind::Both);
    for part in [Part::Broker(Broker::Nats), Part::Stalled(Broker::Nats), Part::Bridge] {
        let in_stream = judged(|history| {
            let copy = Stored { position: 1_000, ..stored(number, Destination::Types) };
            history.nats.push(copy);
            trouble(history, part, number, number + 1);
        });
        assert_eq!(in_stream, twice, "{part:?}");
    }
    // A second id belongs to a second attempt.
    for (attempts, expected) in [(1, twice.clone()), (2, vec![])] {
        let resent = judged(|history| {
            let id = "id-of-another".to_owned();
            let position = number - 1;
            history.nats.push(Stored { id, position, ..stored(number, Destination::Types) });
            if attempts == 2 {
                sent(history, number).attempts.insert(0, attempt(number, 503));
                trouble(history, Part::Disk, number, number);
                trouble(history, Part::Broker(Broker::Nats), number, number);
            }
        });
        assert_eq!(resent, expected, "{attempts}");
    }
}
