//! Connections: accepting them, their time limits, and their end.
//!
//! hyper's own header timeout can't tell a connection that waits for its next request from
//! one that sends a head too slowly, and isn't running while the protocol is being guessed.
//! Therefore the socket is wrapped: whoever reads from it while no request is being handled
//! is under the clock of [`Clock`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use pin_project_lite::pin_project;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower_service::Service;
use tracing::{debug, warn};

use super::framing::Framing;
use crate::auth::Peer;
use crate::tls;

/// Largest head of a request, in bytes; over it: 431.
const HEAD: usize = 64 << 10;

/// Requests that one HTTP/2 connection may have open.
const STREAMS: u32 = 256;

/// Connections that the kernel holds for us.
const BACKLOG: i32 = 4_096;

/// Pause after an accept that failed for lack of something, such as file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The time limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For the first byte of a connection, and from the first byte of a request for its whole head.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
}

/// A socket that listens on `address`.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A request over a connection whose other end has shown a certificate that we trust, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub struct Certified;

/// Accept until `stop`, at most `most` connections at a time. While `wants_peers` holds, each request says where it comes from. What is open in the end is left to the returned value to end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<tls::Server>>,
    router: Router,
    wants_peers: Arc<AtomicBool>,
    clock: Clock,
    most: usize,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let http = Arc::new(http(clock));
    // Its end tells those that are still shaking hands: they have asked for nothing yet.
    let (_accepting, accepting) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accept = async {
            // The semaphore is never closed: there is always a place, or a wait for one.
            let place = places.clone().acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            () = &mut stop => return graceful,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_the_peers(&error) {
                    warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(BREATH).await;
                }
                continue;
            }
        };
        // Only a socket that is already gone refuses this.
        let _ = stream.set_nodelay(true);
        let mut connection = Connection {
            http: http.clone(),
            router: router.clone(),
            clock,
            end: graceful.watcher(),
            peer: Peer(peer.ip()),
            wants_peers: wants_peers.clone(),
            is_certified: false,
        };
        match tls.clone() {
            None => {
                tokio::spawn(async move {
                    connection.serve(stream).await;
                    drop(place);
                });
            }
            Some(tls) => {
                let mut accepting = accepting.clone();
                tokio::spawn(async move {
                    let shaken = tokio::select! {
                        shaken = timeout(clock.head, tls.accept(stream)) => shaken,
                        _ = accepting.changed() => return,
                    };
                    match shaken {
                        Ok(Ok(stream)) => {
                            connection.is_certified =
                                stream.get_ref().1.peer_certificates().is_some();
                            connection.serve(stream).await;
                        }
                        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                        Err(_) => debug!("a TLS handshake took too long"),
                    }
                    drop(place);
                });
            }
        }
    }
}

/// HTTP/1.1 or HTTP/2, as the client begins.
fn http(clock: Clock) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32)
        .keep_alive_interval(clock.keep_alive)
        .keep_alive_timeout(clock.head);
    builder
}

/// What one connection is served with.
struct Connection {
    http: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    clock: Clock,
    end: Watcher,
    peer: Peer,
    wants_peers: Arc<AtomicBool>,
    is_certified: bool,
}

impl Connection {
    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Self { http, router, clock, end, peer, wants_peers, is_certified } = self;
        let requests = Arc::new(Requests::default());
        let socket = TokioIo::new(Box::pin(Watched::new(stream, clock, requests.clone())));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let guard = Open::new(&requests);
            if wants_peers.load(Ordering::Acquire) {
                request.extensions_mut().insert(peer);
            }
            if is_certified {
                request.extensions_mut().insert(Certified);
            }
            let response = router.clone().call(request.map(Body::new));
            async move {
                response
                    .await
                    .map(|response: Response<Body>| response.map(|body| Guarded { body, guard }))
            }
        });
        let connection = end.watch(http.serve_connection(socket, service).into_owned());
        if let Err(error) = connection.await {
            debug!(%error, "a connection ended early");
        }
    }
}

/// Errors of a connection that ended before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The requests of one connection.
#[derive(Debug, Default)]
struct Requests {
    /// How many are being handled.
    open: AtomicUsize,
    /// How many there ever were.
    begun: AtomicUsize,
    /// Whoever reads from the connection: while a request is open no clock would wake it.
    reader: AtomicWaker,
}

/// A request that is being handled, from its head to the end of its response.
struct Open(Arc<Requests>);

impl Open {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.open.fetch_add(1, Ordering::AcqRel);
        requests.begun.fetch_add(1, Ordering::Relaxed);
        Self(requests.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.reader.wake();
        }
    }
}

pin_project! {
    /// A response body that keeps its request open.
    struct Guarded {
        #[pin]
        body: Body,
        guard: Open,
    }
}

impl http_body::Body for Guarded {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// What a connection is waiting for while no request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its first byte.
    First,
    /// The rest of a head.
    Head,
    /// The next request.
    Idle,
}

pin_project! {
    /// A socket under the clock, or what TLS makes of one.
    struct Watched<S> {
        #[pin]
        stream: S,
        #[pin]
        limit: Sleep,
        clock: Clock,
        requests: Arc<Requests>,
        seen: usize,
        phase: Phase,
        is_http2: bool,
        framing: Framing,
    }
}

impl<S> Watched<S> {
    fn new(stream: S, clock: Clock, requests: Arc<Requests>) -> Self {
        Self {
            stream,
            limit: sleep(clock.head),
            clock,
            requests,
            seen: 0,
            phase: Phase::First,
            is_http2: false,
            framing: Framing::default(),
        }
    }
}

impl<S: AsyncRead> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.as_mut().poll_timed(cx, buffer);
        self.project().framing.follow(&mut buffer.filled_mut()[before..]);
        read
    }
}

impl<S: AsyncRead> Watched<S> {
    fn poll_timed(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut this = self.project();
        // Registered before it is looked at, so that the end of the last request can't be missed.
        this.requests.reader.register(cx.waker());
        if this.requests.open.load(Ordering::Acquire) > 0 {
            return this.stream.poll_read(cx, buffer);
        }
        let begun = this.requests.begun.load(Ordering::Relaxed);
        if *this.seen != begun {
            *this.seen = begun;
            *this.phase = Phase::Idle;
            this.limit.as_mut().reset(Instant::now() + this.clock.keep_alive);
        }
        let before = buffer.filled().len();
        match this.stream.poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let read = &buffer.filled()[before..];
                match *this.phase {
                    Phase::First if read.starts_with(b"PRI") => {
                        // The preface of HTTP/2 is not a request: its frames keep no time of their own.
                        *this.is_http2 = true;
                        *this.phase = Phase::Idle;
                        this.limit.as_mut().reset(Instant::now() + this.clock.keep_alive);
                    }
                    Phase::First | Phase::Idle if !*this.is_http2 && !read.is_empty() => {
                        *this.phase = Phase::Head;
                        this.limit.as_mut().reset(Instant::now() + this.clock.head);
                    }
                    _ => {}
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.limit.poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncWrite> AsyncWrite for Watched<S> {
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
