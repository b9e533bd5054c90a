//! What is noted of a webhook's questions and destinations, which end one by one, some of them apart from its walk.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Shared;
use super::line::{Asked, DestinationReceipt};
use super::tap_record::{Unfinished, milliseconds};
use crate::message::{Receipt, Refusal};

/// The parts of a note, its questions and destinations, which end one by one.
#[derive(Clone)]
pub struct TapProgress {
    shared: Arc<Shared>,
    open: Arc<Mutex<Option<Unfinished>>>,
}

impl TapProgress {
    pub(super) fn new(shared: Arc<Shared>, open: Arc<Mutex<Option<Unfinished>>>) -> Self {
        Self { shared, open }
    }

    /// Whether somebody would see what workers get.
    pub fn wants_bodies(&self) -> bool {
        self.shared.wants_bodies()
    }

    /// A worker gets this, with this payload.
    pub fn asked(&self, asked: Asked, payload: Bytes) {
        if let Some(open) = &mut *self.open.lock() {
            open.asked.push((asked, payload));
        }
    }

    /// This came of the event at a destination.
    pub fn stored(&self, destination: &Arc<str>, stored: &Result<Receipt, Refusal>) {
        if let Some(open) = &mut *self.open.lock() {
            let outcome = match stored {
                Ok(receipt) => receipt.as_str(),
                Err(Refusal::NotStored(why)) => why,
                Err(refusal) => refusal.reason(),
            };
            open.line.receipts.push(DestinationReceipt {
                destination: destination.clone(),
                outcome: Cow::Borrowed(outcome),
                milliseconds: milliseconds(open.began.elapsed()),
            });
        }
    }

    /// This came of the question at this place.
    pub fn answered(
        &self,
        place: usize,
        outcome: &'static str,
        took: Duration,
        worker: Option<&Arc<str>>,
        reused: bool,
    ) {
        // After a sender hung up nobody will see it.
        if let Some(question) =
            self.open.lock().as_mut().and_then(|open| open.line.questions.get_mut(place))
        {
            question.outcome = Some(Cow::Borrowed(outcome));
            question.milliseconds = Some(milliseconds(took));
            question.worker = worker.cloned();
            question.reused = reused;
        }
    }
}
