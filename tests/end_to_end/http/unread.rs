//! Clients that read nothing of what is written to them. Whatever they do, their connections end after
//! `write_timeout`, on both listeners, and others find a place; one that reads slowly is left alone.

use super::frames::{DATA, END, Frames, HEADERS, RESET, WINDOW_UPDATE};
use super::held::Held;
use super::wire::post;
use super::{event, open, question};
use crate::support::http::Client;
use crate::support::{Authority, Bridge, Nats, eventually, nats, sample};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

const WRITE: Duration = Duration::from_secs(1);

/// Room for a machine that is busy; far below `keep_alive`.
const SLACK: Duration = Duration::from_secs(15);

/// So many clients read nothing, and so many connections there may be.
const CLIENTS: usize = 3;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An endpoint whose question has a large answer at once, so that buffers are soon full.
pub(super) fn large(name: &str) -> String {
    let rule = "[[endpoint.question]]\ntypes = [\"assistant-request\"]\n";
    format!("{}{rule}fallback = {{ assistantId = \"{}\" }}\n", open(name), "x".repeat(64 << 10))
}

async fn start(nats: &Nats, name: &str, http: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    let config = format!(
        "[http]\nlisten = \"{{http}}\"\nmax_connections = {CLIENTS}\nwrite_timeout = \"1s\"\n{http}\n{}",
        large(name)
    );
    Bridge::config(&config).nats(nats).start_ready().await
}

/// A connection whose buffer is soon full.
pub(super) async fn narrow(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// Asks again and again, until the other side takes nothing more, since nobody reads its answers.
pub(super) async fn stall(stream: &mut dyn Stream, request: &str) {
    let requests = request.repeat(100);
    let began = Instant::now();
    while let Ok(Ok(_)) =
        timeout(Duration::from_millis(500), stream.write(requests.as_bytes())).await
    {
        assert!(began.elapsed() < Duration::from_secs(60), "it is always read from");
    }
}

/// Each connection is a file.
fn files(bridge: &Bridge) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", bridge.id())).expect("a process of Linux").count()
}

/// Waits until no more files are open than before.
async fn all_closed(bridge: &Bridge, before: usize) {
    eventually("the end of all connections", WRITE + SLACK, async || {
        (files(bridge) <= before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "unread", "").await;
    let before = files(&bridge);
    let mut stuck = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = narrow(&bridge.address()).await;
        stall(&mut stream, &post("/unread", &question("assistant-request"))).await;
        stuck.push(stream);
    }
    // All places were taken.
    let answer = bridge.post("/unread", event("beside"), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.elapsed < WRITE + SLACK, "{:?}", answer.elapsed);
    // That of this client may stay.
    all_closed(&bridge, before + 1).await;
}

#[tokio::test]
async fn pipelined_requests_over_tls() {
    let (Some(nats), Some(authority)) = (nats::shared().await, Authority::new("test authority"))
    else {
        return;
    };
    let identity = authority.sign("server");
    let tls = identity.section("http.tls", ["cert", "key"]);
    nats.create_stream("unread-tls", &["unread-tls.events.>"]).await;
    let config = format!(
        "[http]\nlisten = \"{{http}}\"\nmax_connections = {CLIENTS}\nwrite_timeout = \"1s\"\n{tls}\n{}",
        large("unread-tls")
    );
    let client = Client::trusting(&authority.cert(), None);
    let bridge = Bridge::config(&config).nats(nats).client(client).start_ready().await;
    let before = files(&bridge);
    let mut stuck = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = secure(&authority, narrow(&bridge.address()).await).await;
        stall(&mut stream, &post("/unread-tls", &question("assistant-request"))).await;
        stuck.push(stream);
    }
    let answer = bridge.post("/unread-tls", event("beside"), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.elapsed < WRITE + SLACK, "{:?}", answer.elapsed);
    all_closed(&bridge, before + 1).await;
}

/// TLS over a connection.
pub(super) async fn secure(
    authority: &Authority,
    stream: TcpStream,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authority.cert()).unwrap();
    roots.add_parsable_certificates(certificates.map(Result::unwrap));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// With no window nothing waits at the socket, and with a small one not even at the stream.
#[tokio::test]
async fn http2_windows_that_stay_shut() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "windows", "").await;
    for window in [0, 1] {
        let mut stuck = Vec::new();
        for _ in 0..CLIENTS {
            let mut frames = Frames::open(&bridge.address(), window).await;
            let mut last = 0;
            for _ in 0..5 {
                last = frames.post("/windows", &event("c")).await;
            }
            frames.find(HEADERS, last).await;
            stuck.push(frames);
        }
        let began = Instant::now();
        for frames in stuck {
            frames.end().await;
        }
        let took = began.elapsed();
        assert!(took < WRITE + SLACK, "a window of {window}: after {took:?}");
        assert_eq!(bridge.post("/windows", event("beside"), &[]).await.status, 200);
    }
    assert_eq!(nats.messages("windows", 0).await.len(), 2 * (CLIENTS * 5 + 1));
}

/// One answer that isn't taken costs the others on its connection nothing.
#[tokio::test]
async fn an_http2_answer_that_is_left_alone() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "left", "").await;
    let mut frames = Frames::open(&bridge.address(), 0).await;
    let left = frames.post("/left", &event("left")).await;
    frames.find(HEADERS, left).await;
    let began = Instant::now();
    let mut served = 0;
    let reset = loop {
        let stream = frames.post("/left", &event("taken")).await;
        frames.send(WINDOW_UPDATE, 0, stream, &100u32.to_be_bytes()).await;
        let frame = loop {
            let frame = frames.next().await.expect("the connection stands");
            if frame.kind == RESET || (frame.kind, frame.stream) == (DATA, stream) {
                break frame;
            }
        };
        if frame.kind == RESET {
            break frame;
        }
        served += 1;
        assert!(began.elapsed() < WRITE + SLACK, "it is never given up");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(reset.stream, left);
    assert!(served > 3, "{served}");
    // And the connection goes on.
    let stream = frames.post("/left", &event("after")).await;
    frames.send(WINDOW_UPDATE, 0, stream, &100u32.to_be_bytes()).await;
    let data = frames.find(DATA, stream).await;
    assert_eq!((data.payload.as_slice(), data.flags & END), (&b"{}"[..], END));
}

#[tokio::test]
async fn the_admin_listener_too() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "unread-admin", "").await;
    let before = files(&bridge);
    let mut stream = narrow(&bridge.admin_address()).await;
    stall(&mut stream, "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    all_closed(&bridge, before).await;
}

/// A streamed answer may take as long as it likes, and so may a pause in it; a slow reader is a reader.
#[tokio::test]
async fn slow_answers_and_slow_readers_are_left_alone() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "slow-reader", "keep_alive = \"1s\"").await;
    let mut held = Held::on(nats, "slow-reader.ask.voice-request").await;
    let request = String::from_utf8(sample("voice-request.json").bytes.to_vec()).unwrap();
    let size = 256 << 10;

    let mut stream = narrow(&bridge.address()).await;
    stream.write_all(post("/slow-reader", &request).as_bytes()).await.unwrap();
    let question = held.next().await;
    let worker = async {
        for more in [true, true, true, false] {
            held.part(&question, vec![b'x'; size], more).await;
            // Longer than the client may be silent where something waits for it.
            sleep(WRITE * 3 / 2).await;
        }
    };
    let reader = async {
        let (mut answer, began) = (Vec::new(), Instant::now());
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            let mut some = vec![0; 16 << 10];
            let read = timeout(SLACK, stream.read(&mut some)).await.unwrap();
            let count = read.unwrap();
            assert!(count > 0, "cut off after {} bytes", answer.len());
            answer.extend_from_slice(&some[..count]);
            sleep(Duration::from_millis(60)).await;
        }
        assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 4 * size);
        began.elapsed()
    };
    let ((), took) = tokio::join!(worker, reader);
    assert!(took > 3 * WRITE, "{took:?}");
}
