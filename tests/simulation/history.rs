//! What was sent, what its senders were told, and what may be missing.

use std::collections::BTreeSet;
use std::time::Duration;

use hookbus::message::{Receipt, Refusal};
use parking_lot::Mutex;

/// The configured destinations. The first letter of a subject or topic tells which one it belongs to.
pub(crate) const DESTINATIONS: [&str; 3] = ["nats:a.{type}", "kafka:b", "nats:c"];

/// The subjects and topics of each; the last one of several may take nothing for a while.
pub(crate) const NAMES: [&[&str]; 3] = [&["a.x", "a.y", "a.z"], &["b"], &["c"]];

/// Which destination a subject or topic belongs to.
pub(crate) fn destination_of(name: &str) -> usize {
    usize::from(name.as_bytes()[0] - b'a')
}

/// A subject or topic, and its destination.
pub(crate) fn known(name: &str) -> Option<(&'static str, usize)> {
    let all =
        NAMES.iter().zip(0..).flat_map(|(names, to)| names.iter().map(move |name| (*name, to)));
    all.into_iter().find(|(known, _)| *known == name)
}

/// An event, by its number: they are numbered in the order in which their places are taken.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) key: Option<usize>,
    /// Destinations, and the name at each.
    pub(crate) to: Vec<(usize, &'static str)>,
    /// Its brokers will never take it, until that is mended.
    pub(crate) is_poison: bool,
    pub(crate) life: usize,
    pub(crate) began: Duration,
    pub(crate) answer: Answer,
}

/// What its sender knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing: it waits, or the process died first.
    Waits,
    /// Nothing: it was dropped halfway.
    Dropped,
    Given(Receipt),
    Refused(Refusal),
}

impl Sent {
    /// Its sender got a 2xx.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.answer, Answer::Given(_))
    }

    pub(crate) fn name_at(&self, destination: usize) -> Option<&'static str> {
        self.to.iter().find(|(to, _)| *to == destination).map(|(_, name)| *name)
    }
}

/// Everything that was sent.
#[derive(Default)]
pub(crate) struct History {
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) sent: Vec<Sent>,
    /// Events that stood in a file which somebody removed: number, and destination, or all of them.
    pub(crate) removed: BTreeSet<(usize, Option<usize>)>,
    /// When somebody removed what says which records are done: the life, and the destination, or none for dead letters.
    pub(crate) forgotten: Vec<(usize, Option<usize>)>,
    /// When somebody began to drop dead letters: the time, and the only destination that was meant, if there is one.
    pub(crate) dropped: Vec<(Duration, Option<usize>)>,
    /// Names that took nothing once: their events wait apart, and have an order of their own.
    pub(crate) unsteady: BTreeSet<&'static str>,
}

impl History {
    /// Take the next number.
    pub(crate) fn add(&self, sent: Sent) -> usize {
        let mut inner = self.inner.lock();
        inner.sent.push(sent);
        inner.sent.len() - 1
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock())
    }
}

/// The id of an event: always as long, so that it is found in the bytes of a file.
pub(crate) fn id(number: usize) -> String {
    format!("event-{number:06}")
}

/// The number of an event.
pub(crate) fn number(id: &str) -> usize {
    id.strip_prefix("event-").and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

/// The numbers of all events whose ids stand in these bytes.
pub(crate) fn numbers_in(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let windows = bytes.windows(12).filter(|window| window.starts_with(b"event-"));
    windows.filter_map(|window| std::str::from_utf8(window).ok()).map(number)
}
