//! Whether a destination is known not to work, so that nothing waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often a live event may try a destination that nothing else tries.
const PROBE: Duration = Duration::from_secs(1);

/// How often the log says of a destination that it fails: one that takes only a part of what it gets fails and works
/// by turns.
const SAY: Duration = Duration::from_secs(60);

/// Opened by the first failure, closed by the next success.
pub(super) struct Circuit {
    is_open: AtomicBool,
    /// It is over: nothing is tried any more.
    is_held: AtomicBool,
    born: Instant,
    /// When a live event may try next, in milliseconds since `born`.
    next: AtomicU64,
    /// When the log may say again that it opens.
    say: AtomicU64,
    /// The log said that it is open.
    is_said: AtomicBool,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self {
            is_open: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            born: Instant::now(),
            next: AtomicU64::new(0),
            say: AtomicU64::new(0),
            is_said: AtomicBool::new(false),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_held() || self.is_open.load(Ordering::Relaxed)
    }

    /// Something worked. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        self.is_open.load(Ordering::Relaxed) && self.is_open.swap(false, Ordering::Relaxed)
    }

    /// Something failed. Returns whether that is to be said.
    pub(super) fn open(&self) -> bool {
        let now = self.now();
        self.next.store(now + PROBE.as_millis() as u64, Ordering::Relaxed);
        let is_news =
            !self.is_open.swap(true, Ordering::Relaxed) && now >= self.say.load(Ordering::Relaxed);
        if is_news {
            self.say.store(now + SAY.as_millis() as u64, Ordering::Relaxed);
            self.is_said.store(true, Ordering::Relaxed);
        }
        is_news
    }

    /// Whether it is to be said that it works again: once, if it was said that it didn't.
    pub(super) fn unsay(&self) -> bool {
        self.is_said.swap(false, Ordering::Relaxed)
    }

    /// Open it for good, whatever still works.
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// Whether this one may try an open circuit; nobody else may for a while.
    pub(super) fn probe(&self) -> bool {
        let (now, next) = (self.now(), self.next.load(Ordering::Relaxed));
        let after = now + PROBE.as_millis() as u64;
        !self.is_held()
            && now >= next
            && self.next.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_in_a_second_probes_while_it_is_open() {
        let circuit = Circuit::new();
        assert!(circuit.open() && circuit.is_open());
        for _ in 0..3 {
            assert!(!circuit.probe());
            tokio::time::advance(PROBE).await;
            assert!(circuit.probe());
        }
        tokio::time::advance(PROBE / 2).await;
        // A failure of anybody is as good as a probe.
        circuit.open();
        tokio::time::advance(PROBE / 2).await;
        assert!(!circuit.probe());
        tokio::time::advance(PROBE / 2).await;
        circuit.hold();
        assert!(!circuit.probe() && circuit.is_open());
        // What was on its way arrives.
        assert!(circuit.close() && circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_and_works_by_turns_is_said_once_a_minute() {
        let circuit = Circuit::new();
        let (mut opened, mut closed) = (0, 0);
        for _ in 0..600 {
            opened += usize::from(circuit.open());
            assert!(!circuit.open(), "it is open");
            tokio::time::advance(Duration::from_millis(300)).await;
            assert!(circuit.close() && !circuit.close());
            closed += usize::from(circuit.unsay());
        }
        // Over three minutes.
        assert_eq!((opened, closed), (3, 3));
    }
}
