//! How long to wait before the next attempt to connect.
//!
//! A connection that is made and ended at once is as bad as one that is refused: the pauses start over only after one
//! that lasted. They vary, so that many processes don't come back at the same moment.

use std::time::Duration;

/// The first pause, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that lived for so long was a good one.
pub const LASTED: Duration = Duration::from_secs(10);

/// Pauses that double, up to a second.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl Pause {
    /// How long to wait before this attempt in a row, counted from 1.
    pub fn of(attempt: usize) -> Duration {
        let mut pause = Self::default();
        (1..attempt.min(10)).fold(pause.longer(), |_, _| pause.longer())
    }

    /// How long to wait now: between half of the pause and all of it.
    pub fn longer(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(PAUSES.1);
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        whole.mul_f64(0.5 + (random >> 32) as f64 / f64::from(u32::MAX) / 2.0)
    }

    /// A connection ended after so long. Returns whether it was a good one, after which nothing has to be waited for.
    pub fn ended(&mut self, after: Duration) -> bool {
        let lasted = after >= LASTED;
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
        let mut pause = Pause::default();
        let mut all = Duration::ZERO;
        for _ in 0..100 {
            let now = pause.longer();
            assert!(now >= PAUSES.0 / 2 && now <= PAUSES.1, "{now:?}");
            all += now;
            assert!(!pause.ended(Duration::from_secs(1)));
        }
        assert!(all > Duration::from_secs(48), "{all:?}");
        assert!(pause.ended(LASTED));
        assert!(pause.longer() <= PAUSES.0);
    }
}
