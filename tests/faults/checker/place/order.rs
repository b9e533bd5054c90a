//! Order, for each key: which of two events was complete first is known where
//!
//! - the former was answered before the latter was sent,
//! - the former was written to its last byte, where a bridge runs that can read it, [`APART`] before the first byte of
//!   the latter,
//! - or both came over one connection of HTTP/1.1, which is read in order.
//!
//! Of all others either order is right.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Place;
use crate::checker::{Breach, Verdict, say};
use crate::history::{Attempt, History, Sent, Stored};

/// So soon the bridge has read what was written to one connection, while it reads from others.
const APART: Duration = Duration::from_millis(25);

/// An event that was stored.
struct Event<'a> {
    sent: &'a Sent,
    attempt: &'a Attempt,
    stored: &'a Stored,
    /// What is sent from now on comes later.
    settled: Duration,
}

impl Event<'_> {
    fn place(&self) -> (i32, u64) {
        (self.stored.partition, self.stored.position)
    }
}

impl Place<'_> {
    pub(super) fn order(&self, history: &History, verdict: &mut Verdict) {
        if history.bridges > 1 {
            // They share nothing but the brokers.
            return;
        }
        let mut by_key: BTreeMap<usize, Vec<Event<'_>>> = BTreeMap::new();
        for (sent, attempt) in self.told(history) {
            let Some(stored) = self.find(attempt) else { continue };
            let readable = history.readable(attempt.written);
            let settled = history.later(readable, APART).min(attempt.ended);
            let event = Event { sent, attempt, stored, settled };
            by_key.entry(sent.webhook.key).or_default().push(event);
        }
        for (key, events) in by_key {
            for (former, latter) in swapped(&events) {
                let say = |event: &Event<'_>| {
                    let (partition, position) = event.place();
                    let Attempt { written, line, .. } = event.attempt;
                    let what = say(event.sent, event.attempt);
                    format!(
                        "{what}, written {written:.3?}, line {line:?}, at {partition}/{position}"
                    )
                };
                let place = self.destination;
                let what = format!("key {key} in {place:?}: {}; {}", say(former), say(latter));
                verdict.add(Breach::OutOfOrder, what);
            }
        }
    }
}

/// Pairs of which the former should stand first, and doesn't; for each latter one at the most.
fn swapped<'a, 'b>(events: &'b [Event<'a>]) -> Vec<(&'b Event<'a>, &'b Event<'a>)> {
    let mut swapped = Vec::new();
    let mut check = |former: Option<&'b Event<'a>>, latter: &'b Event<'a>| {
        if let Some(former) = former
            && (former.stored.partition != latter.stored.partition
                || former.place() > latter.place())
        {
            swapped.push((former, latter));
        }
    };
    let mut by_start: Vec<&Event<'_>> = events.iter().collect();
    by_start.sort_by_key(|event| (event.attempt.sent, event.sent.webhook.number));
    let mut by_end = by_start.clone();
    by_end.sort_by_key(|event| event.settled);
    let mut settled = by_end.into_iter().peekable();
    let mut last: Option<&Event<'_>> = None;
    for latter in &by_start {
        while let Some(former) = settled.next_if(|event| event.settled <= latter.attempt.sent) {
            if last.is_none_or(|last| former.place() > last.place()) {
                last = Some(former);
            }
        }
        check(last, latter);
    }
    let mut lines: BTreeMap<u64, Vec<&Event<'_>>> = BTreeMap::new();
    for event in events {
        if let Some((line, _)) = event.attempt.line {
            lines.entry(line).or_default().push(event);
        }
    }
    for mut line in lines.into_values() {
        line.sort_by_key(|event| event.attempt.line);
        let mut last: Option<&Event<'_>> = None;
        for latter in line {
            check(last, latter);
            if last.is_none_or(|last| latter.place() > last.place()) {
                last = Some(latter);
            }
        }
    }
    swapped
}
