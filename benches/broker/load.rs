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
    /// How many had another status than was expected.
    pub(crate) wrong: usize,
}

/// What a round of requests came to.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of processor time a request.
    pub(crate) cpu: f64,
}

impl Seen {
    /// With the processor time that the server took for it.
    pub(crate) fn round(&self, cpu: Duration) -> Round {
        let latencies = &self.latencies;
        let count = latencies.len() as f64;
        let at = |part: f64| {
            latencies[((count * part) as usize).min(latencies.len() - 1)].as_secs_f64() * 1e3
        };
        Round {
            rate: count / self.elapsed.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            cpu: cpu.as_secs_f64() * 1e6 / count,
        }
    }
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
        let bodies = std::slice::from_ref(body);
        Self::open(tls, address, path, credential, bodies, (CONNECTIONS, keys)).await
    }

    /// Connections that send one body after the other, and then all of them with another key.
    pub(crate) async fn open(
        tls: Option<TlsConnector>,
        address: &str,
        path: &str,
        credential: impl Into<Credential>,
        bodies: &[Body],
        (count, keys): (usize, usize),
    ) -> Self {
        assert!(
            keys == 1 || keys.is_multiple_of(count),
            "there is one key, or no two connections ever have the same"
        );
        let credential = credential.into();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let requests: Vec<Request> = bodies
            .iter()
            .map(|body| {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                     {}content-length: {}\r\n\r\n",
                    credential.head(time),
                    body.bytes.len()
                );
                let key = body.key();
                Request {
                    bytes: [head.as_bytes(), &body.bytes].concat(),
                    key: key.start + head.len()..key.end + head.len(),
                    body: head.len(),
                    signature: head.find(SIGNATURE).map(|at| at + SIGNATURE.len()),
                }
            })
            .collect();
        let signer = match credential {
            Credential::Signature(key) => Some(Signer { key, time }),
            Credential::None | Credential::Secret(_) => None,
        };
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
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
                lenient: None,
                wrong: 0,
                requests: requests.clone(),
                next: 0,
                number: number % keys,
                step: count,
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

    /// Another status than was expected is counted, and doesn't fail the bench; nor does a server at this address that closes
    /// connections.
    pub(crate) fn lenient(mut self, address: &str) -> Self {
        for connection in &mut self.connections {
            connection.lenient = Some(address.to_owned());
        }
        self
    }

    /// Sends for so long, so many requests a second or else as many as are answered. Anything but a 2xx, or a 401 where
    /// it is due, fails the bench.
    pub(crate) async fn run(&mut self, time: Duration, rate: Option<f64>) -> Seen {
        let began = Instant::now();
        let pace = rate.map(|rate| Arc::new(Pace::new(began, rate)));
        // However many are open, so many are used at a time.
        let count = self.connections.len().min(CONNECTIONS);
        let mut groups: Vec<Vec<Connection>> = (0..count).map(|_| Vec::new()).collect();
        for (number, connection) in self.connections.drain(..).enumerate() {
            groups[number % count].push(connection);
        }
        let mut running = JoinSet::new();
        for mut group in groups {
            let pace = pace.clone();
            running.spawn(async move {
                let (mut latencies, mut next) = (Vec::with_capacity(8_192), 0);
                while began.elapsed() < time {
                    if let Some(pace) = &pace {
                        pace.turn().await;
                    }
                    latencies.push(group[next].ask().await.expect("an answer to each request"));
                    next = (next + 1) % group.len();
                }
                (group, latencies)
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (group, latencies) = ended.expect("all requests are answered as they should be");
            self.connections.extend(group);
            all.extend(latencies);
        }
        let elapsed = began.elapsed();
        all.sort_unstable();
        let wrong = self.connections.iter_mut().map(|it| std::mem::take(&mut it.wrong)).sum();
        Seen { elapsed, latencies: all, wrong }
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
    /// Where to connect again. Then another status fails nothing, too.
    lenient: Option<String>,
    wrong: usize,
    requests: Vec<Request>,
    /// Which of them is next.
    next: usize,
    /// The number of its next key, and how far the one after it is. No two connections ever have the same one, unless there
    /// is only one.
    number: usize,
    step: usize,
    keys: usize,
    response: Vec<u8>,
}

impl Connection {
    async fn ask(&mut self) -> io::Result<Duration> {
        let request = &mut self.requests[self.next];
        bodies::set_key(&mut request.bytes[request.key.clone()], self.number);
        if let Some(signer) = &self.signer {
            signer.sign(request);
        }
        let began = Instant::now();
        match (self.exchange().await, &self.lenient) {
            // Some close connections that nobody used for a while, and clients open another one.
            (Err(_), Some(address)) => {
                self.stream = Box::new(TcpStream::connect(address).await?);
                self.exchange().await?;
            }
            (result, _) => result?,
        }
        let took = began.elapsed();
        self.next += 1;
        if self.next == self.requests.len() {
            (self.next, self.number) = (0, (self.number + self.step) % self.keys);
        }
        if !self.response.starts_with(self.expected) {
            let answer = String::from_utf8_lossy(&self.response);
            assert!(self.lenient.is_some(), "answered: {answer}");
            self.wrong += 1;
        }
        Ok(took)
    }

    async fn exchange(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.requests[self.next].bytes).await?;
        self.stream.flush().await?;
        self.response.clear();
        loop {
            if self.stream.read_buf(&mut self.response).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if is_complete(&self.response) {
                return Ok(());
            }
        }
    }
}

/// A request, and the places in it that change.
#[derive(Clone)]
struct Request {
    bytes: Vec<u8>,
    key: Range<usize>,
    /// Where the body begins.
    body: usize,
    /// Where the signature stands, if there is one.
    signature: Option<usize>,
}

/// Signs a request before it is sent.
#[derive(Clone)]
struct Signer {
    key: hmac::Key,
    time: u64,
}

impl Signer {
    fn sign(&self, request: &mut Request) {
        let Some(at) = request.signature else { return };
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{}.", self.time).as_bytes());
        context.update(&request.bytes[request.body..]);
        let signature = data_encoding::HEXLOWER.encode(context.sign().as_ref());
        request.bytes[at..at + signature.len()].copy_from_slice(signature.as_bytes());
    }
}

/// As much of HTTP as the servers speak: a head, and a body of `content-length` bytes, or in chunks, or none.
fn is_complete(response: &[u8]) -> bool {
    let Some(head) = find(response, b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = (&response[..head], &response[head + 4..]);
    let header = |name: &str| {
        let lines =
            head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    match header("content-length") {
        Some(length) => body.len() >= length.parse::<usize>().expect("a length"),
        None if header("transfer-encoding").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => true,
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}
