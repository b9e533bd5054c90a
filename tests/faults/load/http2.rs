//! An HTTP/2 connection that comes back when it was cut.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::connection::results;
use super::sender::{Open, Post};
use crate::history::{Answer, Clock};
use crate::webhook::Webhook;

pub(super) struct Connection {
    post: Arc<Post>,
    sender: Option<SendRequest<Once>>,
    opened: Duration,
}

impl Connection {
    pub(super) fn new(post: Arc<Post>) -> Connection {
        Connection { post, sender: None, opened: Duration::ZERO }
    }

    /// When it was made. That it has ended since may not be known here yet.
    pub(super) fn opened(&self) -> Duration {
        self.opened
    }

    /// Puts a request on its way, behind those before it. Gives its answer, and tells when its body was taken.
    pub(super) fn send(
        &mut self,
        webhook: &Webhook,
    ) -> Option<(Arc<OnceLock<Duration>>, impl Future<Output = io::Result<Answer>> + use<>)> {
        let taken = Arc::new(OnceLock::new());
        let body = Once {
            bytes: Some(webhook.bytes().into()),
            clock: self.post.clock,
            taken: taken.clone(),
        };
        let mut request = Request::post(format!("http://test{}", self.post.path))
            .header(header::CONTENT_TYPE, "application/json");
        if webhook.is_compressed {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        let request = request.body(body).expect("a request");
        let response = self.sender.as_mut()?.send_request(request);
        let answer = async move {
            let (head, body) = response.await.map_err(io::Error::other)?.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let id = head.headers.get("hookbus-id").and_then(|id| id.to_str().ok());
            Ok(Answer {
                status: head.status.as_u16(),
                id: id.map(str::to_owned),
                results: results(&body),
            })
        };
        Some((taken, answer))
    }
}

impl Open for Connection {
    async fn open(&mut self) -> io::Result<()> {
        if self.sender.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return Ok(());
        }
        let opened = self.post.clock.now();
        let stream = TcpStream::connect(&self.post.address).await?;
        stream.set_nodelay(true)?;
        let shake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shake.map_err(io::Error::other)?;
        tokio::spawn(connection);
        self.sender = Some(sender);
        self.opened = opened;
        Ok(())
    }
}

/// A body in one piece, that notes when it was taken to be written.
struct Once {
    bytes: Option<Bytes>,
    clock: Clock,
    taken: Arc<OnceLock<Duration>>,
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            let _ = self.taken.set(self.clock.now());
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
