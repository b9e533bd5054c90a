//! The checker is checked first: each of these histories is judged for exactly its fault.

use std::time::Duration;

use super::{Breach, judge};
use crate::history::{Answer, Attempt, Execution, History, Part, Sent, Stored, Trouble};
use crate::webhook::{Broker, Kind, LIMIT_SECONDS, Webhook};

const fn at(tenths: u64) -> Duration {
    Duration::from_millis(tenths * 100)
}

fn webhook(number: u64) -> Webhook {
    // Two keys, and a question now and then.
    let kind = match number % 5 {
        0 => Kind::Question,
        1 => Kind::Nats,
        2 => Kind::Kafka,
        _ => Kind::Both,
    };
    Webhook { number, key: number as usize % 2, kind, size: 100 }
}

fn attempt(number: u64, status: u16) -> Attempt {
    let webhook = webhook(number);
    let answer = Answer {
        status,
        id: Some(format!("id-{number}")),
        number: (webhook.kind == Kind::Question).then_some(number),
    };
    Attempt { sent: at(number), ended: at(number + 1), answer: Some(answer) }
}

fn stored(number: u64, position: u64) -> Stored {
    Stored {
        partition: 0,
        position,
        id: format!("id-{number}"),
        payload: webhook(number).body().into_bytes(),
    }
}

/// Forty webhooks, all stored, answered and executed.
fn clean() -> History {
    let mut history = History::default();
    for number in 0..40 {
        let webhook = webhook(number);
        for broker in webhook.kind.brokers() {
            let stored = stored(number, number);
            match broker {
                Broker::Nats => history.nats.push(stored),
                Broker::Kafka => history.kafka.push(stored),
            }
        }
        if webhook.kind == Kind::Question {
            let deadline = at(number) + Duration::from_secs(3);
            history.executed.push(Execution { number, at: at(number), deadline });
        }
        history.sent.push(Sent { webhook, attempts: vec![attempt(number, 200)] });
    }
    history
}

/// What the checker says of the clean history after a change.
fn judged(change: impl FnOnce(&mut History)) -> Vec<(Breach, usize)> {
    let mut history = clean();
    change(&mut history);
    let verdict = judge(&history);
    assert_eq!(verdict.webhooks, history.sent.len());
    verdict.broken.iter().map(|(breach, list)| (*breach, list.len())).collect()
}

fn trouble(part: Part, from: u64, to: u64) -> Trouble {
    Trouble { part, from: at(from), to: at(to) }
}

pub(crate) fn run() {
    assert_eq!(judged(|_| {}), []);
    losses();
    order();
    duplicates();
    questions();
    answers();
    let memory = judged(|history| history.peak_bytes = 1 << 30);
    assert_eq!(memory, [(Breach::Memory, 1)]);
    let figures = judge(&clean());
    assert_eq!((figures.webhooks, figures.successes, figures.duplicates), (40, 40, 0));
    assert_eq!((figures.p99, figures.longest), (at(1), at(1)));
}

fn losses() {
    // 3 goes to both.
    let lost = |history: &mut History| history.kafka.retain(|stored| stored.id != "id-3");
    assert_eq!(judged(lost), [(Breach::Lost, 1)]);
    let lost_twice = |history: &mut History| {
        lost(history);
        history.nats.retain(|stored| stored.id != "id-3");
    };
    assert_eq!(judged(lost_twice), [(Breach::Lost, 2)]);
    // It was told to nobody that it is stored.
    for status in [Some(503), None] {
        let refused = judged(|history| {
            lost_twice(history);
            history.troubles.push(trouble(Part::Bridge, 3, 3));
            history.sent[3].attempts = vec![match status {
                Some(status) => attempt(3, status),
                None => Attempt { answer: None, ..attempt(3, 0) },
            }];
        });
        assert_eq!(refused, []);
    }
    let spooled = judged(|history| {
        lost(history);
        history.sent[3].attempts = vec![attempt(3, 202)];
    });
    assert_eq!(spooled, [(Breach::Lost, 1)]);
    // What was stored is another one of the same webhook.
    let another = judged(|history| {
        history.sent[3].attempts = vec![attempt(3, 503), attempt(3, 200)];
        history.sent[3].attempts[0].answer = None;
        history.troubles.push(trouble(Part::Bridge, 3, 3));
        history.kafka.iter_mut().filter(|stored| stored.id == "id-3").for_each(|stored| {
            stored.id = "id-of-the-first-attempt".to_owned();
        });
    });
    assert_eq!(another, [(Breach::Lost, 1)]);
    // A topic takes what was sent before its end, and nothing of the stream.
    for (deleted, expected) in [(at(4), vec![]), (at(3), vec![(Breach::Lost, 1)])] {
        let gone = judged(|history| {
            lost(history);
            history.excused.deleted = Some(deleted);
        });
        assert_eq!(gone, expected);
    }
    let in_stream = judged(|history| {
        lost_twice(history);
        history.excused.deleted = Some(at(4));
    });
    assert_eq!(in_stream, [(Breach::Lost, 1)]);
    let destroyed = judged(|history| {
        lost_twice(history);
        history.excused.destroyed.insert((Broker::Nats, 3));
    });
    assert_eq!(destroyed, [(Breach::Lost, 1)]);
}

fn order() {
    // 3 and 9 are of the same key, 8 is of the other.
    let exchange = |list: &mut Vec<Stored>, one: &str, other: &str| {
        let find = |id: &str| list.iter().position(|stored| stored.id == id).unwrap();
        let (one, other) = (find(one), find(other));
        list.swap(one, other);
        let (before, after) = (list[one].position, list[other].position);
        list[one].position = after;
        list[other].position = before;
    };
    let swapped = judged(|history| exchange(&mut history.nats, "id-9", "id-11"));
    assert_eq!(swapped, [(Breach::OutOfOrder, 1)]);
    let others = judged(|history| exchange(&mut history.nats, "id-8", "id-9"));
    assert_eq!(others, []);
    // What was refused has no place.
    let refused = judged(|history| {
        exchange(&mut history.nats, "id-9", "id-11");
        history.sent[9].attempts = vec![attempt(9, 503)];
    });
    assert_eq!(refused, []);
    // A second copy stands anywhere.
    let copied = judged(|history| {
        history.kafka.push(stored(3, 100));
        history.troubles.push(trouble(Part::Broker(Broker::Kafka), 0, 10));
    });
    assert_eq!(copied, []);
    let partitions = judged(|history| {
        history.kafka.iter_mut().filter(|stored| stored.id == "id-7").for_each(|stored| {
            stored.partition = 1;
        });
    });
    assert!(partitions.iter().all(|(breach, _)| *breach == Breach::OutOfOrder), "{partitions:?}");
    assert!(!partitions.is_empty());
}

fn duplicates() {
    let in_kafka = |history: &mut History| history.kafka.push(stored(3, 100));
    assert_eq!(judged(in_kafka), [(Breach::Duplicate, 1)]);
    // Only the trouble of this broker explains it, and only at its time.
    for (part, from, to, expected) in [
        (Part::Broker(Broker::Kafka), 2, 4, vec![]),
        (Part::Broker(Broker::Kafka), 20, 30, vec![(Breach::Duplicate, 1)]),
        (Part::Broker(Broker::Nats), 2, 4, vec![(Breach::Duplicate, 1)]),
        (Part::Bridge, 20, 30, vec![]),
        (Part::Bridge, 1, 2, vec![(Breach::Duplicate, 1)]),
    ] {
        let found = judged(|history| {
            in_kafka(history);
            history.troubles.push(trouble(part, from, to));
        });
        assert_eq!(found, expected, "{part:?} {from} {to}");
    }
    let spooled = judged(|history| {
        in_kafka(history);
        history.sent[3].attempts = vec![attempt(3, 202)];
    });
    assert_eq!(spooled, []);
    let slow = judged(|history| {
        in_kafka(history);
        // Another one, that was in flight too.
        history.sent[2].attempts[0].ended = at(11);
    });
    assert_eq!(slow, []);
    // The stream knows its ids.
    let in_stream = judged(|history| {
        history.nats.push(stored(3, 100));
        history.troubles.push(trouble(Part::Broker(Broker::Nats), 0, 40));
        history.troubles.push(trouble(Part::Bridge, 0, 40));
    });
    assert_eq!(in_stream, [(Breach::Duplicate, 1)]);
    // A second id belongs to a second attempt.
    for attempts in [1, 2] {
        let mut history = clean();
        history.nats.push(Stored { id: "id-of-another".to_owned(), ..stored(3, 100) });
        history.sent[3].attempts = vec![attempt(3, 503); attempts];
        history.sent[3].attempts.push(attempt(3, 200));
        history.sent[3].attempts.remove(0);
        let verdict = judge(&history);
        assert_eq!(verdict.count(Breach::Duplicate), usize::from(attempts == 1), "{attempts}");
        assert_eq!((verdict.broken.len(), verdict.duplicates), (2 - attempts, 1));
    }
    let altered = judged(|history| history.nats[0].payload[5] ^= 1);
    assert_eq!(altered, [(Breach::Altered, 1)]);
}

fn questions() {
    let stale = judged(|history| history.executed[1].at = at(5) + Duration::from_secs(4));
    assert_eq!(stale, [(Breach::Stale, 1)]);
    // Its header said that it is in time; its sender knows better.
    let misled = judged(|history| {
        history.executed[1].at = at(5) + Duration::from_secs(LIMIT_SECONDS + 1);
        history.executed[1].deadline = at(500);
    });
    assert_eq!(misled, [(Breach::Stale, 1)]);
    let late = judged(|history| {
        history.sent[5].attempts[0].ended = at(6) + Duration::from_secs(LIMIT_SECONDS);
    });
    assert_eq!(late, [(Breach::Late, 1)]);
    let wrong = judged(|history| {
        history.sent[5].attempts[0].answer.as_mut().unwrap().number = Some(10);
    });
    assert_eq!(wrong, [(Breach::Altered, 1)]);
}

fn answers() {
    let cut = |history: &mut History| history.sent[5].attempts[0].answer = None;
    assert_eq!(judged(cut), [(Breach::Unanswered, 1)]);
    for (part, from, expected) in [
        (Part::Bridge, 6, vec![]),
        (Part::Bridge, 7, vec![(Breach::Unanswered, 1)]),
        (Part::Broker(Broker::Nats), 5, vec![(Breach::Unanswered, 1)]),
        (Part::BridgeGently, 5, vec![]),
    ] {
        let found = judged(|history| {
            cut(history);
            history.troubles.push(trouble(part, from, 30));
        });
        assert_eq!(found, expected, "{part:?} {from}");
    }
    // It had half a second to read it before it was asked to stop.
    let begun = judged(|history| {
        cut(history);
        history.sent[5].attempts[0].ended = at(12);
        history.troubles.push(trouble(Part::BridgeGently, 10, 30));
    });
    assert_eq!(begun, [(Breach::Unanswered, 1)]);
    let status = judged(|history| history.sent[6].attempts.insert(0, attempt(6, 500)));
    assert_eq!(status, [(Breach::Status, 1)]);
}
