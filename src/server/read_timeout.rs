//! How long a connection may be silent, whatever it is silent about.
//!
//! hyper's own header timeout can't tell a connection that waits for its next request from one that sends a head too
//! slowly, and isn't running while the protocol is being guessed. So reading from the connection is under the
//! [`Timeouts`]: while no request is open they count for the next one, and while all that is open waits for the client to
//! take its answers, they count for those.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::Timeouts;
use super::framing::Framing;
use super::requests::Requests;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its first byte.
    First,
    /// The rest of a head.
    Head,
    /// The next request.
    Idle,
    /// The end of a request, which has limits of its own; or the socket, which has one too.
    Busy,
    /// The client, which has taken something so many times.
    Offered(usize),
}

pin_project! {
    /// A socket, or what TLS makes of one, whose reads fail when the client is silent for too long.
    #[derive(Debug)]
    pub(super) struct ReadTimeout<S> {
        #[pin]
        stream: S,
        #[pin]
        limit: Sleep,
        timeouts: Timeouts,
        requests: Arc<Requests>,
        seen: usize,
        phase: Phase,
        keeps_half_open: bool,
        framing: Framing,
    }
}

impl<S> ReadTimeout<S> {
    /// With `keeps_half_open`, a client that shuts down its writing half behind a whole request is waited for: it may
    /// still read its answer. Else it has hung up.
    pub(super) fn new(
        stream: S,
        timeouts: Timeouts,
        requests: Arc<Requests>,
        keeps_half_open: bool,
    ) -> Self {
        Self {
            stream,
            limit: sleep(timeouts.head),
            timeouts,
            requests,
            seen: 0,
            phase: Phase::First,
            keeps_half_open,
            framing: Framing::default(),
        }
    }
}

impl<S: AsyncRead> AsyncRead for ReadTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.as_mut().poll_timed(cx, buffer);
        let this = self.project();
        this.framing.follow(&mut buffer.filled_mut()[before..]);
        let has_ended = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            // TLS without its own word for the end.
            Poll::Ready(Err(error)) => error.kind() == io::ErrorKind::UnexpectedEof,
            Poll::Pending => false,
        };
        if has_ended
            && *this.keeps_half_open
            && this.framing.is_between()
            && this.requests.open() > 0
        {
            // It is read once more when the last request ends, which wakes this reader.
            this.requests.hang_up.tell();
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncRead> ReadTimeout<S> {
    fn poll_timed(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut this = self.project();
        let requests = &**this.requests;
        // Registered before it is looked at, so that the end of the last request can't be missed.
        requests.register(cx);
        if let Some(taken) = requests.waits_for_client() {
            if *this.phase != Phase::Offered(taken) {
                *this.phase = Phase::Offered(taken);
                this.limit.as_mut().reset(Instant::now() + this.timeouts.write);
            }
        } else if requests.open() > 0 || requests.is_stalled() {
            *this.phase = Phase::Busy;
            return this.stream.poll_read(cx, buffer);
        } else if requests.has_given_up() {
            return Poll::Ready(Err(late("the client doesn't take its answers")));
        } else {
            let count = requests.count();
            let was_busy = matches!(this.phase, Phase::Busy | Phase::Offered(_));
            if was_busy || *this.seen != count {
                *this.seen = count;
                *this.phase = Phase::Idle;
                requests.set_idle(true);
                this.limit.as_mut().reset(Instant::now() + this.timeouts.keep_alive);
            }
        }
        let before = buffer.filled().len();
        match this.stream.poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let read = &buffer.filled()[before..];
                match *this.phase {
                    Phase::First if read.starts_with(b"PRI") => {
                        // The preface of HTTP/2 is not a request: its frames keep no time of their own.
                        requests.set_http2();
                        *this.phase = Phase::Idle;
                        this.limit.as_mut().reset(Instant::now() + this.timeouts.keep_alive);
                    }
                    Phase::First | Phase::Idle if !requests.is_http2() && !read.is_empty() => {
                        *this.phase = Phase::Head;
                        requests.set_idle(false);
                        this.limit.as_mut().reset(Instant::now() + this.timeouts.head);
                    }
                    _ => {}
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                if *this.phase == Phase::First {
                    requests.set_idle(true);
                }
                ready!(this.limit.poll(cx));
                Poll::Ready(Err(late("the client is silent for too long")))
            }
        }
    }
}

fn late(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncWrite> AsyncWrite for ReadTimeout<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
