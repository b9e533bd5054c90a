//! The checker is checked first: each of these histories is judged for exactly its fault.

mod answers;
mod duplicates;
mod events;
mod forwarded;
mod questions;

use std::time::Duration;

use super::{Breach, judge};
use crate::history::{Answer, Arrival, Attempt, CallResult, History, Part, Sent, Stored, Trouble};
use crate::reloads::Done;
use crate::stalls::{Stall, Who};
use crate::webhook::{self, Broker, Destination, Kind, Webhook};

/// The endpoint of these histories.
const ENDPOINT: &str = "shop";
/// Of a clean one.
const WEBHOOKS: u64 = 200;

const fn at(tenths: u64) -> Duration {
    Duration::from_millis(tenths * 100)
}

fn webhook(number: u64) -> Webhook {
    // Two keys, each with every kind.
    let kind = Kind::ALL[(number as usize / 2) % Kind::ALL.len()];
    let calls = if kind == Kind::Question { 2 } else { 0 };
    Webhook { number, key: number as usize % 2, kind, size: 100, calls, is_compressed: false }
}

fn attempt(number: u64, status: u16) -> Attempt {
    let webhook = webhook(number);
    let result = |place| {
        let call = webhook.call_id(place);
        CallResult { result: Some(webhook::result(&call)), call }
    };
    let answer = Answer {
        status,
        id: Some(format!("id-{number}")),
        results: (0..webhook.calls).map(result).collect(),
    };
    // The next of its key is sent when this one is answered.
    let (sent, ended) = (at(number), at(number + 1));
    Attempt { opened: sent, sent, written: sent, ended, line: None, answer: Some(answer) }
}

fn stored(number: u64, destination: Destination) -> Stored {
    let webhook = webhook(number);
    Stored {
        partition: 0,
        position: number,
        name: webhook.name_at(destination, ENDPOINT),
        key: webhook::key_text(webhook.key),
        id: format!("id-{number}"),
        time: at(number),
        payload: webhook.body().into_bytes(),
    }
}

fn arrival(number: u64, place: usize) -> Arrival {
    let webhook = webhook(number);
    Arrival {
        number,
        call: webhook.call_id(place),
        subject: webhook.call_subject(ENDPOINT, place),
        key: webhook::key_text(webhook.key),
        at: at(number),
        deadline: at(number) + super::answers::QUESTION,
        bytes: 500,
        is_acted_on: true,
    }
}

/// All stored, answered and asked, each once and at once.
fn clean() -> History {
    let mut history = History {
        endpoint: ENDPOINT.to_owned(),
        late_bytes: 10_000,
        least: WEBHOOKS as usize,
        reloads: Done { count: 1, refused: Vec::new() },
        ..History::default()
    };
    // Number 0 is one that the worker never answers.
    for number in 1..=WEBHOOKS {
        let webhook = webhook(number);
        for destination in webhook.kind.destinations() {
            list(&mut history, *destination).push(stored(number, *destination));
        }
        history.arrivals.extend((0..webhook.calls).map(|place| arrival(number, place)));
        history.sent.push(Sent { webhook, attempts: vec![attempt(number, 200)] });
    }
    history
}

fn list(history: &mut History, destination: Destination) -> &mut Vec<Stored> {
    match destination {
        Destination::Types | Destination::Keys => &mut history.nats,
        Destination::Topic => &mut history.kafka,
        Destination::Live => &mut history.live,
    }
}

/// The first of a kind that isn't quite at the beginning.
fn one(kind: Kind) -> u64 {
    (20..=WEBHOOKS).find(|number| webhook(*number).kind == kind).expect("one of each kind")
}

/// The next one of the same key and kind.
fn next(number: u64) -> u64 {
    number + 2 * Kind::ALL.len() as u64
}

fn sent(history: &mut History, number: u64) -> &mut Sent {
    &mut history.sent[number as usize - 1]
}

/// What its sender was told the first time.
fn told(history: &mut History, number: u64) -> &mut Attempt {
    &mut sent(history, number).attempts[0]
}

/// Tells the sender of one another status.
fn tell(history: &mut History, number: u64, status: u16) {
    told(history, number).answer.as_mut().expect("an answer").status = status;
}

fn trouble(history: &mut History, part: Part, from: u64, to: u64) {
    history.troubles.push(Trouble { part, from: at(from), to: at(to) });
}

fn stall(history: &mut History, at: Duration, late: Duration, who: Who) {
    history.stalls.push(Stall { at, span: late, late, who });
}

/// What the checker says of the clean history after a change.
fn judged(change: impl FnOnce(&mut History)) -> Vec<(Breach, usize)> {
    let mut history = clean();
    change(&mut history);
    let verdict = judge(&history);
    assert_eq!(verdict.webhooks, history.sent.len());
    verdict.broken.iter().map(|(breach, list)| (*breach, list.len())).collect()
}

pub(crate) fn run() {
    assert_eq!(judged(|_| {}), []);
    events::losses();
    events::names();
    events::order();
    events::several_at_once();
    events::live();
    duplicates::run();
    forwarded::run();
    questions::run();
    answers::statuses();
    answers::calm();
    answers::times();
    answers::connections();
    volume();
    let memory = judged(|history| history.peak_bytes = 1 << 30);
    assert_eq!(memory, [(Breach::Memory, 1)]);
    let reload = judged(|history| history.reloads.refused.push("422: no".to_owned()));
    assert_eq!(reload, [(Breach::Reload, 1)]);
    let figures = judge(&clean());
    assert_eq!((figures.webhooks, figures.direct, figures.duplicates), (200, 200, 0));
    assert_eq!((figures.p99, figures.longest, figures.mended), (at(1), at(1), at(0)));
}

/// A run in which little happened proves nothing.
fn volume() {
    let small = judged(|history| history.least = 10_000);
    // In all, of each kind, of the worker, and at the end.
    assert_eq!(small, [(Breach::TooSmall, 1 + Kind::ALL.len() + 2)]);
    let without_one = judged(|history| {
        history.sent.retain(|sent| sent.webhook.kind != Kind::Live);
        history.live.clear();
        history.nats.retain(|stored| !stored.name.contains("transcript"));
    });
    assert_eq!(without_one, [(Breach::TooSmall, 2)]);
    // A worker that was never asked in time.
    let unasked = judged(|history| history.arrivals.clear());
    assert_eq!(unasked, [(Breach::TooSmall, 1)]);
    // Trouble until the end.
    let never_well = judged(|history| {
        trouble(history, Part::Broker(Broker::Kafka), 10, 199);
    });
    assert_eq!(never_well, [(Breach::TooSmall, 1)]);
    let never_reloaded = judged(|history| history.reloads.count = 0);
    assert_eq!(never_reloaded, [(Breach::TooSmall, 1)]);
    // Whatever a machine that stands still excuses.
    let starved = judged(|history| {
        stall(history, at(200), at(200), Who::Broker);
        let events = (1..=WEBHOOKS).filter(|number| webhook(*number).kind == Kind::Both);
        events.take(11).for_each(|number| tell(history, number, 202));
    });
    assert_eq!(starved, [(Breach::TooSmall, 1)]);
}
