//! What senders are told: the right thing, in time, and as good as it can be.

use super::*;
use crate::checker::{ACK, SYNC};

const MILLISECOND: Duration = Duration::from_millis(1);
/// Time limit and slack.
const QUESTION: Duration = Duration::from_millis(3_150);

/// Nothing was stored, or answered by a worker: an error in place of each result.
fn fall_back(history: &mut History, number: u64) {
    let answer = told(history, number).answer.as_mut().unwrap();
    answer.results.iter_mut().for_each(|result| result.result = None);
}

/// What is said of one that got this status while these parts were in trouble.
fn found(kind: Kind, status: u16, parts: &[Part]) -> Vec<(Breach, usize)> {
    let number = one(kind);
    judged(|history| {
        tell(history, number, status);
        for part in parts {
            trouble(history, *part, number, number);
        }
    })
}

pub(super) fn statuses() {
    for kind in Kind::ALL {
        assert_eq!(found(kind, 500, &[Part::Bridge]), [(Breach::Status, 1)], "{kind:?}");
        assert_eq!(found(kind, 404, &[]), [(Breach::Status, 1)], "{kind:?}");
    }
    assert_eq!(found(Kind::Question, 202, &[Part::Broker(Broker::Nats)]), [(Breach::Status, 1)]);
    let cut = |part: Part, from: Duration, written: Duration| {
        judged(|history| {
            let number = one(Kind::Both);
            let attempt = told(history, number);
            (attempt.answer, attempt.written) = (None, attempt.sent + written);
            attempt.ended = attempt.sent + at(10);
            let from = attempt.sent + from;
            history.troubles.push(Trouble { part, from, to: from });
        })
    };
    let unanswered = vec![(Breach::Unanswered, 1)];
    let zero = Duration::ZERO;
    for (part, from, written, expected) in [
        (Part::Bridge, at(10), zero, vec![]),
        (Part::Bridge, at(10) + MILLISECOND, zero, unanswered.clone()),
        (Part::Broker(Broker::Nats), at(1), zero, unanswered.clone()),
        (Part::Stalled(Broker::Kafka), at(1), zero, unanswered.clone()),
        (Part::Disk, at(1), zero, unanswered.clone()),
        // It had time to read it before it was asked to stop, or not.
        (Part::BridgeGently, at(1), zero, vec![]),
        (Part::BridgeGently, at(1) + MILLISECOND, zero, unanswered.clone()),
        (Part::BridgeGently, at(1) + MILLISECOND, MILLISECOND, vec![]),
    ] {
        assert_eq!(cut(part, from, written), expected, "{part:?} {from:?} {written:?}");
    }
    // A connection that was made before a bridge was killed ended with it.
    for (opened, expected) in [(at(1), vec![]), (at(1) - MILLISECOND, unanswered)] {
        let dead = judged(|history| {
            let number = one(Kind::Both);
            let attempt = told(history, number);
            (attempt.answer, attempt.opened) = (None, attempt.sent - opened);
            let from = attempt.sent - at(1);
            history.troubles.push(Trouble { part: Part::Bridge, from, to: from });
        });
        assert_eq!(dead, expected, "{opened:?}");
    }
}

/// With what it needs, all is direct.
pub(super) fn calm() {
    use Part::{Bridge, BridgeGently, Disk};
    let (nats, kafka) = (Part::Broker(Broker::Nats), Part::Broker(Broker::Kafka));
    let stalled = Part::Stalled(Broker::Nats);
    let degraded = vec![(Breach::Degraded, 1)];
    for (kind, status, parts, is_excused) in [
        (Kind::Both, 202, vec![], false),
        (Kind::Both, 202, vec![nats], true),
        (Kind::Both, 202, vec![kafka], true),
        (Kind::Both, 202, vec![Bridge], true),
        (Kind::Both, 202, vec![BridgeGently], true),
        (Kind::Both, 202, vec![Disk], false),
        (Kind::Nats, 202, vec![kafka, Disk], false),
        (Kind::Nats, 202, vec![stalled], true),
        (Kind::Kafka, 202, vec![nats, stalled, Disk], false),
        (Kind::Live, 202, vec![kafka], false),
        // With a disk nothing is refused.
        (Kind::Both, 503, vec![], false),
        (Kind::Both, 503, vec![kafka], false),
        (Kind::Both, 503, vec![nats], false),
        (Kind::Both, 503, vec![Disk], false),
        (Kind::Both, 503, vec![Bridge], false),
        (Kind::Both, 503, vec![kafka, Disk], true),
        (Kind::Both, 503, vec![BridgeGently], true),
        (Kind::Nats, 503, vec![kafka, Disk], false),
        (Kind::Question, 503, vec![nats, kafka, Disk], false),
        (Kind::Question, 503, vec![BridgeGently], true),
    ] {
        let expected = if is_excused { vec![] } else { degraded.clone() };
        assert_eq!(found(kind, status, &parts), expected, "{kind:?} {status} {parts:?}");
    }
    for (part, is_excused) in
        [(nats, true), (stalled, true), (Bridge, true), (kafka, false), (Disk, false)]
    {
        let found = judged(|history| {
            let number = one(Kind::Question);
            fall_back(history, number);
            trouble(history, part, number, number);
        });
        assert_eq!(found.is_empty(), is_excused, "{part:?}: {found:?}");
    }
    let fallback = judged(|history| fall_back(history, one(Kind::Question)));
    assert_eq!(fallback, degraded);
    // For one call of several.
    let half = judged(|history| {
        let answer = told(history, one(Kind::Question)).answer.as_mut().unwrap();
        answer.results[1].result = None;
    });
    assert_eq!(half, degraded);
    // Not before it happens, and not for ever afterwards.
    for (tenths, is_excused) in [(15, false), (16, true), (47, true), (48, false)] {
        let number = 46;
        assert_eq!(webhook(number).kind, Kind::Question);
        let found = judged(|history| {
            fall_back(history, number);
            trouble(history, nats, tenths, tenths);
        });
        assert_eq!(found.is_empty(), is_excused, "{tenths}: {found:?}");
    }
    let stands_still = |late: u64| {
        judged(|history| {
            let number = one(Kind::Kafka);
            tell(history, number, 202);
            stall(history, at(number), Duration::from_millis(late), Who::Broker);
        })
    };
    assert_eq!((stands_still(250), stands_still(249)), (vec![], degraded));
}

pub(super) fn times() {
    let late = |kind: Kind, status: u16, took: Duration, busy: Duration| {
        judged(|history| {
            let number = one(kind);
            tell(history, number, status);
            told(history, number).ended = at(number) + took;
            if status != 200 {
                trouble(history, Part::Broker(Broker::Kafka), number, number);
                trouble(history, Part::Disk, number, number);
            }
            stall(history, at(number) + took, busy, Who::Bridge);
            // In the middle it only waits, and a broker's time isn't its own.
            stall(history, at(number) + at(10), at(5), Who::Bridge);
            stall(history, at(number) + took, at(5), Who::Broker);
        })
    };
    let (zero, slack) = (Duration::ZERO, QUESTION - Duration::from_secs(3));
    for (kind, status, limit) in [
        (Kind::Question, 200, QUESTION),
        (Kind::Both, 200, ACK + slack),
        (Kind::Nats, 200, ACK + slack),
        (Kind::Kafka, 202, ACK + SYNC + slack),
        (Kind::Kafka, 503, ACK + SYNC + slack),
    ] {
        assert_eq!(late(kind, status, limit, zero), [], "{kind:?} {status}");
        let found = late(kind, status, limit + MILLISECOND, zero);
        assert_eq!(found, [(Breach::Late, 1)], "{kind:?} {status}");
        assert_eq!(late(kind, status, limit + MILLISECOND, MILLISECOND), []);
    }
    // It was sent to one that was only starting.
    for (started, expected) in [(10, vec![]), (9, vec![(Breach::Late, 1)])] {
        let number = one(Kind::Question);
        let starting = judged(|history| {
            told(history, number).ended = at(number + 10) + QUESTION;
            trouble(history, Part::Bridge, number - 5, number + started);
            history.arrivals.iter_mut().filter(|one| one.number == number).for_each(|one| {
                (one.at, one.deadline) = (one.at + at(10), one.deadline + at(10));
            });
        });
        assert_eq!(starting, expected, "{started}");
    }
    // Another's answer, or one that no worker gave.
    let number = one(Kind::Question);
    for change in [
        (|answer: &mut Answer| answer.results.swap(0, 1)) as fn(&mut Answer),
        |answer| answer.results[0].result = answer.results[1].result.clone(),
        |answer| answer.results[0].call = "call_1_0".to_owned(),
    ] {
        let wrong = judged(|history| {
            change(told(history, number).answer.as_mut().unwrap());
        });
        assert_eq!(wrong, [(Breach::Altered, 1)]);
    }
    let fewer = judged(|history| {
        told(history, number).answer.as_mut().unwrap().results.truncate(1);
    });
    assert_eq!(fewer, [(Breach::Altered, 1)]);
}

/// The bridge listens as long as it lives.
pub(super) fn connections() {
    let refused = |part: Part, tenths: u64| {
        judged(|history| {
            history.refused.push(at(tenths));
            trouble(history, part, 20, 22);
        })
    };
    for part in [Part::Bridge, Part::BridgeGently] {
        for (tenths, expected) in [(19, 1), (20, 0), (23, 0), (24, 1)] {
            let found = refused(part, tenths);
            let expected: Vec<_> = [(Breach::Refused, 1)][..expected].to_vec();
            assert_eq!(found, expected, "{part:?} {tenths}");
        }
    }
    for part in [Part::Broker(Broker::Nats), Part::Stalled(Broker::Kafka), Part::Disk] {
        assert_eq!(refused(part, 21), [(Breach::Refused, 1)]);
    }
}
