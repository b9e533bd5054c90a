//! Bodies of senders that nobody knows until the body is complete, since only a signature over it tells.
//!
//! Anyone who knows a URL can send such a body, and never finish it, or sign it wrongly. So it draws on nothing that
//! others need: each endpoint has room of its own for them, and when that is full, the oldest has to go. An honest body
//! is there within moments and isn't the oldest; what is held back to fill the room makes room. A body that comes in
//! one piece, as small ones do, needs none at all.
//!
//! Nor do they get more of the processor than others: after each share that was read somebody else has a turn, and
//! while the room is more than half full, all of them together keep to a [`Pacer`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};

use super::{Limits, Pacer};
use crate::message::Refusal;

/// The unverified bodies of one endpoint.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Limits>,
    state: Mutex<State>,
    pace: Pacer,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    bytes: usize,
    by_age: BTreeMap<u64, HeldBody>,
}

#[derive(Debug)]
struct HeldBody {
    bytes: usize,
    /// Tells it to go.
    leave: oneshot::Sender<()>,
}

/// A body whose sender isn't known yet. What it holds is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    room: Arc<Room>,
    arrived: usize,
    /// How many of the bytes that arrived are known to the room.
    settled: usize,
    /// Bytes of this share.
    read: usize,
    pause: Option<Pin<Box<Sleep>>>,
    /// Its place in the room, once it needs one.
    place: Option<(u64, oneshot::Receiver<()>)>,
}

impl Room {
    pub(super) fn new(all: Arc<Limits>) -> Self {
        Self { all, state: Mutex::default(), pace: Pacer::new() }
    }

    pub(super) fn enter(self: &Arc<Self>) -> Stranger {
        Stranger { room: self.clone(), arrived: 0, settled: 0, read: 0, pause: None, place: None }
    }

    /// Take up this many bytes more at a place, or at a new one. Returns whether there is little room left.
    fn settle(
        &self,
        place: &mut Option<(u64, oneshot::Receiver<()>)>,
        bytes: usize,
    ) -> Result<bool, Refusal> {
        let most = self.all.unverified_most.load(Ordering::Relaxed);
        let most_bytes = self.all.unverified_most_bytes.load(Ordering::Relaxed);
        let mut state = self.state.lock();
        let number = match place {
            Some((number, _)) => *number,
            None => {
                let (leave, left) = oneshot::channel();
                let number = state.next;
                state.next += 1;
                state.by_age.insert(number, HeldBody { bytes: 0, leave });
                self.all.unverified.fetch_add(1, Ordering::Relaxed);
                *place = Some((number, left));
                number
            }
        };
        let Some(held) = state.by_age.get_mut(&number) else { return Err(refusal()) };
        held.bytes += bytes;
        state.bytes += bytes;
        self.all.unverified_bytes.fetch_add(bytes, Ordering::Relaxed);
        while state.bytes > most_bytes || state.by_age.len() > most {
            let Some(oldest) = state.by_age.first_key_value().map(|(number, _)| *number) else {
                break;
            };
            let leave = self.remove(&mut state, oldest);
            if oldest == number {
                return Err(refusal());
            }
            // It may be leaving by itself.
            let _ = leave.map(|leave| leave.send(()));
        }
        Ok(state.bytes > most_bytes / 2)
    }

    fn remove(&self, state: &mut State, number: u64) -> Option<oneshot::Sender<()>> {
        let held = state.by_age.remove(&number)?;
        state.bytes -= held.bytes;
        self.all.unverified.fetch_sub(1, Ordering::Relaxed);
        self.all.unverified_bytes.fetch_sub(held.bytes, Ordering::Relaxed);
        Some(held.leave)
    }
}

impl Stranger {
    /// This many bytes have arrived.
    pub(super) const fn grow(&mut self, bytes: usize) {
        self.arrived += bytes;
        self.read += bytes;
    }

    /// Ready when it may read on.
    pub(super) fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if self.read >= Pacer::SHARE {
            self.read = 0;
            if !self.settle()? {
                // Behind all others that are ready.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.pause = Some(Box::pin(sleep_until(self.room.pace.next())));
        }
        if let Some(pause) = &mut self.pause {
            if pause.poll_unpin(context).is_pending() {
                return self.poll_evicted(context).map(Err);
            }
            self.pause = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing has come yet: what doesn't come in one piece needs a place. Ready when it has to go.
    pub(super) fn poll_stay(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        if (self.place.is_none() || self.settled < self.arrived)
            && let Err(refusal) = self.settle()
        {
            return Poll::Ready(refusal);
        }
        self.poll_evicted(context)
    }

    fn settle(&mut self) -> Result<bool, Refusal> {
        let more = self.arrived - self.settled;
        self.settled = self.arrived;
        self.room.settle(&mut self.place, more)
    }

    /// Ready once somebody else needs its place.
    fn poll_evicted(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        match &mut self.place {
            Some((_, left)) => left.poll_unpin(context).map(|_| refusal()),
            None => Poll::Pending,
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Some((number, _)) = self.place {
            let mut state = self.room.state.lock();
            self.room.remove(&mut state, number);
        }
    }
}

fn refusal() -> Refusal {
    Refusal::Overloaded("bodies of unknown senders")
}
