//! Sends one signal: retries what may pass, gives up when the process ends, and logs an outage.

use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};
use tracing::{info, warn};

use super::client::{Client, Failure};
use super::resource::Resource;
use crate::config::Signal;

/// How often something is sent, at most.
const MAX_ATTEMPTS: u32 = 5;

/// The pause after the first attempt; it doubles.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Least time between two warnings.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Sends one signal.
pub(super) struct Delivery {
    signal: Signal,
    client: Arc<Client>,
    dropped: Counter,
    stop: watch::Receiver<bool>,
    /// When the log said that it fails, since it last worked.
    logged: Option<Instant>,
}

impl Delivery {
    pub(super) fn new(
        signal: Signal,
        client: Arc<Client>,
        dropped: Counter,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { signal, client, dropped, stop, logged: None }
    }

    /// What all of it comes from.
    pub(super) fn resource(&self) -> &Resource {
        &self.client.resource
    }

    /// Wait until it is time to stop.
    pub(super) async fn stopped(&mut self) {
        // An error means that the other end is gone, and then it is time too.
        let _ = self.stop.wait_for(|is_stopping| *is_stopping).await;
    }

    /// Send so many spans, records or exports, or count them as dropped.
    pub(super) async fn deliver(&mut self, message: Bytes, count: u64) {
        let mut pause = RETRY_INTERVAL;
        for attempt in 1.. {
            let failure = match self.client.export(self.signal, message.clone()).await {
                Ok(rejected) => return self.accepted(rejected.min(count)),
                Err(failure) => failure,
            };
            self.log(&failure);
            if !failure.may_pass || attempt == MAX_ATTEMPTS || *self.stop.borrow() {
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stopped() => {}
            }
            pause *= 2;
        }
        self.dropped.inc_by(count);
    }

    fn accepted(&mut self, rejected: u64) {
        self.dropped.inc_by(rejected);
        if self.logged.take().is_some() {
            info!(signal = self.signal.as_str(), "the OpenTelemetry collector takes it again");
        }
    }

    fn log(&mut self, Failure { error, hint, .. }: &Failure) {
        let now = Instant::now();
        if self.logged.is_some_and(|logged| now < logged + LOG_INTERVAL) {
            return;
        }
        self.logged = Some(now);
        let (signal, hint) = (self.signal.as_str(), *hint);
        warn!(
            signal,
            error, hint, "the OpenTelemetry collector takes nothing; what has no room is dropped"
        );
    }
}
