//! Judges a history: a pure function of what was sent, what is stored and what was executed.

mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

pub(crate) use self::tests::run as test;
use crate::history::{Attempt, Execution, History, Part, Sent, Stored};
use crate::webhook::{self, Broker, Kind, LIMIT_SECONDS};

const LIMIT: Duration = Duration::from_secs(LIMIT_SECONDS);
/// The bound of the bridge's memory.
const MEMORY: u64 = 150 << 20;
/// An acknowledgement that was lost in a trouble may belong to something that was sent a moment after it.
const AFTERMATH: Duration = Duration::from_secs(5);
/// What Kafka doesn't acknowledge within this time may be sent again: `message.timeout.ms` is 800 ms here, and when it
/// is over for one record, librdkafka sends the others in flight again under a new epoch, which Kafka can't recognize.
const PATIENCE: Duration = Duration::from_millis(750);

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// Answered 2xx, and not stored.
    Lost,
    /// Stored before an earlier one of its key.
    OutOfOrder,
    /// Stored twice for no reason.
    Duplicate,
    /// Stored or answered with other bytes than those that belong to it.
    Altered,
    /// Executed when its sender had given up.
    Stale,
    /// Answered when its sender had given up.
    Late,
    /// Not answered, although the bridge lived.
    Unanswered,
    /// Answered with a status that no trouble of a broker explains.
    Status,
    /// Too much memory.
    Memory,
}

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) webhooks: usize,
    /// Webhooks that were answered 2xx.
    pub(crate) successes: usize,
    /// What is stored more than once, for whatever reason.
    pub(crate) duplicates: usize,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
    pub(crate) peak_bytes: u64,
    pub(crate) broken: BTreeMap<Breach, Vec<String>>,
}

impl Verdict {
    pub(crate) fn count(&self, breach: Breach) -> usize {
        self.broken.get(&breach).map_or(0, Vec::len)
    }

    fn add(&mut self, breach: Breach, what: String) {
        self.broken.entry(breach).or_default().push(what);
    }
}

pub(crate) fn judge(history: &History) -> Verdict {
    let mut verdict = Verdict { peak_bytes: history.peak_bytes, ..Verdict::default() };
    answers(history, &mut verdict);
    for broker in [Broker::Nats, Broker::Kafka] {
        let place = Place::new(broker, history);
        place.losses(history, &mut verdict);
        place.order(history, &mut verdict);
        place.duplicates(history, &mut verdict);
    }
    executions(history, &mut verdict);
    if history.peak_bytes > MEMORY {
        let what = format!("{} MiB were in use", history.peak_bytes >> 20);
        verdict.add(Breach::Memory, what);
    }
    verdict
}

/// What senders were told, and when.
fn answers(history: &History, verdict: &mut Verdict) {
    let mut took = Vec::new();
    for sent in &history.sent {
        verdict.webhooks += 1;
        verdict.successes += usize::from(sent.attempts.iter().any(Attempt::is_success));
        for attempt in &sent.attempts {
            let Some(answer) = &attempt.answer else {
                if !is_cut(attempt, history) {
                    verdict.add(Breach::Unanswered, say(sent, attempt));
                }
                continue;
            };
            took.push(attempt.ended - attempt.sent);
            if ![200, 202, 503].contains(&answer.status) {
                verdict.add(Breach::Status, format!("{}: {}", say(sent, attempt), answer.status));
            }
            if sent.webhook.kind == Kind::Question {
                if attempt.ended > attempt.sent + LIMIT {
                    verdict.add(Breach::Late, say(sent, attempt));
                }
                if answer.number.is_some_and(|number| number != sent.webhook.number) {
                    verdict
                        .add(Breach::Altered, format!("{}: another's answer", say(sent, attempt)));
                }
            }
        }
    }
    took.sort_unstable();
    verdict.p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    verdict.longest = took.last().copied().unwrap_or_default();
}

/// Whether the bridge's own end explains that there was no answer.
fn is_cut(attempt: &Attempt, history: &History) -> bool {
    history.troubles.iter().any(|trouble| {
        let overlaps = attempt.sent <= trouble.to && attempt.ended >= trouble.from;
        match trouble.part {
            Part::Bridge => overlaps,
            // What it had read before it was asked to stop must be answered.
            Part::BridgeGently => {
                overlaps && attempt.sent + Duration::from_millis(100) >= trouble.from
            }
            Part::Broker(_) => false,
        }
    })
}

fn executions(history: &History, verdict: &mut Verdict) {
    let last: HashMap<u64, &Attempt> = history
        .sent
        .iter()
        .filter_map(|sent| Some((sent.webhook.number, sent.attempts.last()?)))
        .collect();
    for Execution { number, at, deadline } in &history.executed {
        let Some(attempt) = last.get(number) else {
            verdict.add(Breach::Altered, format!("#{number} was executed, and never sent"));
            continue;
        };
        // Both by what the question says and by what its sender knows.
        if at > deadline || *at > attempt.sent + LIMIT {
            let what = format!("#{number}, sent at {:?}, executed at {at:?}", attempt.sent);
            verdict.add(Breach::Stale, what);
        }
    }
}

/// What one broker holds.
struct Place<'a> {
    broker: Broker,
    stored: &'a [Stored],
    /// Where each id stands first.
    first: HashMap<&'a str, &'a Stored>,
    /// When acknowledgements were missing: on a busy machine they may be without any other trouble.
    slow: Vec<(Duration, Duration)>,
}

impl<'a> Place<'a> {
    fn new(broker: Broker, history: &'a History) -> Place<'a> {
        let stored = match broker {
            Broker::Nats => &history.nats,
            Broker::Kafka => &history.kafka,
        };
        let mut first = HashMap::new();
        for one in stored {
            first.entry(one.id.as_str()).or_insert(one);
        }
        let to_it =
            history.sent.iter().filter(|sent| sent.webhook.kind.brokers().contains(&broker));
        let slow = to_it.flat_map(|sent| &sent.attempts).filter(|attempt| {
            attempt.status() == Some(202) || attempt.ended - attempt.sent >= PATIENCE
        });
        let slow = slow.map(|attempt| (attempt.sent, attempt.ended)).collect();
        Place { broker, stored, first, slow }
    }

    /// What should be here: answered 2xx.
    fn told(&self, history: &'a History) -> impl Iterator<Item = (&'a Sent, &'a Attempt)> {
        let broker = self.broker;
        let sent =
            history.sent.iter().filter(move |sent| sent.webhook.kind.brokers().contains(&broker));
        sent.flat_map(|sent| {
            sent.attempts
                .iter()
                .filter(|attempt| attempt.is_success())
                .map(move |attempt| (sent, attempt))
        })
    }

    fn find(&self, attempt: &Attempt) -> Option<&'a Stored> {
        let id = attempt.answer.as_ref()?.id.as_ref()?;
        self.first.get(id.as_str()).copied()
    }

    fn losses(&self, history: &History, verdict: &mut Verdict) {
        for (sent, attempt) in self.told(history) {
            if self.find(attempt).is_some() {
                continue;
            }
            let excused = &history.excused;
            let is_deleted = self.broker == Broker::Kafka
                && excused.deleted.is_some_and(|deleted| attempt.sent < deleted);
            let is_destroyed = excused.destroyed.contains(&(self.broker, sent.webhook.number));
            if !is_deleted && !is_destroyed {
                let status = attempt.status().unwrap_or_default();
                let what =
                    format!("{}: told {status}, not in {:?}", say(sent, attempt), self.broker);
                verdict.add(Breach::Lost, what);
            }
        }
    }

    fn order(&self, history: &History, verdict: &mut Verdict) {
        let mut by_key: BTreeMap<usize, Vec<(u64, &Stored)>> = BTreeMap::new();
        for (sent, attempt) in self.told(history) {
            if let Some(stored) = self.find(attempt) {
                let key = by_key.entry(sent.webhook.key).or_default();
                key.push((sent.webhook.number, stored));
            }
        }
        for (key, mut told) in by_key {
            told.sort_by_key(|(number, _)| *number);
            let mut latest = told[0];
            for one in told {
                let is_later = (latest.1.partition, latest.1.position)
                    <= (one.1.partition, one.1.position)
                    && latest.1.partition == one.1.partition;
                if is_later {
                    latest = one;
                } else {
                    let what = format!(
                        "key {key}: #{} at {}/{}, after it #{} at {}/{} of {:?}",
                        latest.0,
                        latest.1.partition,
                        latest.1.position,
                        one.0,
                        one.1.partition,
                        one.1.position,
                        self.broker
                    );
                    verdict.add(Breach::OutOfOrder, what);
                }
            }
        }
    }

    fn duplicates(&self, history: &History, verdict: &mut Verdict) {
        let sent: HashMap<u64, &Sent> =
            history.sent.iter().map(|sent| (sent.webhook.number, sent)).collect();
        let mut copies: BTreeMap<u64, Vec<&Stored>> = BTreeMap::new();
        for stored in self.stored {
            let known = webhook::number(&stored.payload)
                .and_then(|number| sent.get(&number))
                .filter(|sent| sent.webhook.body().as_bytes() == stored.payload);
            match known {
                Some(sent) => copies.entry(sent.webhook.number).or_default().push(stored),
                None => {
                    let what = format!("{} in {:?} was never sent so", stored.id, self.broker);
                    verdict.add(Breach::Altered, what);
                }
            }
        }
        for (number, copies) in copies.iter().filter(|(_, copies)| copies.len() > 1) {
            verdict.duplicates += copies.len() - 1;
            let sent = sent[number];
            let ids: BTreeSet<&str> = copies.iter().map(|stored| stored.id.as_str()).collect();
            let is_resent = ids.len() <= sent.attempts.len();
            let is_retried = copies.len() == ids.len() || self.may_repeat(sent, history);
            if !is_resent || !is_retried {
                let told = sent
                    .attempts
                    .iter()
                    .map(|attempt| format!("{} told {:?}", say(sent, attempt), attempt.status()));
                let told: Vec<String> = told.collect();
                let what = format!(
                    "{} times in {:?}, by {} ids: {}",
                    copies.len(),
                    self.broker,
                    ids.len(),
                    told.join(", ")
                );
                verdict.add(Breach::Duplicate, what);
            }
        }
    }

    /// Whether the bridge may have stored the same event twice, since it couldn't know of the first time.
    fn may_repeat(&self, sent: &Sent, history: &History) -> bool {
        let (Some(first), Some(last)) = (sent.attempts.first(), sent.attempts.last()) else {
            return false;
        };
        let is_slow =
            || self.slow.iter().any(|(from, to)| first.sent <= *to && last.ended >= *from);
        let is_troubled = || {
            history.troubles.iter().any(|trouble| match trouble.part {
                // What stood in the spool may be sent again afterwards.
                Part::Bridge | Part::BridgeGently => first.sent <= trouble.to,
                Part::Broker(broker) => {
                    broker == self.broker
                        && first.sent <= trouble.to + AFTERMATH
                        && last.ended >= trouble.from
                }
            })
        };
        // JetStream knows it by its id.
        self.broker == Broker::Kafka && (is_slow() || is_troubled())
    }
}

fn say(sent: &Sent, attempt: &Attempt) -> String {
    let webhook = sent.webhook;
    format!(
        "#{} {:?} of key {} ({:.3?} to {:.3?})",
        webhook.number, webhook.kind, webhook.key, attempt.sent, attempt.ended
    )
}
