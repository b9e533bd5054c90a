//! A bounded queue of what is to be sent, and its batches.

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use super::delivery::Delivery;
use super::resource::Resource;

/// Spans or records that may wait. As many as an SDK of OpenTelemetry lets wait.
const MAX_WAITING: usize = 2_048;

/// The most that is sent at once.
const MAX_BATCH: usize = 512;

/// How long the first one waits for others.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is looked for others meanwhile: to be woken for each would cost more than to send it. What comes in
/// between has to find room.
const PAUSE: Duration = Duration::from_millis(20);

/// Where something is put to be sent.
pub(super) struct Queue<T> {
    sender: mpsc::Sender<T>,
    dropped: Counter,
}

/// What was put there.
pub(super) struct Waiting<T>(mpsc::Receiver<T>);

/// A queue, and what is in it. What has no room is counted.
pub(super) fn queue<T>(dropped: Counter) -> (Queue<T>, Waiting<T>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Queue { sender, dropped }, Waiting(receiver))
}

impl<T> Queue<T> {
    /// Put it there, if there is room.
    pub(super) fn push(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            self.dropped.inc();
        }
    }
}

impl<T> Waiting<T> {
    /// Send what comes, until the end; then what is left.
    pub(super) async fn deliver(
        mut self,
        mut delivery: Delivery,
        request: fn(&Resource, Vec<T>) -> Vec<u8>,
    ) {
        loop {
            let mut batch = Vec::new();
            let is_stopping = tokio::select! {
                () = self.collect(&mut batch) => false,
                () = delivery.stopped() => true,
            };
            if is_stopping {
                self.0.close();
                self.take(&mut batch);
            }
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let message = request(delivery.resource(), batch);
            delivery.deliver(message.into(), count as u64).await;
        }
    }

    /// All that comes within the interval, from the first one on; nothing when nothing will come any more. What it has
    /// taken when it is dropped is in the batch.
    async fn collect(&mut self, batch: &mut Vec<T>) {
        self.0.recv_many(batch, MAX_BATCH).await;
        let until = Instant::now() + BATCH_INTERVAL;
        while (1..MAX_BATCH).contains(&batch.len()) && Instant::now() < until && !self.0.is_closed()
        {
            sleep(PAUSE).await;
            self.take(batch);
        }
    }

    /// What is there, as long as the batch has room.
    fn take(&mut self, batch: &mut Vec<T>) {
        while batch.len() < MAX_BATCH
            && let Ok(next) = self.0.try_recv()
        {
            batch.push(next);
        }
    }
}
