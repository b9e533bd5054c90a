//! How often an event may be stored.
//!
//! JetStream knows it by its id: once. In Kafka a copy more needs a cause, and each cause is bounded in time and number:
//!
//! - The bridge was killed: what it published from its disk within the last second before may not be in the cursor yet,
//!   and is published again, once for each kill. An end by SIGTERM excuses nothing.
//! - Kafka didn't acknowledge: what was sent in such a time may be stored although nobody was told.
//! - Somebody waited for a processor for so long that an acknowledgement may have come too late: once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Copies, Place};
use crate::checker::{ACK, Breach, STARVED, Verdict, say};
use crate::history::{History, Part, Stored, Trouble};
use crate::webhook::{Broker, Destination};

/// The cursor is written once a second; and what was published just before has to be acknowledged and written.
const CURSOR: Duration = Duration::from_millis(1_300);
/// `message.timeout.ms`: what is longer without its acknowledgement is sent again.
const PATIENCE: Duration = Duration::from_millis(800);
/// When one record is too old, librdkafka sends the others in flight again under a new epoch, which Kafka can't
/// recognize. It may find that out a moment after the trouble.
const AFTERMATH: Duration = Duration::from_secs(2);

impl Place<'_> {
    pub(super) fn duplicates(&self, history: &History, verdict: &mut Verdict) {
        for copies in self.copies.values() {
            let mut by_id: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
            for stored in &copies.stored {
                by_id.entry(&stored.id).or_default().push(stored);
            }
            verdict.duplicates += copies.stored.len() - 1;
            // Each id belongs to an attempt.
            let is_resent = by_id.len() <= copies.sent.attempts.len();
            let may_repeat = self.destination == Destination::Topic;
            let is_explained = |copies: &Vec<&Stored>| {
                copies.len() == 1 || may_repeat && is_explained(copies, history)
            };
            if !is_resent || !by_id.values().all(is_explained) {
                verdict.add(Breach::Duplicate, self.describe(copies, by_id.len()));
            }
        }
    }

    fn describe(&self, Copies { sent, stored }: &Copies<'_>, ids: usize) -> String {
        let told: Vec<String> = sent.attempts.iter().map(|attempt| say(sent, attempt)).collect();
        let times: Vec<_> = stored.iter().map(|stored| stored.time).collect();
        format!(
            "{} times in {:?}, by {ids} ids, sent there at {times:.3?}: {}",
            stored.len(),
            self.destination,
            told.join(", ")
        )
    }
}

/// Whether the bridge may have stored the same event so often, since it couldn't know of the times before.
fn is_explained(copies: &[&Stored], history: &History) -> bool {
    let mut times: Vec<Duration> = copies.iter().map(|stored| stored.time).collect();
    times.sort_unstable();
    // The last one needs no excuse: the others do, for they were followed by another.
    times.pop();
    let extra = times.len();
    let mut excuses: Vec<Excuse> =
        history.troubles.iter().filter_map(|trouble| Excuse::new(trouble, history)).collect();
    excuses.extend(times.iter().filter_map(|time| {
        let from = time.saturating_sub(PATIENCE);
        let is_starved = history.starved(from, *time + PATIENCE) >= STARVED;
        is_starved.then_some(Excuse { from: *time, to: *time, copies: 1 })
    }));
    let excuses = excuses.iter().filter(|excuse| times.iter().any(|time| excuse.covers(*time)));
    let excuses: Vec<&Excuse> = excuses.collect();
    times.iter().all(|time| excuses.iter().any(|excuse| excuse.covers(*time)))
        && extra <= excuses.iter().map(|excuse| excuse.copies).sum()
}

/// What was sent in this time may have been sent again, so often.
struct Excuse {
    from: Duration,
    to: Duration,
    copies: usize,
}

impl Excuse {
    fn new(trouble: &Trouble, history: &History) -> Option<Excuse> {
        let (from, to) = (trouble.from, trouble.to);
        match trouble.part {
            Part::Bridge => {
                let stall = history.stall(from.saturating_sub(CURSOR), from);
                Some(Excuse { from: from.saturating_sub(CURSOR + stall), to: from, copies: 1 })
            }
            part if part.broker() == Some(Broker::Kafka) => {
                let (from, to) = (from.saturating_sub(ACK), to.saturating_add(AFTERMATH));
                let attempts = (to - from).as_millis().div_ceil(PATIENCE.as_millis());
                Some(Excuse { from, to, copies: attempts as usize })
            }
            _ => None,
        }
    }

    fn covers(&self, time: Duration) -> bool {
        (self.from..=self.to).contains(&time)
    }
}
