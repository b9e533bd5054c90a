//! The streams of HTTP/2: each has a task, and a limit for how long its client may leave an answer where it is.
//!
//! A client that opens no window for a stream leaves it waiting for ever, while its connection is as well as any other.
//! So the task of a stream knows whether a part of its answer was offered, and is given up when it isn't taken in time;
//! the client is told by a reset. The library owns that task and shows nothing of it: what the body knows reaches the
//! task through a task-local value.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
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

/// Note in the task of a stream that a part of its answer was offered to the client, or has left.
pub(super) fn offered(is_offered: bool) {
    // With HTTP/1 there is no such task.
    let _ = STREAM.try_with(|stream| {
        let (_, number) = stream.get();
        let number = number.wrapping_add(1);
        stream.set((if is_offered { State::Offered(number) } else { State::Ours }, number));
    });
}

/// Whether the stream whose task runs this was given up.
pub(super) fn is_given_up() -> bool {
    STREAM.try_with(|stream| stream.get().0 == State::GivenUp).unwrap_or(false)
}

/// Starts the tasks of streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    /// How long a part of an answer may wait to be taken.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let timed = Timed { stream: Some(stream), limit: self.limit, waiting: None };
        tokio::spawn(STREAM.scope(Cell::new((State::Ours, 0)), timed));
    }
}

pin_project! {
    struct Timed<F> {
        #[pin]
        stream: Option<F>,
        limit: Duration,
        // For the part of this number.
        waiting: Option<(u32, Pin<Box<Sleep>>)>,
    }
}

impl<F: Future<Output = ()>> Future for Timed<F> {
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
