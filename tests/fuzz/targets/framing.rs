//! Any bytes on a connection: however they come in pieces, the same of them is spoilt, and the same requests end in them.
//! hyper, which reads what comes of it, never sees a request or a body that we didn't see end there.

#![no_main]

use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hookbus::server::framing::Framing;
use http::Response;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|bytes: &[u8]| {
    let (passed, requests) = follow(bytes);
    for size in [usize::from(bytes.first().copied().unwrap_or_default()) % 32 + 2, usize::MAX] {
        let mut framing = Framing::default();
        let mut pieces = bytes.to_vec();
        pieces.chunks_mut(size).for_each(|piece| framing.follow(piece));
        assert_eq!(pieces, passed, "in pieces of {size}");
    }
    let bodies = served(&passed);
    assert!(bodies.len() <= requests.len(), "{requests:?}");
    for (body, request) in bodies.iter().zip(requests) {
        let alone = served(&bytes[request.clone()]);
        assert_eq!(alone, std::slice::from_ref(body), "{request:?}");
    }
});

/// What is passed on, and where in it whole requests stand.
fn follow(bytes: &[u8]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut framing = Framing::default();
    let (mut passed, mut requests) = (bytes.to_vec(), Vec::new());
    let mut begin = None;
    for at in 0..passed.len() {
        framing.follow(&mut passed[at..=at]);
        match (begin, framing.is_between()) {
            (None, false) => begin = Some(at),
            (Some(from), true) => {
                requests.push(from..at + 1);
                begin = None;
            }
            _ => {}
        }
    }
    (passed, requests)
}

/// The bodies of the requests that hyper reads to their end.
fn served(bytes: &[u8]) -> Vec<Bytes> {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let bodies = bodies.clone();
        async move {
            if let Ok(body) = request.into_body().collect().await {
                bodies.lock().expect("a lock").push(body.to_bytes());
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(Wire(Bytes::copy_from_slice(bytes)), service);
    // What it refuses is an error.
    let _ = RUNTIME.block_on(connection);
    std::mem::take(&mut *bodies.lock().expect("a lock"))
}

/// A client that has sent this, and hears nothing.
struct Wire(Bytes);

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
