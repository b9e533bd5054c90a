//! Connections: accepting them, serving what they ask, and their end.
//!
//! The parts: what is known of the requests of a connection (`requests`), the clocks of reading (`watched`), of
//! writing (`paced`) and of the streams of HTTP/2 (`streams`), and the way to the end (`shutdown`).

mod paced;
mod requests;
mod shutdown;
mod streams;
mod watched;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::poll_fn;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_service::Service;
use tracing::{debug, warn};

use self::paced::Paced;
use self::requests::{Answer, Open, Requests};
pub use self::shutdown::Shutdown;
use self::shutdown::{QUIET, Stage};
use self::streams::{Begun, Streams};
use self::watched::Watched;
use crate::activity::Followed;
use crate::auth::Peer;
use crate::tls;

/// Largest head of a request, in bytes; over it: 431.
const HEAD: usize = 64 << 10;

/// Requests that one HTTP/2 connection may have open.
const STREAMS: u32 = 256;

/// Connections that the kernel holds for us.
const BACKLOG: i32 = 4_096;

/// What tells a client with HTTP/1 that its connection ends with a response.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Pause after an accept that failed for lack of something, such as file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The time limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For the first byte of a connection, and from the first byte of a request for its whole head.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// For a client to take something of what is written to it.
    pub write: Duration,
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

/// What a listener serves, and how.
#[derive(Clone)]
pub struct Settings {
    /// TLS, if it speaks it.
    pub tls: Option<Arc<tls::Server>>,
    /// Who answers.
    pub router: Router,
    /// Time limits.
    pub clock: Clock,
    /// How many connections it has at a time.
    pub most: usize,
    /// While it holds, each request says where it comes from.
    pub wants_peers: Arc<AtomicBool>,
    /// With it, a client that shuts down its writing half behind its request gets its answer, and those who follow are
    /// told of those who hang up. Without it, such a client has hung up.
    pub senders: Option<Followed>,
}

/// Accept until `shutdown` drains. What is open then is served to its end.
pub async fn serve(listener: TcpListener, settings: Settings, shutdown: Arc<Shutdown>) {
    let places = Arc::new(Semaphore::new(settings.most.min(Semaphore::MAX_PERMITS)));
    let listening = Arc::new(Listening { settings, shutdown });
    let mut stage = listening.shutdown.watch();
    let draining = async {
        // The sender is ours: it outlives this.
        let _ = stage.wait_for(|stage| *stage >= Stage::Draining).await;
    };
    let mut draining = pin!(draining);
    loop {
        let accept = async {
            // The semaphore is never closed: there is always a place, or a wait for one.
            let place = places.clone().acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            () = &mut draining => break,
        };
        match accepted {
            Ok((stream, peer)) => listening.begin(stream, peer, place),
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(BREATH).await;
            }
        }
    }
    // Those whom the kernel has let in already would be cut off with the listener.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok(place) = places.clone().try_acquire_owned()
        && let Ok((stream, peer)) = listener.accept()
        && stream.set_nonblocking(true).is_ok()
        && let Ok(stream) = TcpStream::from_std(stream)
    {
        listening.begin(stream, peer, Some(place));
    }
}

/// HTTP/1.1 or HTTP/2, as the client begins.
fn http(clock: Clock, streams: Begun) -> auto::Builder<Begun> {
    let mut builder = auto::Builder::new(streams);
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

/// What the connections of one listener have in common.
struct Listening {
    settings: Settings,
    shutdown: Arc<Shutdown>,
}

impl Listening {
    /// Have a request answered. Nothing of this is waited for here.
    fn ask(
        &self,
        mut request: Request<Incoming>,
        requests: &Arc<Requests>,
        peer: Peer,
        is_certified: bool,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
        let version = request.version();
        let is_http2 = version == Version::HTTP_2;
        let open = Open::new(requests, is_http2);
        let Settings { router, wants_peers, senders, .. } = &self.settings;
        let extensions = request.extensions_mut();
        if wants_peers.load(Ordering::Acquire) {
            extensions.insert(peer);
        }
        if is_certified {
            extensions.insert(Certified);
        }
        if senders.as_ref().is_some_and(Followed::now) {
            extensions.insert(requests.hang_up.clone());
        }
        let response = router.clone().call(request.map(Body::new));
        async move {
            let mut response = response.await?;
            if open.answered() && !is_http2 {
                response.headers_mut().insert(header::CONNECTION, CLOSE);
                // Or hyper would offer to keep the connection to those that have asked for it in HTTP/1.0.
                *response.version_mut() = version;
            }
            Ok(response.map(|body| Answer::new(body, open, is_http2)))
        }
    }

    /// Serve a connection in a task of its own. It is counted among those that the end waits for from here on.
    fn begin(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Option<OwnedSemaphorePermit>,
    ) {
        // Only a socket that is already gone refuses this.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            listening: self.clone(),
            stage: self.shutdown.watch(),
            requests: Arc::new(Requests::new(self.shutdown.clone())),
            peer: Peer(peer.ip()),
            is_certified: false,
        };
        tokio::spawn(async move {
            connection.run(stream).await;
            drop(place);
        });
    }
}

/// One connection.
struct Connection {
    listening: Arc<Listening>,
    stage: watch::Receiver<Stage>,
    requests: Arc<Requests>,
    peer: Peer,
    is_certified: bool,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        let Settings { tls, clock, .. } = &self.listening.settings;
        let stream = Paced::new(stream, clock.write, self.requests.clone());
        let Some(tls) = tls.clone() else { return self.serve(stream).await };
        let shaken = tokio::select! {
            shaken = timeout(clock.head, tls.accept(stream)) => shaken,
            // It has asked for nothing yet.
            _ = self.stage.wait_for(|stage| *stage >= Stage::Closing) => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                self.is_certified = stream.get_ref().1.peer_certificates().is_some();
                self.serve(stream).await;
            }
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
    }

    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Self { listening, mut stage, requests, peer, is_certified } = self;
        let Settings { clock, senders, .. } = &listening.settings;
        let watched = Watched::new(stream, *clock, requests.clone(), senders.is_some());
        let socket = TokioIo::new(Box::pin(watched));
        let service = {
            let (listening, requests) = (listening.clone(), requests.clone());
            service_fn(move |request| listening.ask(request, &requests, peer, is_certified))
        };
        // A little later than their connection, which ends at once where nothing is taken: that costs others less than
        // the end of each of its streams.
        let mut streams = Streams::new(clock.write + clock.write / 4);
        let http = http(*clock, streams.begun());
        let mut connection = pin!(http.serve_connection(socket, service));
        let (mut now, mut is_told) = (*stage.borrow_and_update(), false);
        loop {
            let is_silent = || is_told && now >= Stage::Closing && requests.is_http2();
            tokio::select! {
                // What has come is read before it is called silent.
                biased;
                ended = poll_fn(|cx| {
                    let polled = connection.as_mut().poll(cx);
                    streams.poll(cx);
                    match polled {
                        Poll::Ready(ended) => Poll::Ready(Some(ended)),
                        Poll::Pending if !is_told && must_be_told(now, &requests) => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                }) => match ended {
                    Some(Ok(())) => return,
                    Some(Err(error)) => return debug!(%error, "a connection ended early"),
                    None => {
                        is_told = true;
                        connection.as_mut().graceful_shutdown();
                    }
                },
                changed = stage.changed() => match changed {
                    Ok(()) if *stage.borrow_and_update() < Stage::Ended => now = *stage.borrow(),
                    _ => return,
                },
                // With HTTP/2 the client has to agree to the end.
                () = sleep(QUIET), if is_silent() => if requests.open() == 0 { return },
            }
        }
    }
}

/// Whether it is time to tell a connection that the end has come, other than in its responses.
fn must_be_told(stage: Stage, requests: &Requests) -> bool {
    match stage {
        Stage::Serving => false,
        // A client that has just come gets to ask first.
        Stage::Announced | Stage::Draining => requests.is_http2() && requests.begun() > 0,
        // One that is about to ask hears of it with its response.
        Stage::Closing | Stage::Ended => requests.is_resting(),
    }
}

/// Errors of a connection that ended before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
