//! An event's place at a destination: its share of what may be in flight, and its turn among those of its key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::debug;

use super::{Destination, DiskPath};
use crate::message::{Event, Receipt, Refusal};
use crate::publish::Budget;
use crate::publish::disk_queue::PendingAppend;
use crate::publish::keyed_lock::{Offer, Turn, Wait};
use crate::sink::Class;

/// The path that an event was put on when it came.
pub(in crate::publish) enum Path {
    /// Earlier events of its key are under way.
    Waiting,
    /// A few of its key are queued.
    Behind,
    /// It may be sent.
    Direct,
    /// It has its place in the queue, or there is none for it.
    Disk(Result<PendingAppend, Refusal>),
}

/// An event that was admitted to a destination, and its turn among those of its key; both end when this is dropped.
pub(in crate::publish) struct Admission {
    destination: Arc<Destination>,
    key: Option<Arc<str>>,
    wait: Option<Wait>,
}

impl Destination {
    /// Admit an event, and give it its turn. What is admitted first is stored first.
    pub(in crate::publish) fn admit(
        self: &Arc<Self>,
        key: Option<&Arc<str>>,
    ) -> Result<Admission, Refusal> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut admission = Admission { destination: self.clone(), key: None, wait: None };
        if before >= self.share.load(Ordering::Relaxed) {
            self.metrics.publish_failed(&self.text, "overloaded");
            return Err(Refusal::Overloaded("events for one destination"));
        }
        if let Some(key) = key {
            admission.wait = self.keys.acquire(key);
            admission.key = Some(key.clone());
        }
        Ok(admission)
    }
}

impl Admission {
    /// Where it was admitted, as configured.
    pub(in crate::publish) fn destination(&self) -> &Arc<str> {
        &self.destination.text
    }

    /// What has to queue does so at once, in the order of the calls.
    pub(in crate::publish) fn choose_path(&mut self, name: &str, event: &Event) -> Path {
        if self.wait.is_some() {
            return Path::Waiting;
        }
        match self.destination.disk_path(name, self.key.as_ref()) {
            None => Path::Direct,
            Some(DiskPath::Behind) => Path::Behind,
            Some(path) => Path::Disk(self.queue(path, name, event, "queued")),
        }
    }

    /// Store an event by whichever path is open, beginning with the one that was chosen.
    pub(in crate::publish) async fn store(
        mut self,
        mut path: Path,
        name: String,
        event: &Event,
        budget: Budget,
    ) -> Result<Receipt, Refusal> {
        let destination = self.destination.clone();
        if let Path::Waiting = path {
            // Those before have budgets that end before ours.
            if self.turn(&name, event, budget).await == Turn::Stored {
                return Ok(destination.accepted(Receipt::Stored));
            }
            path = self.choose_path(&name, event);
        }
        if let (Path::Behind, Some(key)) = (&path, &self.key) {
            destination.released(key, budget).await;
            path = match destination.disk_path(&name, self.key.as_ref()) {
                None => Path::Direct,
                Some(path) => Path::Disk(self.queue(path, &name, event, "queued")),
            };
        }
        let append = match path {
            Path::Disk(append) => append,
            Path::Waiting | Path::Behind | Path::Direct => {
                match destination.send(&name, event, budget).await {
                    Ok(()) => return Ok(destination.accepted(Receipt::Stored)),
                    Err(error) if destination.is_live => {
                        debug!(destination = %destination.text, id = %event.id, %error, "a live view misses an event");
                        return Ok(Receipt::Stored);
                    }
                    Err(error) if error.class == Class::Permanent => {
                        self.leave();
                        let kept = destination.dead_letter(&name, event, error).await;
                        return kept.map(|receipt| destination.accepted(receipt));
                    }
                    Err(error) => {
                        let path = destination.disk_path_after(&name, &error);
                        self.queue(path, &name, event, error.reason)
                    }
                }
            }
        };
        let kept = destination.finish_append(append?).await;
        kept.map(|receipt| destination.accepted(receipt))
    }

    /// Take a place on disk; then the next one of this key may have its turn.
    fn queue(
        &mut self,
        path: DiskPath,
        name: &str,
        event: &Event,
        why: &'static str,
    ) -> Result<PendingAppend, Refusal> {
        let append = self.destination.queue(path, name, event, why);
        self.leave();
        append
    }

    /// Wait for the turn of this event, or for it to be stored together with those before and behind it.
    async fn turn(&mut self, name: &str, event: &Event, budget: Budget) -> Turn {
        let Some(wait) = &mut self.wait else { return Turn::Yours };
        let pipeline = self.destination.sink.pipeline();
        if pipeline.is_some_and(|pipeline| pipeline.max(name) > 1) {
            let deadline = budget.deadline(self.destination.ack_timeout);
            wait.offer(Offer { name: name.into(), event: event.clone(), deadline });
        }
        // An event that leaves calls the next one, even if it failed.
        let turn = (&mut wait.turn).await.unwrap_or(Turn::Yours);
        self.wait = None;
        if turn == Turn::Stored {
            self.key = None;
        }
        turn
    }

    /// Let the next one of this key have its turn.
    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let is_our_turn = self.wait.take().is_none_or(|mut wait| {
            // The call may come at this very moment; then it must be passed on.
            wait.turn.close();
            wait.turn.try_recv() == Ok(Turn::Yours)
        });
        if is_our_turn {
            self.destination.release(&key);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.destination.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.leave();
    }
}
