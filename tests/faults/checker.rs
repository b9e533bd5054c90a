//! Judges a history: a pure function of what was sent, what is stored and what reached the worker.
//!
//! An excuse has to name its cause, and ends soon after it: a broker that isn't touched excuses nothing, and neither
//! does one that has been well again for some seconds ([`Trouble::mend`]).
//!
//! [`Trouble::mend`]: crate::history::Trouble::mend

mod answers;
mod forwarded;
mod place;
mod questions;
mod tests;
mod volume;

use std::collections::BTreeMap;
use std::time::Duration;

use self::place::Places;
pub(crate) use self::tests::run as test;
use crate::history::{Attempt, History, Sent};

/// `ack_timeout` of both brokers.
pub(crate) const ACK: Duration = Duration::from_secs(2);
/// `spool.sync_timeout`
pub(crate) const SYNC: Duration = Duration::from_secs(3);
/// What a time limit may be passed by, beside the time in which the bridge waited for a processor.
const SLACK: Duration = Duration::from_millis(150);
/// Whoever waited for a processor for so long may have kept a broker from acknowledging in time.
const STARVED: Duration = Duration::from_millis(250);
/// The bound of the bridge's memory.
const MEMORY: u64 = 150 << 20;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// Answered 2xx, and not stored.
    Lost,
    /// Stored before an earlier one of its key.
    OutOfOrder,
    /// Stored more often than lost acknowledgements explain.
    Duplicate,
    /// Stored, asked or answered with other bytes than those that belong to it.
    Altered,
    /// Under another subject, topic or key than its own.
    Misrouted,
    /// A question that came when its sender had given up.
    Stale,
    /// A question that came more often than it was sent.
    Repeated,
    /// Answered after its time.
    Late,
    /// Not answered, although the bridge lived.
    Unanswered,
    /// No connection, although the bridge lived.
    Refused,
    /// On disk, refused or fallen back, although nothing that it needs was in trouble.
    Degraded,
    /// A status that nothing explains.
    Status,
    /// A changed configuration that wasn't taken over.
    Reload,
    /// Too much memory.
    Memory,
    /// Too little happened for the rest to say anything.
    TooSmall,
}

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) webhooks: usize,
    /// Events that their brokers acknowledged, and questions that a worker answered.
    pub(crate) direct: usize,
    /// Events that were told to be on disk.
    pub(crate) on_disk: usize,
    /// Events that were refused in the end.
    pub(crate) refused: usize,
    /// Questions that got a fallback.
    pub(crate) fell_back: usize,
    /// What is stored more than once, for whatever reason.
    pub(crate) duplicates: usize,
    /// Questions that reached the worker after their deadline.
    pub(crate) late_arrivals: usize,
    /// Answers that are excused by nothing but this machine, which was too busy.
    pub(crate) starved: usize,
    /// How long after the last trouble the last answer showed it.
    pub(crate) mended: Duration,
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
    answers::judge(history, &mut verdict);
    questions::judge(history, &mut verdict);
    Places::new(history, &mut verdict).judge(&mut verdict);
    forwarded::judge(history, &mut verdict);
    volume::judge(history, &mut verdict);
    for refused in &history.reloads.refused {
        verdict.add(Breach::Reload, refused.clone());
    }
    if history.peak_bytes > MEMORY {
        let what = format!("{} MiB were in use", history.peak_bytes >> 20);
        verdict.add(Breach::Memory, what);
    }
    verdict
}

fn say(sent: &Sent, attempt: &Attempt) -> String {
    let webhook = sent.webhook;
    let form = if webhook.is_compressed { "compressed " } else { "" };
    format!(
        "#{} {form}{:?} of {} bytes and key {} ({:.3?} to {:.3?}, told {:?})",
        webhook.number,
        webhook.kind,
        webhook.size,
        webhook.key,
        attempt.sent,
        attempt.ended,
        attempt.status()
    )
}
