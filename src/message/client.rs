//! The other end of a connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The client that a request came from: a sender, or a proxy in front of it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether the connection is encrypted up to here.
    pub is_encrypted: bool,
    /// Whether it showed a certificate that the listener trusts.
    pub has_certificate: bool,
    /// Tells when it sends nothing more.
    pub hang_up: Arc<HangUp>,
}

impl Client {
    /// A client with this address and no certificate.
    #[must_use]
    pub fn new(address: impl Into<IpAddr>) -> Self {
        Self {
            address: address.into(),
            is_encrypted: false,
            has_certificate: false,
            hang_up: Arc::default(),
        }
    }
}

/// Tells that a client will send nothing more while an answer is still to come. It has gone, or has only shut down its
/// writing half and still reads: nothing but time tells these apart.
#[derive(Debug, Default)]
pub struct HangUp {
    is_told: AtomicBool,
    told: Notify,
}

impl HangUp {
    /// The client sends nothing more.
    pub fn tell(&self) {
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.told.notify_waiters();
        }
    }

    /// Wait until the client sends nothing more.
    pub async fn told(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // From here on none is missed.
        told.as_mut().enable();
        if !self.is_told.load(Ordering::Acquire) {
            told.await;
        }
    }
}
