//! What the destinations hold: all that was told to be stored, in order, and nothing else.

mod duplicates;
mod order;

use std::collections::{BTreeMap, HashMap};

use super::{Breach, Verdict, say};
use crate::history::{Attempt, History, Sent, Stored};
use crate::webhook::{self, Broker, Destination};

pub(super) struct Places<'a> {
    history: &'a History,
    all: Vec<Place<'a>>,
}

/// What one destination holds.
struct Place<'a> {
    destination: Destination,
    /// By number.
    copies: BTreeMap<u64, Copies<'a>>,
    /// Where each id stands first.
    first: HashMap<&'a str, &'a Stored>,
}

/// All copies of one webhook.
struct Copies<'a> {
    sent: &'a Sent,
    stored: Vec<&'a Stored>,
}

impl<'a> Places<'a> {
    /// Gives everything its place; what has none was altered or misrouted.
    pub(super) fn new(history: &'a History, verdict: &mut Verdict) -> Places<'a> {
        let place =
            |destination| Place { destination, copies: BTreeMap::new(), first: HashMap::new() };
        let mut all: BTreeMap<Destination, Place<'a>> =
            Destination::ALL.into_iter().map(|one| (one, place(one))).collect();
        let sent: HashMap<u64, &Sent> =
            history.sent.iter().map(|sent| (sent.webhook.number, sent)).collect();
        let lists = [
            (&history.nats, Broker::Nats, true),
            (&history.kafka, Broker::Kafka, true),
            (&history.live, Broker::Nats, false),
        ];
        for (list, broker, is_stored) in lists {
            for stored in list {
                let known = webhook::number(&stored.payload)
                    .and_then(|number| sent.get(&number))
                    .filter(|sent| sent.webhook.body().as_bytes() == stored.payload);
                let Some(sent) = known else {
                    let what = format!("{} on {} was never sent so", stored.id, stored.name);
                    verdict.add(Breach::Altered, what);
                    continue;
                };
                let webhook = sent.webhook;
                let is_its = |one: &&Destination| {
                    (one.broker(), one.is_stored()) == (broker, is_stored)
                        && webhook.name_at(**one, &history.endpoint) == stored.name
                        && webhook::key_text(webhook.key) == stored.key
                };
                let Some(place) = webhook
                    .kind
                    .destinations()
                    .iter()
                    .find(is_its)
                    .and_then(|destination| all.get_mut(destination))
                else {
                    let what = format!(
                        "#{} {:?} of key {} stands on {} of {broker:?} under the key {}",
                        webhook.number, webhook.kind, webhook.key, stored.name, stored.key
                    );
                    verdict.add(Breach::Misrouted, what);
                    continue;
                };
                let copies = place.copies.entry(webhook.number);
                copies.or_insert_with(|| Copies { sent, stored: Vec::new() }).stored.push(stored);
                place.first.entry(stored.id.as_str()).or_insert(stored);
            }
        }
        Places { history, all: all.into_values().collect() }
    }

    pub(super) fn judge(&self, verdict: &mut Verdict) {
        for place in &self.all {
            place.losses(self.history, verdict);
            place.order(self.history, verdict);
            place.duplicates(self.history, verdict);
        }
    }
}

impl<'a> Place<'a> {
    /// What should be here: answered 2xx.
    fn told(&self, history: &'a History) -> impl Iterator<Item = (&'a Sent, &'a Attempt)> {
        let destination = self.destination;
        let its = move |sent: &&Sent| sent.webhook.kind.destinations().contains(&destination);
        history.sent.iter().filter(its).flat_map(|sent| {
            let told = sent.attempts.iter().filter(|attempt| attempt.is_success());
            told.map(move |attempt| (sent, attempt))
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
            let (excused, destination) = (&history.excused, self.destination);
            let is_deleted = destination == Destination::Topic
                && excused.deleted.is_some_and(|deleted| attempt.sent < deleted);
            let is_destroyed = excused.destroyed.contains(&(destination, sent.webhook.number));
            let may_miss = !destination.is_stored()
                && history.is_troubled(
                    |part| part.is_bridge() || part.broker() == Some(destination.broker()),
                    attempt.sent,
                    attempt.ended,
                );
            if !is_deleted && !is_destroyed && !may_miss {
                let what = format!("{}: not in {destination:?}", say(sent, attempt));
                verdict.add(Breach::Lost, what);
            }
        }
    }
}
