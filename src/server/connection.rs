//! One connection: serving what its client asks, and its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use futures_util::future::poll_fn;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::read_timeout::ReadTimeout;
use super::requests::{OpenRequest, Requests, ResponseBody};
use super::shutdown::{QUIET_PERIOD, Shutdown, Stage};
use super::streams::{StreamExecutor, Streams};
use super::write_timeout::WriteTimeout;
use super::{Settings, Timeouts};
use crate::message::Client;

/// Largest head of a request, in bytes; over it: 431.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;

/// Tells a client with HTTP/1 that its connection ends with a response.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What the connections of one listener share.
pub(super) struct Server {
    pub(super) settings: Settings,
    pub(super) shutdown: Arc<Shutdown>,
}

impl Server {
    /// Hand a request to the router. The caller awaits the response.
    fn respond(
        &self,
        request: Request<Incoming>,
        requests: &Arc<Requests>,
        client: Client,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
        let version = request.version();
        let is_http2 = version == Version::HTTP_2;
        let open = OpenRequest::new(requests, is_http2);
        let (handler, request) = (self.settings.handler.clone(), request.map(Body::new));
        async move {
            // Begun in here: a future that is handed in takes its place twice, and hyper moves all of it.
            let mut response = handler.handle(request, client).await;
            if open.answered() && !is_http2 {
                response.headers_mut().insert(header::CONNECTION, CLOSE);
                // Or hyper would offer to keep the connection to those that have asked for it in HTTP/1.0.
                *response.version_mut() = version;
            }
            Ok(response.map(|body| ResponseBody::new(body, open, is_http2)))
        }
    }

    /// Serve a connection in a task of its own. From here on shutdown waits for it.
    pub(super) fn spawn(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        // Only a socket that is already gone refuses this.
        let _ = stream.set_nodelay(true);
        let client = Client::new(peer.ip());
        let connection = HttpConnection {
            server: self.clone(),
            stage: self.shutdown.watch(),
            requests: Arc::new(Requests::new(self.shutdown.clone(), client.hang_up.clone())),
            client,
        };
        tokio::spawn(async move {
            connection.run(stream).await;
            drop(slot);
        });
    }
}

/// One connection.
struct HttpConnection {
    server: Arc<Server>,
    stage: watch::Receiver<Stage>,
    requests: Arc<Requests>,
    client: Client,
}

impl HttpConnection {
    async fn run(mut self, stream: TcpStream) {
        let Settings { tls, timeouts, .. } = &self.server.settings;
        let stream = WriteTimeout::new(stream, timeouts.write, self.requests.clone());
        let Some(tls) = tls.clone() else { return self.serve(stream).await };
        let handshake = tokio::select! {
            handshake = timeout(timeouts.head, tls.accept(stream)) => handshake,
            // It has asked for nothing yet.
            _ = self.stage.wait_for(|stage| *stage >= Stage::Closing) => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                self.client.is_encrypted = true;
                self.client.has_certificate = stream.get_ref().1.peer_certificates().is_some();
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
        let Self { server, mut stage, requests, client } = self;
        let Settings { timeouts, handler, .. } = &server.settings;
        let keeps_half_open = handler.keeps_half_open();
        let stream = ReadTimeout::new(stream, *timeouts, requests.clone(), keeps_half_open);
        let socket = TokioIo::new(Box::pin(stream));
        let service = {
            let (server, requests) = (server.clone(), requests.clone());
            service_fn(move |request| server.respond(request, &requests, client.clone()))
        };
        // A little later than their connection, which ends at once where nothing is taken: that costs others less than
        // the end of each of its streams.
        let mut streams = Streams::new(timeouts.write + timeouts.write / 4);
        let http = http(*timeouts, streams.executor());
        let mut connection = pin!(http.serve_connection(socket, service));
        let (mut now, mut has_goaway) = (*stage.borrow_and_update(), false);
        loop {
            let is_silent = || has_goaway && now >= Stage::Closing && requests.is_http2();
            tokio::select! {
                // What has come is read before it is called silent.
                biased;
                ended = poll_fn(|cx| {
                    let polled = connection.as_mut().poll(cx);
                    streams.poll(cx);
                    match polled {
                        Poll::Ready(ended) => Poll::Ready(Some(ended)),
                        Poll::Pending if !has_goaway && needs_goaway(now, &requests) => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                }) => match ended {
                    Some(Ok(())) => return,
                    Some(Err(error)) => return debug!(%error, "a connection ended early"),
                    None => {
                        has_goaway = true;
                        connection.as_mut().graceful_shutdown();
                    }
                },
                changed = stage.changed() => match changed {
                    Ok(()) if *stage.borrow_and_update() < Stage::Ended => now = *stage.borrow(),
                    _ => return,
                },
                // With HTTP/2 the client has to agree to the end.
                () = sleep(QUIET_PERIOD), if is_silent() => if requests.open() == 0 { return },
            }
        }
    }
}

/// Whether it is time to tell a connection that the end has come, other than in its responses.
fn needs_goaway(stage: Stage, requests: &Requests) -> bool {
    match stage {
        Stage::Serving => false,
        // A client that has just come gets to ask first.
        Stage::Announced | Stage::Draining => requests.is_http2() && requests.count() > 0,
        // One that is about to ask hears of it with its response.
        Stage::Closing | Stage::Ended => requests.is_idle(),
    }
}

/// HTTP/1.1 or HTTP/2, as the client begins.
fn http(timeouts: Timeouts, streams: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(streams);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(timeouts.keep_alive)
        .keep_alive_timeout(timeouts.head);
    builder
}
