//! How long to wait before the next attempt to connect.
//!
//! A connection that is made and ended at once is as bad as one that is refused: the pauses start over only after one
//! that lasted. They vary, so that many processes don't come back at the same moment.

use std::time::Duration;

/// The shortest delay, and the longest one.
const DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that lasted for so long was a good one.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Delays that double, up to a second.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: DELAYS.0 }
    }
}

impl Backoff {
    /// How long to wait before this attempt in a row, counted from 1.
    pub fn of(attempt: usize) -> Duration {
        let mut backoff = Self::default();
        (1..attempt.min(10)).fold(backoff.next_delay(), |_, _| backoff.next_delay())
    }

    /// How long to wait now: between half of the delay and all of it.
    pub fn next_delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(DELAYS.1);
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        whole.mul_f64(0.5 + (random >> 32) as f64 / f64::from(u32::MAX) / 2.0)
    }

    /// A connection ended after so long. Returns whether it was a good one, after which nothing has to be waited for.
    pub fn ended(&mut self, after: Duration) -> bool {
        let lasted = after >= STABLE_AFTER;
        if lasted {
            *self = Self::default();
        }
        lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_lasted_shortens_the_pause() {
        let mut backoff = Backoff::default();
        let mut all = Duration::ZERO;
        for _ in 0..100 {
            let now = backoff.next_delay();
            assert!(now >= DELAYS.0 / 2 && now <= DELAYS.1, "{now:?}");
            all += now;
            assert!(!backoff.ended(Duration::from_secs(1)));
        }
        assert!(all > Duration::from_secs(48), "{all:?}");
        assert!(backoff.ended(STABLE_AFTER));
        assert!(backoff.next_delay() <= DELAYS.0);
    }
}
