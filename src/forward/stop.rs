//! The end: asked for once, heard by all parts.

use tokio::sync::watch;

/// Whether the end has begun.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Begin the end.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Whether both are the same end.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Wait until it begins.
    pub async fn begun(&self) {
        // The sender lives as long as `self`, so that the wait can't fail.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}
