//! After a break: what was handed out before it comes again, and has to be posted before what is newer.
//!
//! The server hands new messages out while those of the break wait for their time. So what is new is put aside until as
//! many of the old have come as were open, or until others are seen to have done with them, or until they have had
//! their time.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Time for what the server has taken back to come here.
const MARGIN: Duration = Duration::from_secs(5);

/// What is put aside.
#[derive(Debug)]
pub(super) struct Settling<T>(Mutex<Option<State<T>>>);

#[derive(Debug)]
struct State<T> {
    /// What was handed out before is no higher.
    upto: u64,
    /// How many of that are still to come.
    missing: u64,
    /// When the server has taken all of it back.
    until: Instant,
    aside: Vec<T>,
}

impl<T> Default for Settling<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Settling<T> {
    /// So many messages up to this sequence are open, and come again by then.
    pub(super) fn begin(&self, upto: u64, missing: u64, until: Instant) {
        let mut state = self.0.lock();
        // What is aside already stays there.
        let aside = state.take().map(|state| state.aside).unwrap_or_default();
        *state = Some(State { upto, missing, until, aside });
    }

    /// A message that hasn't been here. Returns what may be posted now, in its order.
    pub(super) fn offer(&self, sequence: u64, item: T) -> Vec<T> {
        let mut settling = self.0.lock();
        let Some(state) = &mut *settling else { return vec![item] };
        if sequence > state.upto {
            state.aside.push(item);
            return Vec::new();
        }
        let mut ready = vec![item];
        state.missing = state.missing.saturating_sub(1);
        if state.missing == 0 {
            ready.extend(settling.take().into_iter().flat_map(|state| state.aside));
        }
        ready
    }

    /// A message came again that is done with. Returns what may be posted now.
    pub(super) fn returned(&self, sequence: u64) -> Vec<T> {
        let mut settling = self.0.lock();
        if let Some(state) = settling.as_mut().filter(|state| sequence <= state.upto) {
            state.missing = state.missing.saturating_sub(1);
            if state.missing == 0 {
                return settling.take().map(|state| state.aside).unwrap_or_default();
            }
        }
        Vec::new()
    }

    /// Others have done with everything up to this sequence, or the time is over: returns what may be posted then.
    pub(super) fn release(&self, floor: u64) -> Vec<T> {
        let mut settling = self.0.lock();
        let is_over = |state: &State<T>| {
            state.missing == 0 || floor >= state.upto || Instant::now() >= state.until + MARGIN
        };
        let over = settling.take_if(|state| is_over(state));
        over.map(|state| state.aside).unwrap_or_default()
    }

    /// How many messages are missing, and until when at most.
    pub(super) fn missing(&self) -> Option<(u64, Instant)> {
        let state = self.0.lock();
        state.as_ref().map(|state| (state.missing, state.until + MARGIN))
    }

    /// Wait until more may be put aside than `most`: when the old messages are all back at the server, it hands them out
    /// before others, and there has to be room for them.
    pub(super) async fn room(&self, most: usize) {
        let until = {
            let state = self.0.lock();
            let full = state.as_ref().filter(|state| state.aside.len() >= most);
            full.map(|state| state.until)
        };
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_old_goes_first() {
        let settling = Settling::default();
        assert_eq!(settling.offer(1, 1), [1]);
        settling.begin(5, 2, Instant::now() + Duration::from_secs(30));
        assert_eq!(settling.offer(6, 6), [0; 0]);
        assert_eq!(settling.offer(4, 4), [4]);
        assert_eq!(settling.offer(7, 7), [0; 0]);
        assert_eq!(settling.offer(5, 5), [5, 6, 7]);
        assert_eq!(settling.offer(8, 8), [8]);
        assert_eq!(settling.missing(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_have_done_is_not_waited_for() {
        let settling = Settling::default();
        let begin = || settling.begin(5, 1, Instant::now() + Duration::from_secs(30));
        begin();
        assert_eq!(settling.offer(6, 6), [0; 0]);
        assert_eq!(settling.release(4), [0; 0]);
        assert_eq!(settling.release(5), [6]);
        begin();
        assert_eq!(settling.offer(6, 6), [0; 0]);
        assert_eq!(settling.returned(7), [0; 0]);
        assert_eq!(settling.returned(3), [6]);
        begin();
        assert_eq!(settling.offer(6, 6), [0; 0]);
        tokio::time::advance(Duration::from_secs(36)).await;
        assert_eq!(settling.release(0), [6]);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_again_when_all_is_back() {
        let settling = Settling::default();
        settling.room(0).await;
        let began = Instant::now();
        settling.begin(5, 1, began + Duration::from_secs(30));
        settling.offer(6, 6);
        settling.room(2).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        settling.room(1).await;
        assert_eq!(began.elapsed(), Duration::from_secs(30));
    }
}
