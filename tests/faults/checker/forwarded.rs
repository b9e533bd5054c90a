//! What `hookbus forward` posted of the stream: all of it, unchanged, of each key in the stream's order, and once more only
//! where a kill of the server came between.

use std::collections::HashMap;

use super::{Breach, Verdict};
use crate::forwarding::CONCURRENCY;
use crate::history::{Forwarded, History, Stored};

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    let Some(forwarded) = &history.forwarded else { return };
    let prefix = format!("{}.events.", history.endpoint);
    let stored: HashMap<&str, &Stored> = (history.nats.iter())
        .filter(|stored| stored.name.starts_with(&prefix))
        .map(|stored| (stored.id.as_str(), stored))
        .collect();
    let copies = copies(forwarded, &stored, verdict);
    for stored in stored.values().filter(|stored| !copies.contains_key(stored.id.as_str())) {
        let what = format!("{} at {} of key {}", stored.id, stored.position, stored.key);
        verdict.add(Breach::Lost, format!("{what}: acknowledged, and never posted"));
    }
    let again: usize = copies.values().map(|copies| copies.len() - 1).sum();
    verdict.duplicates += again;
    for copies in copies.values() {
        let is_explained =
            copies.windows(2).all(|pair| forwarded.is_killed(pair[0].time, pair[1].time));
        if !is_explained {
            let times: Vec<_> = copies.iter().map(|copy| copy.time).collect();
            let what =
                format!("{} was posted at {times:.3?}, without a kill between", copies[0].id);
            verdict.add(Breach::Duplicate, what);
        }
    }
    let kills = forwarded.kills.len();
    if again > kills * CONCURRENCY {
        let what = format!("{again} were posted again after {kills} kills");
        verdict.add(Breach::Duplicate, what);
    }
    if kills == 0 || stored.is_empty() {
        let what = format!("{kills} kills, and {} events that were posted", stored.len());
        verdict.add(Breach::TooSmall, what);
    }
}

/// By id, what was posted as it is stored, in the order in which it came.
fn copies<'a>(
    forwarded: &'a Forwarded,
    stored: &HashMap<&str, &Stored>,
    verdict: &mut Verdict,
) -> HashMap<&'a str, Vec<&'a Stored>> {
    let mut copies: HashMap<&str, Vec<&Stored>> = HashMap::new();
    let mut last: HashMap<&str, &Stored> = HashMap::new();
    for posted in &forwarded.posted {
        let known = stored.get(posted.id.as_str());
        let Some(stored) = known.filter(|stored| stored.payload == posted.payload) else {
            verdict.add(Breach::Altered, format!("{} was posted, and is not stored so", posted.id));
            continue;
        };
        if (&stored.name, &stored.key) != (&posted.name, &posted.key) {
            let what = format!("{} was posted as {} of {}", posted.id, posted.name, posted.key);
            verdict.add(Breach::Misrouted, what);
            continue;
        }
        let before = last.insert(&posted.key, stored);
        if let Some(before) = before.filter(|before| before.position > stored.position) {
            let what = format!(
                "key {}: {} at {} was posted after {} at {}",
                posted.key, stored.id, stored.position, before.id, before.position
            );
            verdict.add(Breach::OutOfOrder, what);
        }
        copies.entry(&posted.id).or_default().push(posted);
    }
    copies
}
