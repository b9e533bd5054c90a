//! The end of a listener and of its connections, in the order in which clients lose nothing.
//!
//! A client keeps connections for later requests. One that is closed while a request is on its way to it costs that
//! request. So clients are told first, with every response that they get from then on, and what they keep in silence is
//! closed last, once no requests come any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long no request may have come before idle connections are closed: much longer than a request is on its way, and
/// short enough that a stop goes unnoticed.
pub(super) const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// Time between two looks at whether a request has come.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How far the end has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    #[default]
    Serving,
    /// Each response says that its connection ends with it.
    Announced,
    /// Nothing is accepted any more.
    Draining,
    /// What is silent is closed.
    Closing,
    /// Whatever is left is cut off.
    Ended,
}

/// The way to the end. Without calling for it, a listener serves for ever.
#[derive(Debug, Default)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    is_announced: AtomicBool,
    /// Counts on, once it is announced, with the begin and the end of each request.
    activity: AtomicUsize,
}

impl Shutdown {
    /// Of a listener that is to be made.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tell clients, from now on, not to use their connections again: by `Connection: close` in each response, and by
    /// GOAWAY with HTTP/2. Everything is still served.
    pub fn announce(&self) {
        self.is_announced.store(true, Ordering::Release);
        self.advance(Stage::Announced);
    }

    /// Accept nothing any more, and wait until all connections have ended. Idle ones are closed last: when no request
    /// has come for a second, and `is_busy` says that none is being handled either.
    pub async fn drain(&self, is_busy: impl Fn() -> bool) {
        self.announce();
        self.advance(Stage::Draining);
        let quiet = async {
            let (mut activity, mut since) = (self.activity(), Instant::now());
            while since.elapsed() < QUIET_PERIOD {
                sleep(POLL_INTERVAL).await;
                if is_busy() || activity != self.activity() {
                    (activity, since) = (self.activity(), Instant::now());
                }
            }
        };
        tokio::select! {
            () = self.stage.closed() => return,
            () = quiet => {}
        }
        self.advance(Stage::Closing);
        self.stage.closed().await;
    }

    /// Cut off what is left.
    pub fn end(&self) {
        self.advance(Stage::Ended);
    }

    pub(super) fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub(super) fn is_announced(&self) -> bool {
        self.is_announced.load(Ordering::Acquire)
    }

    /// A request has come, or its response goes out.
    pub(super) fn record_activity(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }

    fn activity(&self) -> usize {
        self.activity.load(Ordering::Relaxed)
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let is_later = *stage < to;
            *stage = to.max(*stage);
            is_later
        });
    }
}

#[cfg(test)]
mod tests;
