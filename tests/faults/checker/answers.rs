//! What senders were told, and when.

use std::time::Duration;

use super::{ACK, Breach, SLACK, STARVED, SYNC, Verdict, say};
use crate::history::{Answer, Attempt, History, Part, Sent};
use crate::webhook::{self, Broker, Kind, LIMIT_SECONDS};

/// When the bridge answers a question, at the latest.
pub(super) const QUESTION: Duration = Duration::from_secs(LIMIT_SECONDS - 2);
/// What the bridge may still refuse after it was asked to stop, or before it listens again.
const MOMENT: Duration = Duration::from_millis(100);

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    let mut took = Vec::new();
    let last = history.troubles.iter().map(|trouble| trouble.to).max().unwrap_or_default();
    for sent in &history.sent {
        verdict.webhooks += 1;
        for attempt in &sent.attempts {
            let Some(answer) = &attempt.answer else {
                if !is_cut(attempt, history) {
                    verdict.add(Breach::Unanswered, say(sent, attempt));
                }
                continue;
            };
            took.push(attempt.ended - attempt.sent);
            let is_direct = match sent.webhook.kind {
                Kind::Question => question(history, sent, attempt, answer, verdict),
                _ => event(history, sent, attempt, answer, verdict),
            };
            if !is_direct && sent.webhook.is_answered() {
                verdict.mended = verdict.mended.max(attempt.ended.saturating_sub(last));
            }
        }
    }
    for at in &history.refused {
        let is_down = history.troubles.iter().any(|trouble| {
            trouble.part.is_bridge()
                && *at >= trouble.from
                && *at <= history.later(trouble.to, MOMENT)
        });
        if !is_down {
            verdict.add(Breach::Refused, format!("a connection at {at:.3?}"));
        }
    }
    took.sort_unstable();
    verdict.p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    verdict.longest = took.last().copied().unwrap_or_default();
}

/// Whether the bridge's own end explains that there was no answer.
fn is_cut(attempt: &Attempt, history: &History) -> bool {
    history.troubles.iter().any(|trouble| match trouble.part {
        Part::Bridge => trouble.touches(attempt.opened, attempt.ended),
        // What it had read before it was asked to stop must be answered.
        Part::BridgeGently => {
            trouble.touches(attempt.sent, attempt.ended) && attempt.written + MOMENT >= trouble.from
        }
        _ => false,
    })
}

/// Whether it was stored without the disk.
fn event(
    history: &History,
    sent: &Sent,
    attempt: &Attempt,
    answer: &Answer,
    verdict: &mut Verdict,
) -> bool {
    let (from, to) = (attempt.sent, attempt.ended);
    let needed = |part: Part| {
        part.is_bridge() || part.broker().is_some_and(|broker| sent.webhook.kind.needs(broker))
    };
    let limit = match answer.status {
        200 => {
            verdict.direct += 1;
            ACK
        }
        202 => {
            verdict.on_disk += 1;
            if !history.is_troubled(needed, from, to) {
                degraded(history, sent, attempt, verdict);
            }
            ACK + SYNC
        }
        503 => {
            verdict.refused += 1;
            let is_disk = history.is_troubled(|part| part == Part::Disk, from, to)
                && history.is_troubled(needed, from, to);
            let is_stopping = history
                .troubles
                .iter()
                .any(|trouble| trouble.part == Part::BridgeGently && trouble.touches(from, to));
            if !is_disk && !is_stopping {
                degraded(history, sent, attempt, verdict);
            }
            ACK + SYNC
        }
        _ => {
            verdict.add(Breach::Status, say(sent, attempt));
            return false;
        }
    };
    check_time(history, sent, attempt, limit, verdict);
    answer.status == 200
}

/// Whether a worker answered it.
fn question(
    history: &History,
    sent: &Sent,
    attempt: &Attempt,
    answer: &Answer,
    verdict: &mut Verdict,
) -> bool {
    let (from, to) = (attempt.sent, attempt.ended);
    check_time(history, sent, attempt, QUESTION, verdict);
    if answer.status == 503 {
        verdict.refused += 1;
        let is_stopping = |trouble: &crate::history::Trouble| {
            trouble.part == Part::BridgeGently && trouble.touches(from, to)
        };
        if !history.troubles.iter().any(is_stopping) {
            degraded(history, sent, attempt, verdict);
        }
        return false;
    }
    if answer.status != 200 {
        verdict.add(Breach::Status, say(sent, attempt));
        return false;
    }
    let mut is_answered = answer.results.len() == sent.webhook.calls;
    let mut is_right = is_answered;
    for (place, result) in answer.results.iter().enumerate() {
        let call = sent.webhook.call_id(place);
        is_right &= result.call == call;
        match &result.result {
            Some(text) => is_right &= *text == webhook::result(&call),
            None => is_answered = false,
        }
    }
    if !is_right {
        let what = format!("{}: {:?}", say(sent, attempt), answer.results);
        verdict.add(Breach::Altered, what);
        return false;
    }
    if is_answered {
        verdict.direct += 1;
        return true;
    }
    verdict.fell_back += 1;
    let needed = |part: Part| part.is_bridge() || part.broker() == Some(Broker::Nats);
    if sent.webhook.is_answered() && !history.is_troubled(needed, from, to) {
        degraded(history, sent, attempt, verdict);
    }
    false
}

fn check_time(
    history: &History,
    sent: &Sent,
    attempt: &Attempt,
    limit: Duration,
    verdict: &mut Verdict,
) {
    let (from, ended) = (history.readable(attempt.sent), attempt.ended);
    let took = ended.saturating_sub(from);
    // It begins when it is read, which a processor is needed for, and so is its end.
    let end = || history.later(history.later(from, MOMENT) - MOMENT + limit, SLACK);
    if took > limit + SLACK && ended > end() {
        let what = format!("{}: {took:.3?} of {limit:?}", say(sent, attempt));
        verdict.add(Breach::Late, what);
    }
}

/// It should have been direct; only a machine that stood still for a while excuses it.
fn degraded(history: &History, sent: &Sent, attempt: &Attempt, verdict: &mut Verdict) {
    let before = attempt.sent.saturating_sub(Duration::from_secs(1));
    if history.starved(before, attempt.ended) >= STARVED {
        verdict.starved += 1;
    } else {
        verdict.add(Breach::Degraded, say(sent, attempt));
    }
}
