//! At most one event of a key is unacknowledged at a destination.

use std::sync::Arc;

use super::Inner;
use crate::history::destination_of;

/// An event that was sent, until it is known what becomes of it.
pub(super) struct UnderWay {
    broker: Arc<Inner>,
    number: u64,
}

impl UnderWay {
    pub(super) fn begin(broker: &Arc<Inner>, name: &'static str, event: usize) -> Self {
        broker.world.note(format_args!("{name} gets {event}"));
        let mut state = broker.state.lock();
        let others = state.under_way.values().copied();
        let other =
            others.into_iter().find(|(other, of)| is_beside(broker, (*other, of), (event, name)));
        state.next += 1;
        let number = state.next;
        state.under_way.insert(number, (event, name));
        drop(state);
        if let Some((other, _)) = other {
            broker.world.fail(format_args!(
                "event {event} is sent to {name} while {other} of the same key is unacknowledged"
            ));
        }
        Self { broker: broker.clone(), number }
    }
}

/// Whether these two should have been sent one after the other.
fn is_beside(broker: &Inner, one: (usize, &str), other: (usize, &str)) -> bool {
    broker.history.with(|history| {
        let (first, second) = (&history.sent[one.0], &history.sent[other.0]);
        // Dead letters are outside the order.
        let has_order = !first.is_poison && !second.is_poison;
        // What waits apart has an order of its own.
        let is_apart = history.unsteady.contains(one.1) || history.unsteady.contains(other.1);
        has_order
            && first.key.is_some()
            && first.key == second.key
            && destination_of(one.1) == destination_of(other.1)
            && (one.1 == other.1 || !is_apart)
    })
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.broker.state.lock().under_way.remove(&self.number);
    }
}
