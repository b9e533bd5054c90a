//! The requests of one connection: how many are open, and which of them only wait for the client to take their answers.
//!
//! With HTTP/1 an answer that isn't read keeps bytes waiting at the socket, where [`WriteTimeout`](super::write_timeout::WriteTimeout) sees
//! them. With HTTP/2 the client decides how much it takes of each answer, and nothing waits at the socket: there, the
//! parts of an answer are followed until they are written ([`Chunk`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::shutdown::Shutdown;
use super::streams;
use crate::message::HangUp;

/// What is known of the requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    shutdown: Arc<Shutdown>,
    /// How many are being handled, or have parts of their answers on the way.
    open: AtomicUsize,
    /// How many there were in all.
    count: AtomicUsize,
    /// How many of the open ones wait for nothing but the client (HTTP/2).
    offered: AtomicUsize,
    /// Counts on whenever the client takes something of an answer (HTTP/2).
    taken: AtomicUsize,
    /// What `taken` was when an answer was given up, since the client took nothing at all meanwhile (HTTP/2).
    given_up_at: AtomicUsize,
    /// The socket takes nothing.
    is_stalled: AtomicBool,
    /// Nothing of a next request has come.
    is_idle: AtomicBool,
    is_http2: AtomicBool,
    /// The task that reads from the connection: while a request is open no timer would wake it.
    reader: AtomicWaker,
    /// Told when the sender sends nothing any more, while it may still wait for an answer.
    pub(super) hang_up: Arc<HangUp>,
}

impl Requests {
    pub(super) fn new(shutdown: Arc<Shutdown>, hang_up: Arc<HangUp>) -> Self {
        Self {
            shutdown,
            open: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            offered: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            given_up_at: AtomicUsize::new(usize::MAX),
            is_stalled: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            hang_up,
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How often the client has taken something, if all that is open waits for it to take more.
    pub(super) fn waits_for_client(&self) -> Option<usize> {
        let open = self.open();
        let waits = open > 0 && self.offered.load(Ordering::Acquire) >= open;
        waits.then(|| self.taken())
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether an answer was given up, and the client has taken nothing since it was offered.
    pub(super) fn has_given_up(&self) -> bool {
        self.given_up_at.load(Ordering::Acquire) == self.taken()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
        self.reader.wake();
    }

    /// Whether no request is open, and nothing of a next one has come.
    pub(super) fn is_idle(&self) -> bool {
        self.open() == 0 && (self.is_http2() || self.is_idle.load(Ordering::Relaxed))
    }

    pub(super) fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    pub(super) fn set_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Wake this reader when the state of the requests changes.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    fn enter(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    fn leave(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.reader.wake();
        }
    }

    fn offer(&self) {
        let offered = self.offered.fetch_add(1, Ordering::AcqRel) + 1;
        if offered >= self.open() {
            self.reader.wake();
        }
    }

    fn take_back(&self) {
        self.offered.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that is being handled, from its head to the end of its response.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Requests>);

impl OpenRequest {
    pub(super) fn new(requests: &Arc<Requests>, is_http2: bool) -> Self {
        requests.enter();
        requests.count.fetch_add(1, Ordering::Relaxed);
        if is_http2 {
            requests.set_http2();
        }
        if requests.shutdown.is_announced() {
            requests.shutdown.record_activity();
        }
        Self(requests.clone())
    }

    /// There is a response. Returns whether the connection should end with it.
    pub(super) fn answered(&self) -> bool {
        let shutdown = &self.0.shutdown;
        let is_last = shutdown.is_announced();
        if is_last {
            shutdown.record_activity();
        }
        is_last
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// An open request whose answer waits for the client, until this is dropped.
#[derive(Debug)]
struct Offered {
    requests: Arc<Requests>,
    /// What the client had taken by then.
    taken: usize,
}

impl Offered {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.offer();
        Self { requests: requests.clone(), taken: requests.taken() }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if streams::is_given_up() {
            self.requests.given_up_at.store(self.taken, Ordering::Release);
        }
        self.requests.take_back();
    }
}

pin_project! {
    /// A response body that keeps its request open.
    #[derive(Debug)]
    pub(super) struct ResponseBody {
        #[pin]
        body: Body,
        // Dropped in this order: what is no longer open can't wait either.
        offered: Option<Offered>,
        open: OpenRequest,
        is_http2: bool,
    }
}

impl ResponseBody {
    pub(super) fn new(body: Body, open: OpenRequest, is_http2: bool) -> Self {
        Self { body, offered: None, open, is_http2 }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Chunk;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, axum::Error>>> {
        let this = self.project();
        // A connection that asks for the next part has written the one before.
        if this.offered.take().is_some() {
            streams::offered(false);
        }
        let requests = &this.open.0;
        let polled = this.body.poll_frame(cx);
        polled.map_ok(|frame| {
            let is_offered = *this.is_http2 && frame.is_data();
            if is_offered {
                *this.offered = Some(Offered::new(requests));
                streams::offered(true);
            }
            let pending = is_offered.then(|| PendingChunk::new(requests));
            frame.map_data(|bytes| Chunk { bytes, pending })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A part of an answer on its way to the client.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    pending: Option<PendingChunk>,
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [io::IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(into)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(PendingChunk(requests)) = &self.pending {
            requests.taken.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(PendingChunk(requests)) = &self.pending {
            requests.taken.fetch_add(1, Ordering::AcqRel);
        }
        self.bytes.copy_to_bytes(count)
    }
}

/// Keeps a request open, as one that waits for the client, until its part is written or thrown away: the library has
/// buffers of its own, in which parts wait long after their response was handled.
#[derive(Debug)]
struct PendingChunk(Arc<Requests>);

impl PendingChunk {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.enter();
        requests.offer();
        Self(requests.clone())
    }
}

impl Drop for PendingChunk {
    fn drop(&mut self) {
        self.0.take_back();
        self.0.leave();
    }
}

#[cfg(test)]
mod tests;
