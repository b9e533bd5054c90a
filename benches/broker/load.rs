//! The load: connections that send their next request as soon as the last one was answered.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::hmac;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::bodies::{self, Body};

/// Connections of one load.
pub(crate) const CONNECTIONS: usize = 64;

/// Different keys, so that the order of one key holds no other one up.
pub(crate) const KEYS: usize = 8_192;

/// What requests bring to be let in.
pub(crate) enum Credential {
    /// Nothing.
    None,
    /// A secret in its header.
    Secret(&'static str),
    /// A signature of each body.
    Signature(hmac::Key),
}

impl From<&'static str> for Credential {
    fn from(secret: &'static str) -> Self {
        Self::Secret(secret)
    }
}

impl Credential {
    /// Signatures as an endpoint with `kind = "hmac"` wants them by default.
    pub(crate) fn signature(secret: &str) -> Self {
        Self::Signature(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Header lines; for a signature with room for it.
    fn head(&self, time: u64) -> String {
        match self {
            Self::None => String::new(),
            Self::Secret(secret) => format!("x-vapi-secret: {secret}\r\n"),
            Self::Signature(_) => {
                format!("x-timestamp: {time}\r\n{SIGNATURE}{}\r\n", "0".repeat(64))
            }
        }
    }
}

const SIGNATURE: &str = "x-signature: ";

/// Open connections to one server, each with its request ready to be sent.
pub(crate) struct Load {
    connections: Vec<Connection>,
}

/// What the clients saw.
pub(crate) struct Seen {
    pub(crate) elapsed: Duration,
    /// Of every request, in ascending order.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) async fn connect(
        address: &str,
        path: &str,
        credential: impl Into<Credential>,
        body: &Body,
        keys: usize,
    ) -> Self {
        Self::connect_by(None, address, path, credential, body, keys).await
    }

    /// The same over TLS.
    pub(crate) async fn connect_by(
        tls: Option<TlsConnector>,
        address: &str,
        path: &str,
        credential: impl Into<Credential>,
        body: &Body,
        keys: usize,
    ) -> Self {
        assert!(keys.is_multiple_of(CONNECTIONS), "no two connections ever have the same key");
        let credential = credential.into();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             {}content-length: {}\r\n\r\n",
            credential.head(time),
            body.bytes.len()
        );
        let signer = match credential {
            Credential::Signature(key) => {
                let at = head.find(SIGNATURE).expect("it stands in the head") + SIGNATURE.len();
                Some(Signer { key, time, at, body: head.len() })
            }
            Credential::None | Credential::Secret(_) => None,
        };
        let key = body.key();
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for number in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let stream: Box<dyn Stream> = match &tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from("127.0.0.1").unwrap();
                    Box::new(tls.connect(name, stream).await.unwrap())
                }
            };
            connections.push(Connection {
                stream,
                signer: signer.clone(),
                expected: b"HTTP/1.1 2",
                request: [head.as_bytes(), &body.bytes].concat(),
                key: key.start + head.len()..key.end + head.len(),
                number,
                keys,
                response: Vec::with_capacity(1_024),
            });
        }
        Self { connections }
    }

    /// Every request is to be refused.
    pub(crate) fn refused(mut self) -> Self {
        for connection in &mut self.connections {
            connection.expected = b"HTTP/1.1 401";
        }
        self
    }

    /// Sends for so long, so many requests a second or else as many as are answered. Anything but a 2xx, or a 401 where
    /// it is due, fails the bench.
    pub(crate) async fn run(&mut self, time: Duration, rate: Option<f64>) -> Seen {
        let began = Instant::now();
        let pace = rate.map(|rate| Arc::new(Pace::new(began, rate)));
        let mut running = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let pace = pace.clone();
            running.spawn(async move {
                let mut latencies = Vec::with_capacity(8_192);
                while began.elapsed() < time {
                    if let Some(pace) = &pace {
                        pace.turn().await;
                    }
                    latencies.push(connection.ask().await.expect("an answer to each request"));
                }
                (connection, latencies)
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (connection, latencies) =
                ended.expect("all requests are answered as they should be");
            self.connections.push(connection);
            all.extend(latencies);
        }
        let elapsed = began.elapsed();
        all.sort_unstable();
        Seen { elapsed, latencies: all }
    }

    /// Sends one request.
    pub(crate) async fn once(&mut self) -> Duration {
        self.connections[0].ask().await.expect("an answer")
    }
}

/// So many requests a second over all connections, evenly.
struct Pace {
    began: Instant,
    interval: Duration,
    turns: AtomicU64,
}

impl Pace {
    fn new(began: Instant, rate: f64) -> Self {
        Self { began, interval: Duration::from_secs_f64(1.0 / rate), turns: AtomicU64::new(0) }
    }

    /// Waits for the next turn. By looking at the clock again and again: timers tick in milliseconds, and would
    /// make bursts of what should come one by one.
    async fn turn(&self) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let due = self.began + self.interval.mul_f64(turn as f64);
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Connection {
    stream: Box<dyn Stream>,
    signer: Option<Signer>,
    /// How each response begins.
    expected: &'static [u8],
    request: Vec<u8>,
    key: Range<usize>,
    /// The number of its next key. No two connections ever have the same one.
    number: usize,
    keys: usize,
    response: Vec<u8>,
}

impl Connection {
    async fn ask(&mut self) -> io::Result<Duration> {
        bodies::set_key(&mut self.request[self.key.clone()], self.number);
        self.number = (self.number + CONNECTIONS) % self.keys;
        if let Some(signer) = &self.signer {
            signer.sign(&mut self.request);
        }
        let began = Instant::now();
        self.stream.write_all(&self.request).await?;
        self.stream.flush().await?;
        self.response.clear();
        loop {
            if self.stream.read_buf(&mut self.response).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if is_complete(&self.response) {
                break;
            }
        }
        let took = began.elapsed();
        assert!(
            self.response.starts_with(self.expected),
            "answered: {}",
            String::from_utf8_lossy(&self.response)
        );
        Ok(took)
    }
}

/// Signs a request before it is sent.
#[derive(Clone)]
struct Signer {
    key: hmac::Key,
    time: u64,
    /// Where the signature stands.
    at: usize,
    /// Where the body begins.
    body: usize,
}

impl Signer {
    fn sign(&self, request: &mut [u8]) {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{}.", self.time).as_bytes());
        context.update(&request[self.body..]);
        let signature = data_encoding::HEXLOWER.encode(context.sign().as_ref());
        request[self.at..self.at + signature.len()].copy_from_slice(signature.as_bytes());
    }
}

/// As much of HTTP as our servers speak: a head, and a body of `content-length` bytes.
fn is_complete(response: &[u8]) -> bool {
    let Some(head) = find(response, b"\r\n\r\n") else {
        return false;
    };
    const LENGTH: &[u8] = b"content-length: ";
    let at = find(&response[..head], LENGTH).expect("a response that says its length");
    let digits = response[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    response.len() >= head + 4 + length
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}
