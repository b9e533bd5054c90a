//! What is under way at the same time, bounded in number and bytes.

use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Futures that run together, each for some bytes that it holds in memory.
pub(super) struct Running<T> {
    futures: FuturesUnordered<Boxed<(usize, T)>>,
    /// Of all of them.
    bytes: usize,
}

impl<T> Default for Running<T> {
    fn default() -> Self {
        Self { futures: FuturesUnordered::new(), bytes: 0 }
    }
}

impl<T: 'static> Running<T> {
    pub(super) fn len(&self) -> usize {
        self.futures.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// Whether one more of this size may begin. One alone may always, however large it is.
    pub(super) fn has_room(&self, size: usize, max: usize, max_bytes: usize) -> bool {
        self.is_empty() || self.len() < max && self.bytes + size <= max_bytes
    }

    pub(super) fn start(&mut self, bytes: usize, future: impl Future<Output = T> + Send + 'static) {
        self.bytes += bytes;
        self.futures.push(Box::pin(async move { (bytes, future.await) }));
    }

    /// What the next of them comes to; nothing if there is none.
    pub(super) async fn next(&mut self) -> Option<T> {
        let (bytes, result) = self.futures.next().await?;
        self.bytes -= bytes;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn room_is_taken_and_given_back() {
        let mut running = Running::default();
        assert!(running.has_room(1_000, 2, 10), "one alone may be of any size");
        running.start(8, ready("a"));
        assert!(running.has_room(2, 2, 10) && !running.has_room(3, 2, 10), "bytes are bounded");
        running.start(2, ready("b"));
        assert!(!running.has_room(0, 2, 10), "so is the number");
        running.start(0, pending());
        let mut ended = [running.next().await, running.next().await];
        ended.sort_unstable();
        assert_eq!((ended, running.len()), ([Some("a"), Some("b")], 1));
        assert!(running.has_room(10, 2, 10) && !running.has_room(11, 2, 10), "all of it is back");
    }

    #[tokio::test]
    async fn where_nothing_runs_nothing_comes() {
        let mut running = Running::<()>::default();
        assert_eq!((running.next().await, running.is_empty()), (None, true));
    }
}
