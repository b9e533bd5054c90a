//! Whether enough happened: a run in which little was sent keeps every promise.

use super::{Breach, STARVED, Verdict};
use crate::history::History;
use crate::webhook::Kind;

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    let least = history.least;
    let mut require = |count: usize, least: usize, what: &str| {
        if count < least {
            verdict.add(Breach::TooSmall, format!("{what}: {count}, at least {least} are needed"));
        }
    };
    require(history.sent.len(), least, "webhooks");
    for kind in Kind::ALL {
        let of_it = history.sent.iter().filter(|sent| sent.webhook.kind == kind).count();
        require(of_it, (least / 50).max(1), &format!("webhooks of the kind {kind:?}"));
    }
    let acted_on = history.arrivals.iter().filter(|arrival| arrival.is_acted_on).count();
    require(acted_on, (least / 20).max(1), "questions that reached the worker in time");
    let mended = history.mended();
    let attempts = history.sent.iter().flat_map(|sent| &sent.attempts);
    let afterwards = attempts.filter(|attempt| attempt.sent >= mended).count();
    require(afterwards, (least / 20).max(1), "attempts when everything was well again");
    require(history.reloads.count, 1, "reloads");
    // An excuse too, and bounded as all of them.
    if verdict.starved > history.sent.len() / 20 {
        let what = format!(
            "{} answers are excused by nothing but processes that waited {STARVED:?} or more for a processor: this machine is too busy",
            verdict.starved
        );
        verdict.add(Breach::TooSmall, what);
    }
}
