//! Senders that send nothing any more while their answer is still to come.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells the record of a webhook that its sender will send nothing more; an extension of its request. The sender has
/// gone, or has only shut down its writing half and still reads: nothing but time tells these apart.
#[derive(Debug, Default)]
pub struct HangUp {
    is_told: AtomicBool,
    told: Notify,
}

impl HangUp {
    /// It is so.
    pub fn tell(&self) {
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.told.notify_waiters();
        }
    }

    /// Wait until it is so.
    pub(super) async fn told(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // From here on none is missed.
        told.as_mut().enable();
        if !self.is_told.load(Ordering::Acquire) {
            told.await;
        }
    }
}
