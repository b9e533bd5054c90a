//! What a stream's consumer has handed out: what is held here, and what was done with lately.

use std::collections::{BTreeMap, HashSet, VecDeque};

use async_nats::Subject;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Sequences that are remembered after they were done with: an acknowledgement that was lost is said again, instead of
/// posting the event once more.
const REMEMBERED: usize = 4_096;

/// The messages of one stream.
#[derive(Debug)]
pub(super) struct Ledger {
    stream: String,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<u64, Held>,
    bytes: usize,
    done: HashSet<u64>,
    /// The same in their order.
    order: VecDeque<u64>,
    /// The highest sequence that came.
    highest: u64,
}

#[derive(Debug)]
struct Held {
    reply: Subject,
    bytes: usize,
}

/// What a message is that comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It hasn't been here.
    New,
    /// It is here already, and can be acknowledged in the place of the one that came before.
    Held,
    /// It was done with: it has only to be acknowledged, here.
    Done(Subject),
}

impl Ledger {
    pub(super) fn new(stream: &str) -> Self {
        Self { stream: stream.to_owned(), state: Mutex::default(), freed: Notify::new() }
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Take a message in.
    pub(super) fn take(&self, sequence: u64, reply: Subject, bytes: usize) -> Entry {
        let mut state = self.state.lock();
        state.highest = state.highest.max(sequence);
        if let Some(held) = state.held.get_mut(&sequence) {
            held.reply = reply;
            return Entry::Held;
        }
        if state.done.contains(&sequence) {
            return Entry::Done(reply);
        }
        state.bytes += bytes;
        state.held.insert(sequence, Held { reply, bytes });
        Entry::New
    }

    /// A message came that nothing is done with.
    pub(super) fn pass(&self, sequence: u64) {
        let mut state = self.state.lock();
        state.highest = state.highest.max(sequence);
    }

    /// A message is done with. Returns where to say so.
    pub(super) fn settle(&self, sequence: u64) -> Option<Subject> {
        let mut state = self.state.lock();
        let held = state.held.remove(&sequence)?;
        state.bytes -= held.bytes;
        state.done.insert(sequence);
        state.order.push_back(sequence);
        if state.order.len() > REMEMBERED
            && let Some(oldest) = state.order.pop_front()
        {
            state.done.remove(&oldest);
        }
        drop(state);
        self.freed.notify_one();
        Some(held.reply)
    }

    /// Wait until there is room within these limits. Returns how many messages and how many bytes.
    pub(super) async fn room(&self, count: usize, bytes: usize) -> (usize, usize) {
        loop {
            {
                let state = self.state.lock();
                let (count, bytes) =
                    (count.saturating_sub(state.held.len()), bytes.saturating_sub(state.bytes));
                if count > 0 && bytes > 0 {
                    return (count, bytes);
                }
            }
            self.freed().await;
        }
    }

    /// Wait until something was done with, if there is anything.
    pub(super) async fn freed(&self) {
        // A permit is stored for what was since.
        self.freed.notified().await;
    }

    /// Where to tell of what is held, in the order of the stream.
    pub(super) fn replies(&self) -> Vec<Subject> {
        self.state.lock().held.values().map(|held| held.reply.clone()).collect()
    }

    /// How many are held.
    pub(super) fn held(&self) -> usize {
        self.state.lock().held.len()
    }

    /// The first sequence that hasn't come; nothing before any came.
    pub(super) fn next(&self) -> Option<u64> {
        let highest = self.state.lock().highest;
        (highest > 0).then_some(highest + 1)
    }

    /// The first that isn't done with, as far as is known.
    pub(super) fn first_open(&self) -> Option<u64> {
        let state = self.state.lock();
        let next = (state.highest > 0).then_some(state.highest + 1);
        state.held.keys().next().copied().or(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_once() {
        let ledger = Ledger::new("S");
        assert_eq!((ledger.next(), ledger.first_open()), (None, None));
        assert_eq!(ledger.take(7, "a".into(), 10), Entry::New);
        assert_eq!(ledger.take(8, "b".into(), 10), Entry::New);
        // It was handed out again: the later delivery is the one that is acknowledged.
        assert_eq!(ledger.take(7, "c".into(), 10), Entry::Held);
        assert_eq!(ledger.replies(), ["c".into(), "b".into()]);
        assert_eq!(ledger.settle(7), Some("c".into()));
        assert_eq!(ledger.settle(7), None);
        assert_eq!(ledger.take(7, "d".into(), 10), Entry::Done("d".into()));
        assert_eq!((ledger.next(), ledger.first_open(), ledger.held()), (Some(9), Some(8), 1));
        ledger.pass(12);
        assert_eq!(ledger.next(), Some(13));
    }

    #[test]
    fn memory_of_what_was_done_is_bounded() {
        let ledger = Ledger::new("S");
        for sequence in 1..=REMEMBERED as u64 + 1 {
            ledger.take(sequence, "r".into(), 1);
            ledger.settle(sequence);
        }
        assert_eq!(ledger.take(1, "r".into(), 1), Entry::New);
        assert!(matches!(ledger.take(3, "r".into(), 1), Entry::Done(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn room_comes_back() {
        let ledger = Ledger::new("S");
        ledger.take(1, "r".into(), 60);
        ledger.take(2, "r".into(), 60);
        assert_eq!(ledger.room(5, 200).await, (3, 80));
        let waiting = ledger.room(5, 100);
        let settling = async { ledger.settle(1) };
        assert_eq!(tokio::join!(waiting, settling).0, (4, 40));
    }
}
