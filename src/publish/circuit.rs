//! Whether a destination is known not to work, so that nothing waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often a live event may try a destination that nothing else tries.
const PROBE: Duration = Duration::from_secs(1);

/// Opened by the first failure, closed by the next success.
pub(super) struct Circuit {
    is_open: AtomicBool,
    /// It is over: nothing is tried any more.
    is_held: AtomicBool,
    born: Instant,
    /// When a live event may try next, in milliseconds since `born`.
    next: AtomicU64,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self {
            is_open: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            born: Instant::now(),
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Something worked. Returns whether that is news.
    pub(super) fn close(&self) -> bool {
        self.is_open() && self.is_open.swap(false, Ordering::Relaxed)
    }

    /// Something failed. Returns whether that is news.
    pub(super) fn open(&self) -> bool {
        self.next.store(self.now() + PROBE.as_millis() as u64, Ordering::Relaxed);
        !self.is_open.swap(true, Ordering::Relaxed)
    }

    /// Open it for good.
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
        self.is_open.store(true, Ordering::Relaxed);
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
