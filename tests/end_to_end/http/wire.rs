//! A connection on which a test decides what goes out and when, and sees what comes back.

use crate::support::eventually;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Far above every limit that a test sets.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    opened: Instant,
    uses: usize,
}

/// One response, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Wire {
    pub(crate) async fn open(address: &str) -> Wire {
        Wire::of(TcpStream::connect(address).await.unwrap())
    }

    /// On a connection that is open.
    pub(crate) fn of(stream: TcpStream) -> Wire {
        Wire { stream, unread: Vec::new(), opened: Instant::now(), uses: 0 }
    }

    /// Shuts down the writing half: nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// How long ago it was opened.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends for as long as the other side takes it.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Waits until the other side, on this machine, has read all that was sent. Elsewhere than on Linux nobody says so.
    pub(crate) async fn is_read(&self) {
        #[cfg(target_os = "linux")]
        {
            let peer = self.stream.peer_addr().unwrap();
            let ours = self.stream.local_addr().unwrap();
            eventually("that all is read", PATIENCE, async || {
                let sockets = procfs::net::tcp().unwrap();
                let unread = sockets.iter().any(|socket| {
                    let ends = (socket.local_address, socket.remote_address);
                    ends == (peer, ours) && socket.rx_queue > 0
                        || ends == (ours, peer) && socket.tx_queue > 0
                });
                (!unread).then_some(())
            })
            .await;
        }
    }

    /// Sends it, and returns the response.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes).await;
        self.response().await
    }

    /// Whether nothing was said on it, not even its end.
    pub(crate) fn is_open(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// How many responses it has had.
    pub(crate) fn uses(&self) -> usize {
        self.uses
    }

    /// The next response. Only such with a length, or without a body, are understood.
    pub(crate) async fn response(&mut self) -> Response {
        let response = self.try_response().await;
        response.unwrap_or_else(|error| panic!("{error}, after {:?}", self.text()))
    }

    /// The same from a side that may close before it responds.
    pub(crate) async fn try_response(&mut self) -> io::Result<Response> {
        let head = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            if !self.more().await {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed"));
            }
        };
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            headers,
            body: Vec::new(),
        };
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            if !self.more().await {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in a body"));
            }
        }
        let rest = self.unread.split_off(length);
        response.body = std::mem::replace(&mut self.unread, rest);
        self.uses += 1;
        Ok(response)
    }

    /// Waits until the other side closes it; returns what came before.
    pub(crate) async fn end(mut self) -> Vec<u8> {
        while self.more().await {}
        self.unread
    }

    /// False when the other side has closed it.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing after {:?}", self.text()));
        matches!(read, Ok(1..))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A request that posts this body.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
