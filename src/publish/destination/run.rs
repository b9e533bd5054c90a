//! Several events of one key that wait for their turn, sent as a whole.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Destination;
use crate::message::Event;
use crate::publish::keyed_lock::{Offer, Run, Turn};

impl Destination {
    /// The key is free: call the next event that waits for it, or send all those that wait and may go together.
    pub(super) fn release(self: &Arc<Self>, key: &Arc<str>) {
        // Without a runtime the process ends, and with it those who wait.
        if let Some(run) = self.keys.release(key)
            && let Ok(runtime) = Handle::try_current()
        {
            let turn = RunTurn { destination: self.clone(), key: key.clone(), run };
            // None of its senders may take the others along when it goes away.
            runtime.spawn(turn.take());
        }
    }
}

/// A run that has the turn of its key. What isn't stored of it in the end waits again, each for a turn of its own, and so
/// finds out what is wrong.
struct RunTurn {
    destination: Arc<Destination>,
    key: Arc<str>,
    run: Run,
}

impl RunTurn {
    async fn take(mut self) {
        let Self { destination, key, run: Run { offers, turns } } = &mut self;
        let deadline = offers.iter().map(|offer| offer.deadline).min();
        let (Some(Offer { name, .. }), Some(deadline), Some(pipeline)) =
            (offers.first(), deadline, destination.sink.pipeline())
        else {
            return;
        };
        let (start, max) = (Instant::now(), pipeline.max(name));
        // What is known to fail is tried by one event at a time.
        if max < 2
            || start >= deadline
            || destination.circuit.is_open()
            || destination.disk_path(name, Some(key)).is_some()
        {
            return;
        }
        let events: Vec<&Event> = offers.iter().take(max).map(|offer| &offer.event).collect();
        let mut left = events.iter();
        let mut acknowledged = || {
            if let (Some(event), Some(turn)) = (left.next(), turns.pop_front()) {
                destination.counters().published(start.elapsed(), event.trace.ids());
                // Its sender may be gone.
                let _ = turn.send(Turn::Stored);
            }
        };
        if pipeline.send(name, &events, deadline, &mut acknowledged).await > 0 {
            destination.record_success();
            if let Some(apart) = destination.apart() {
                apart.record_success(name);
            }
        }
    }
}

impl Drop for RunTurn {
    fn drop(&mut self) {
        self.destination.keys.put_back(&self.key, std::mem::take(&mut self.run.turns));
        self.destination.release(&self.key);
    }
}
