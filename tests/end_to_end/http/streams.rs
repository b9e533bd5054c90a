//! A connection of HTTP/2 on which a test sends bodies as far as the other side allows it.

use std::collections::HashMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The largest frame, unless somebody says otherwise.
const FRAME: usize = 16 << 10;
const INITIAL_WINDOW: u16 = 4;

pub(crate) struct Streams {
    stream: TcpStream,
    unread: Vec<u8>,
    next: u32,
    /// What may still be sent: on the connection (0) and on each stream.
    windows: HashMap<u32, i64>,
    initial: i64,
    ended: usize,
}

impl Streams {
    pub(crate) async fn open(address: &str) -> Streams {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut streams = Streams {
            stream,
            unread: Vec::new(),
            next: 1,
            windows: HashMap::from([(0, 65_535)]),
            initial: 65_535,
            ended: 0,
        };
        streams.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        streams.frame(SETTINGS, 0, 0, &[]).await;
        streams
    }

    /// Begins a request; its body is to follow.
    pub(crate) async fn post(&mut self, path: &str, headers: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.windows.insert(stream, self.initial);
        let own =
            [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", path)];
        let mut block = Vec::new();
        for (name, value) in own.iter().chain(headers) {
            // Literals that enter no table (RFC 7541, §6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.frame(HEADERS, END_HEADERS, stream, &block).await;
        stream
    }

    /// Sends a part of a body as far as the other side takes it, until the stream is ended. Returns how many streams
    /// were ended meanwhile.
    pub(crate) async fn send(&mut self, stream: u32, mut bytes: &[u8]) -> usize {
        let before = self.ended;
        while !bytes.is_empty() && self.windows.contains_key(&stream) {
            let room = self.windows[&stream].min(self.windows[&0]);
            let part = bytes.len().min(FRAME).min(usize::try_from(room).unwrap_or(0));
            if part == 0 {
                self.look(PATIENCE).await;
                continue;
            }
            self.frame(DATA, 0, stream, &bytes[..part]).await;
            for window in [0, stream] {
                *self.windows.get_mut(&window).unwrap() -= part as i64;
            }
            bytes = &bytes[part..];
            while self.look(Duration::ZERO).await {}
        }
        self.ended - before
    }

    /// Sends a small body, or the last part of one, with which the request is complete.
    pub(crate) async fn complete(&mut self, stream: u32, bytes: &[u8]) {
        assert!(bytes.len() as i64 <= self.windows[&stream].min(self.windows[&0]));
        self.frame(DATA, END_STREAM, stream, bytes).await;
        *self.windows.get_mut(&0).unwrap() -= bytes.len() as i64;
        while self.look(Duration::ZERO).await {}
    }

    /// Waits until so many streams were answered.
    pub(crate) async fn answered(&mut self, count: usize) {
        while self.ended < count {
            self.look(PATIENCE).await;
        }
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Follows one frame of the other side, if it comes within this time.
    async fn look(&mut self, patience: Duration) -> bool {
        let length = loop {
            if let [a, b, c, _, _, _, _, _, _, rest @ ..] = self.unread.as_slice() {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if rest.len() >= length {
                    break length;
                }
            }
            match timeout(patience, self.stream.read_buf(&mut self.unread)).await {
                Err(_) if patience.is_zero() => return false,
                read => assert!(matches!(read, Ok(Ok(1..))), "{read:?}"),
            }
        };
        let rest = self.unread.split_off(9 + length);
        let frame = std::mem::replace(&mut self.unread, rest);
        let (head, payload) = frame.split_at(9);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => {
                for setting in payload.chunks_exact(6) {
                    let value =
                        u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                    if u16::from_be_bytes([setting[0], setting[1]]) == INITIAL_WINDOW {
                        let more = i64::from(value) - self.initial;
                        self.initial += more;
                        self.windows
                            .iter_mut()
                            .filter(|(id, _)| **id > 0)
                            .for_each(|(_, window)| *window += more);
                    }
                }
                self.frame(SETTINGS, ACK, 0, &[]).await;
            }
            (PING, 0) => self.frame(PING, ACK, 0, payload).await,
            (WINDOW_UPDATE, _) => {
                let more = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
                if let Some(window) = self.windows.get_mut(&stream) {
                    *window += i64::from(more);
                }
            }
            // Whatever the answer is, or none.
            (HEADERS | RESET, _) => {
                self.ended += usize::from(self.windows.remove(&stream).is_some());
            }
            _ => {}
        }
        true
    }
}
