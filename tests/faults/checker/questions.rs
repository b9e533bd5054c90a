//! What reached the worker.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::answers::QUESTION;
use super::{Breach, SLACK, Verdict};
use crate::history::{Arrival, Attempt, History, Part, Sent};
use crate::webhook::{self, Broker, LIMIT_SECONDS};

/// When its sender has given up for certain.
const LIMIT: Duration = Duration::from_secs(LIMIT_SECONDS);
/// A limit begins when the bridge has read the head of a request: in this time, even if it has no processor to do so.
/// Whether the sender then gets its answer in time is another question.
const UNREAD: Duration = Duration::from_secs(1);
/// What a connection held has come through so soon after it goes on.
const FLUSHED: Duration = Duration::from_secs(1);

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    let sent: HashMap<u64, &Sent> =
        history.sent.iter().map(|sent| (sent.webhook.number, sent)).collect();
    let mut times: BTreeMap<(u64, &str, usize), usize> = BTreeMap::new();
    let mut held: BTreeMap<usize, u64> = BTreeMap::new();
    for arrival in &history.arrivals {
        let Some(sent) = sent.get(&arrival.number) else {
            let what = format!("{} was asked, and never sent", arrival.call);
            verdict.add(Breach::Altered, what);
            continue;
        };
        check_names(history, sent, arrival, verdict);
        let Some((place, attempt)) = asked_by(history, sent, arrival) else {
            let what = format!(
                "{} arrived at {:.3?} with a deadline, {:.3?}, that no sender has: {:.3?}",
                arrival.call,
                arrival.at,
                arrival.deadline,
                sent.attempts.iter().map(|attempt| attempt.sent).collect::<Vec<_>>()
            );
            verdict.add(Breach::Stale, what);
            continue;
        };
        *times.entry((arrival.number, &arrival.call, place)).or_default() += 1;
        if arrival.at < arrival.deadline && arrival.at <= attempt.sent + LIMIT {
            continue;
        }
        verdict.late_arrivals += 1;
        let what = format!(
            "{}, sent at {:.3?}, arrived at {:.3?}",
            arrival.call, attempt.sent, arrival.at
        );
        match holder(history, attempt, arrival) {
            _ if arrival.is_acted_on => {
                verdict.add(Breach::Stale, format!("{what}, and was acted on"));
            }
            Some(trouble) => *held.entry(trouble).or_default() += arrival.bytes,
            None => verdict.add(Breach::Stale, what),
        }
    }
    for ((_, call, _), times) in times.into_iter().filter(|(_, times)| *times > 1) {
        verdict.add(Breach::Repeated, format!("{call} arrived {times} times for one attempt"));
    }
    for (trouble, bytes) in held {
        if bytes > history.late_bytes {
            let from = history.troubles[trouble].from;
            let what = format!(
                "{bytes} bytes of late questions since {from:.3?}, of at most {}",
                history.late_bytes
            );
            verdict.add(Breach::Stale, what);
        }
    }
}

fn check_names(history: &History, sent: &Sent, arrival: &Arrival, verdict: &mut Verdict) {
    let webhook = sent.webhook;
    let place = (0..webhook.calls).find(|place| webhook.call_id(*place) == arrival.call);
    let Some(place) = place else {
        let what = format!("{} is no call of #{}", arrival.call, webhook.number);
        return verdict.add(Breach::Altered, what);
    };
    let (subject, key) =
        (webhook.call_subject(&history.endpoint, place), webhook::key_text(webhook.key));
    if arrival.subject != subject || arrival.key != key {
        let what = format!(
            "{} on {} with key {}, not on {subject} with {key}",
            arrival.call, arrival.subject, arrival.key
        );
        verdict.add(Breach::Misrouted, what);
    }
}

/// The attempt whose limit a question carries: that of the time in which the limit began.
fn asked_by<'a>(
    history: &History,
    sent: &'a Sent,
    arrival: &Arrival,
) -> Option<(usize, &'a Attempt)> {
    let begin = arrival.deadline.saturating_sub(QUESTION);
    let off = |attempt: &Attempt| {
        begin.abs_diff(begin.clamp(attempt.sent, attempt.ended.max(attempt.sent)))
    };
    let attempts = sent.attempts.iter().enumerate();
    let nearest = attempts.min_by_key(|(_, attempt)| off(attempt))?;
    let attempt = nearest.1;
    // What is pipelined begins when the former's answer is written, and its sender reads that later.
    let first = begin.min(attempt.sent);
    let is_its = off(attempt) <= history.later(first, SLACK) - first;
    // What stands before several bridges passes a request on when it has the time.
    let unread = history.later(history.readable(attempt.sent), UNREAD);
    (is_its && (history.bridges > 1 || begin <= unread)).then_some(nearest)
}

/// The trouble in which a connection may have held a question.
fn holder(history: &History, attempt: &Attempt, arrival: &Arrival) -> Option<usize> {
    history.troubles.iter().position(|trouble| {
        trouble.part == Part::Stalled(Broker::Nats)
            && attempt.sent <= trouble.to
            && arrival.at >= trouble.from
            && arrival.at <= history.later(trouble.to, FLUSHED)
    })
}
