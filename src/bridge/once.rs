//! What makes a delivery count once: the only place of the walk that asks whether it was seen before, and tells how it
//! ended.

use super::Endpoint;
use super::turns::Turn;
use crate::auth::{Cause, Delivered, Delivery, Entry, Found, Mark};
use crate::config::{Dedupe, Replay};
use crate::message::Refusal;

/// A delivery of which a copy may have come before, or may still come.
pub(super) struct Once {
    /// What copies are told by, where they get the answer of the first.
    mark: Option<Mark>,
    /// Where it is entered, so that its copies learn of its end.
    entry: Option<Entry>,
}

impl Once {
    /// A delivery that was just let in. Where copies are refused that happens here, before anything is made of it: of
    /// two at the same time only one passes.
    pub(super) fn new(endpoint: &Endpoint, delivery: &Delivery<'_>) -> Result<Self, Cause> {
        let (mut mark, mut entry) = (None, None);
        match (delivery.replay, delivery.mark) {
            (Replay::Refuse, Some(mark)) => entry = Some(endpoint.seen.refuse(mark)?),
            (Replay::Dedupe, found) if endpoint.dedupe != Dedupe::Off => mark = found,
            _ => {}
        }
        Ok(Self { mark, entry })
    }

    /// How the first of several copies ended; nothing if this is the first. While the first is being handled, its copies
    /// wait, without the turn: the first has it.
    pub(super) async fn earlier(
        &mut self,
        endpoint: &Endpoint,
        turn: &mut Option<Turn>,
    ) -> Option<Result<Delivered, Refusal>> {
        let mark = self.mark?;
        loop {
            match endpoint.seen.find(mark) {
                Found::New(entry) => {
                    self.entry = Some(entry);
                    return None;
                }
                Found::Done(delivered) => return Some(Ok(delivered)),
                Found::Open(end) => {
                    *turn = None;
                    // One that was given up before its end leaves its place: this copy may be the first now.
                    if let Ok(ended) = end.await {
                        return Some(ended);
                    }
                }
            }
        }
    }

    /// Tell the copies how it ended; with a 2xx it is remembered.
    pub(super) fn end(self, result: Result<Delivered, &Refusal>) {
        if let Some(entry) = self.entry {
            entry.end(result.map_err(Refusal::clone));
        }
    }
}
