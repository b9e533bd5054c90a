//! The largest message that the server takes, asked for anew before one is judged too large.
//!
//! A server says it when a connection is made, and not when it has reloaded its settings. Those who send ask for a
//! look; the task that keeps the connection takes it, over a connection of its own, and replaces the one in use if the
//! limit has been raised.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

/// Least time between two looks: whoever sends many large messages can't make many connections.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a look may take.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks at the limit, between those who ask and the one who looks.
#[derive(Debug)]
pub(super) struct LimitCheck {
    wanted: Notify,
    /// How many looks have ended.
    done: watch::Sender<u64>,
    last: Mutex<Option<Instant>>,
}

impl Default for LimitCheck {
    fn default() -> Self {
        Self { wanted: Notify::new(), done: watch::Sender::new(0), last: Mutex::default() }
    }
}

impl LimitCheck {
    /// Have a look taken, and wait for its end. Returns whether it ended before `deadline`.
    pub(super) async fn look(&self, deadline: Instant) -> bool {
        let mut done = self.done.subscribe();
        self.wanted.notify_one();
        let deadline = deadline.min(Instant::now() + LOOK_TIMEOUT);
        matches!(timeout_at(deadline, done.changed()).await, Ok(Ok(())))
    }

    /// Wait until a look is wanted. Nobody looks a second time within a moment.
    pub(super) async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            let now = Instant::now();
            let mut last = self.last.lock();
            if last.is_none_or(|last| now.duration_since(last) >= LOOK_INTERVAL) {
                *last = Some(now);
                return;
            }
            drop(last);
            self.done();
        }
    }

    /// A look has ended.
    pub(super) fn done(&self) {
        self.done.send_modify(|done| *done += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_within_a_moment_share_one_look() {
        let check = LimitCheck::default();
        let looks = Mutex::new(0);
        let looker = async {
            loop {
                check.wanted().await;
                *looks.lock() += 1;
                check.done();
            }
        };
        let asking = async {
            let deadline = Instant::now() + Duration::from_secs(60);
            for _ in 0..3 {
                assert!(check.look(deadline).await);
            }
            assert_eq!(*looks.lock(), 1);
            tokio::time::sleep(LOOK_INTERVAL).await;
            assert!(check.look(deadline).await);
            assert_eq!(*looks.lock(), 2);
        };
        tokio::select! {
            () = looker => {}
            () = asking => {}
        }
        // Nobody looks: the message is judged by what is known.
        assert!(!check.look(Instant::now() + Duration::from_secs(9)).await);
    }
}
