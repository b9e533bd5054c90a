//! The turns of bodies that take a while between their end and their place at a destination.
//!
//! Events of one key are stored in the order in which their bodies were complete. Small ones take their places at that
//! very moment. A compressed body is decoded first, in steps between which others have their turn, and a large one is
//! read through; meanwhile nobody knows its key. So it takes a turn when it is complete, at every destination that it
//! may go to. Whatever comes after it, has a key and goes to one of these takes a turn too, and waits. What has no key
//! and what is asked waits for nobody, and while no turn is open, nobody looks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

/// A plain body of at least so many bytes takes a turn. A smaller one is read through in less time than it takes to
/// wake somebody up.
const LARGE: usize = 32 << 10;

/// The turns of one process.
#[derive(Default)]
pub struct Turns {
    /// How many are open.
    open: AtomicUsize,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    next: u64,
    /// The open turns of each destination by their numbers, which only grow.
    by_destination: HashMap<DestinationText, VecDeque<u64>>,
    /// Those that aren't the first everywhere: in how many queues not, and what calls them.
    waiting: HashMap<u64, (usize, watch::Sender<()>)>,
}

/// A destination, by its text.
type DestinationText = Arc<str>;

/// A turn at some destinations. It is over when this is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
    to: Vec<DestinationText>,
    /// Closed when there is nobody before it.
    called: watch::Receiver<()>,
}

impl Turns {
    /// A turn for a body that has just been completed, unless it is small and as it is.
    pub(super) fn of_body<'a>(
        self: &Arc<Self>,
        size: usize,
        is_compressed: bool,
        to: impl Iterator<Item = &'a DestinationText>,
    ) -> Option<Turn> {
        (is_compressed || size >= LARGE).then(|| self.take(&mut self.queues.lock(), to))
    }

    /// A turn for what has a key and is ready to be stored, if there is anybody to wait for.
    pub(super) fn behind<'a>(
        self: &Arc<Self>,
        to: impl Iterator<Item = &'a DestinationText> + Clone,
    ) -> Option<Turn> {
        // An earlier body registered before ours was complete.
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queues = self.queues.lock();
        let is_taken = to.clone().any(|to| queues.by_destination.contains_key(to));
        is_taken.then(|| self.take(&mut queues, to))
    }

    fn take<'a>(
        self: &Arc<Self>,
        queues: &mut Queues,
        to: impl Iterator<Item = &'a DestinationText>,
    ) -> Turn {
        let mut to: Vec<_> = to.cloned().collect();
        to.sort_unstable();
        to.dedup();
        let number = queues.next;
        queues.next += 1;
        let mut ahead = 0;
        for to in &to {
            let line = queues.by_destination.entry(to.clone()).or_default();
            ahead += usize::from(!line.is_empty());
            line.push_back(number);
        }
        let (call, called) = watch::channel(());
        if ahead > 0 {
            queues.waiting.insert(number, (ahead, call));
        }
        self.open.fetch_add(1, Ordering::Release);
        Turn { turns: self.clone(), number, to, called }
    }
}

impl Queues {
    /// Take a turn out of a line. Returns whether there was somebody before it.
    fn leave(&mut self, number: u64, place: &DestinationText) -> bool {
        let Some(line) = self.by_destination.get_mut(place) else { return false };
        let Ok(at) = line.binary_search(&number) else { return false };
        line.remove(at);
        if at > 0 {
            return true;
        }
        match line.front().copied() {
            Some(next) => self.advance(next),
            None => _ = self.by_destination.remove(place),
        }
        false
    }

    /// There is one line less in which somebody is before this turn.
    fn advance(&mut self, number: u64) {
        if let Some((ahead, _)) = self.waiting.get_mut(&number) {
            *ahead -= 1;
            if *ahead == 0 {
                // That calls it.
                self.waiting.remove(&number);
            }
        }
    }
}

impl Turn {
    /// Give up all destinations but these, which are now known to be the only ones.
    pub(super) fn keep<'a>(
        mut self,
        only: impl Iterator<Item = &'a DestinationText> + Clone,
    ) -> Self {
        let mut queues = self.turns.queues.lock();
        self.to.retain(|to| {
            let is_kept = only.clone().any(|kept| kept == to);
            if !is_kept && queues.leave(self.number, to) {
                queues.advance(self.number);
            }
            is_kept
        });
        drop(queues);
        self
    }

    /// Whether there is nowhere that it could go.
    pub(super) fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    /// Wait until everything that was complete before has its place, or needs none.
    pub(super) async fn ready(&self) {
        // Nothing is ever sent: it is called by being closed.
        let _ = self.called.clone().changed().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.turns.queues.lock();
        for to in &self.to {
            queues.leave(self.number, to);
        }
        queues.waiting.remove(&self.number);
        self.turns.open.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
