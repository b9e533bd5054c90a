//! The streams of HTTP/2, in the order in which their bodies are complete, each with a limit for how long its client may
//! leave an answer where it is.
//!
//! All streams of a connection run in the task of that connection: what is read from the connection wakes them in its
//! order, and they are polled in the order in which they were woken. In tasks of their own the scheduler would decide
//! which of two events of one key is stored first.
//!
//! A client that opens no window for a stream leaves it waiting for ever, while its connection is as well as any other.
//! So a stream knows whether a part of its answer was offered, and is given up when it isn't taken in time; the client
//! is told by a reset. The library owns the stream's future and shows nothing of it: what the body knows reaches it
//! through a task-local value.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep};
use tracing::debug;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is our turn.
    Ours,
    /// It is the client's, for the part of this number.
    Offered(u32),
    GivenUp,
}

tokio::task_local! {
    static STREAM: Cell<(State, u32)>;
}

/// Note in the future of a stream that a part of its answer was offered to the client, or has left.
pub(super) fn offered(is_offered: bool) {
    // With HTTP/1 there is no such thing.
    let _ = STREAM.try_with(|stream| {
        let (_, number) = stream.get();
        let number = number.wrapping_add(1);
        stream.set((if is_offered { State::Offered(number) } else { State::Ours }, number));
    });
}

/// Whether the stream whose future runs this was given up.
pub(super) fn is_given_up() -> bool {
    STREAM.try_with(|stream| stream.get().0 == State::GivenUp).unwrap_or(false)
}

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where hyper spawns the streams of a connection.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    /// How long a part of an answer may wait to be taken.
    limit: Duration,
    streams: Arc<Mutex<Vec<Stream>>>,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stream = StreamWithTimeout { stream: Some(stream), limit: self.limit, waiting: None };
        let stream = STREAM.scope(Cell::new((State::Ours, 0)), stream);
        // The budget that the runtime gives a task would run out in the middle of the streams: one of them would be put
        // behind those that happen to need nothing of it.
        self.streams.lock().push(Box::pin(unconstrained(stream)));
    }
}

/// The streams of one connection. Those that are left when this is dropped end with it.
pub(super) struct Streams {
    executor: StreamExecutor,
    running: FuturesUnordered<Stream>,
}

impl Streams {
    /// With the time that a part of an answer may wait to be taken.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            executor: StreamExecutor { limit, streams: Arc::default() },
            running: FuturesUnordered::new(),
        }
    }

    pub(super) fn executor(&self) -> StreamExecutor {
        self.executor.clone()
    }

    /// To be called after the connection was polled, in the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.running.extend(self.executor.streams.lock().drain(..));
        while let Poll::Ready(Some(())) = Pin::new(&mut self.running).poll_next(cx) {}
    }
}

pin_project! {
    struct StreamWithTimeout<F> {
        #[pin]
        stream: Option<F>,
        limit: Duration,
        // For the part of this number.
        waiting: Option<(u32, Pin<Box<Sleep>>)>,
    }
}

impl<F: Future<Output = ()>> Future for StreamWithTimeout<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let State::Offered(number) = STREAM.with(Cell::get).0 else {
            *this.waiting = None;
            return Poll::Pending;
        };
        let waiting = this.waiting.take().filter(|(known, _)| *known == number);
        let (_, limit) =
            this.waiting.insert(waiting.unwrap_or_else(|| (number, Box::pin(sleep(*this.limit)))));
        if limit.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        debug!("an answer over HTTP/2 was not taken in time");
        STREAM.with(|stream| stream.set((State::GivenUp, number)));
        // Here, where it is known to be given up.
        this.stream.set(None);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_knows_whether_it_was_given_up() {
        let is_given_up_as = |state| STREAM.sync_scope(Cell::new((state, 0)), is_given_up);
        assert!(is_given_up_as(State::GivenUp));
        assert!(!is_given_up_as(State::Ours) && !is_given_up_as(State::Offered(1)));
        assert!(!is_given_up());
    }
}
