//! Whether a destination is known not to work, so that nothing waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time between two live events that may try a destination that nothing else tries.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two warnings about one destination: one that takes only a part of what it gets opens and closes
/// again and again.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Opened by the first failure, closed by the next success.
pub(super) struct Circuit {
    is_open: AtomicBool,
    /// Nothing is tried any more.
    is_paused: AtomicBool,
    born: Instant,
    /// When a live event may try next, in milliseconds since `born`.
    next: AtomicU64,
    /// From when on it may be logged again that it opens.
    next_log: AtomicU64,
    /// It was logged that it is open.
    was_logged: AtomicBool,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self {
            is_open: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
            born: Instant::now(),
            next: AtomicU64::new(0),
            next_log: AtomicU64::new(0),
            was_logged: AtomicBool::new(false),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_paused() || self.is_open.load(Ordering::Relaxed)
    }

    /// Something worked. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        self.is_open.load(Ordering::Relaxed) && self.is_open.swap(false, Ordering::Relaxed)
    }

    /// Something failed. Returns whether to log that.
    pub(super) fn open(&self) -> bool {
        let now = self.now();
        self.next.store(now + PROBE_INTERVAL.as_millis() as u64, Ordering::Relaxed);
        let should_log = !self.is_open.swap(true, Ordering::Relaxed)
            && now >= self.next_log.load(Ordering::Relaxed);
        if should_log {
            self.next_log.store(now + LOG_INTERVAL.as_millis() as u64, Ordering::Relaxed);
            self.was_logged.store(true, Ordering::Relaxed);
        }
        should_log
    }

    /// Returns true once after an outage that was logged.
    pub(super) fn take_logged(&self) -> bool {
        self.was_logged.swap(false, Ordering::Relaxed)
    }

    /// Open it for good, whatever still works.
    pub(super) fn pause(&self) {
        self.is_paused.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Whether this event may try an open circuit; no other may for a while.
    pub(super) fn probe(&self) -> bool {
        let (now, next) = (self.now(), self.next.load(Ordering::Relaxed));
        let after = now + PROBE_INTERVAL.as_millis() as u64;
        !self.is_paused()
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
            tokio::time::advance(PROBE_INTERVAL).await;
            assert!(circuit.probe());
        }
        tokio::time::advance(PROBE_INTERVAL / 2).await;
        // A failure of anybody is as good as a probe.
        circuit.open();
        tokio::time::advance(PROBE_INTERVAL / 2).await;
        assert!(!circuit.probe());
        tokio::time::advance(PROBE_INTERVAL / 2).await;
        circuit.pause();
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
            closed += usize::from(circuit.take_logged());
        }
        // Over three minutes.
        assert_eq!((opened, closed), (3, 3));
    }
}
