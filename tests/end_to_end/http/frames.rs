//! HTTP/2 by hand: a client that opens windows, answers pings and reads only as the test says.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;

/// The end of a stream, or an acknowledgement.
pub(super) const END: u8 = 1;
const END_HEADERS: u8 = 4;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Frames {
    stream: TcpStream,
    next: u32,
}

impl Frames {
    /// With this window for each answer.
    pub(super) async fn open(address: &str, window: u32) -> Frames {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut frames = Frames { stream, next: 1 };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // SETTINGS_INITIAL_WINDOW_SIZE
        let setting = [&[0, 4], &window.to_be_bytes()[..]].concat();
        frames.send(SETTINGS, 0, 0, &setting).await;
        frames
    }

    pub(super) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.stream.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// Posts a body; returns the number of the stream.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> u32 {
        let stream = self.next;
        self.next += 2;
        let mut block = vec![0x83, 0x86];
        for (index, value) in [(4, path), (1, "test")] {
            block.extend([index, value.len() as u8]);
            block.extend(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS, stream, &block).await;
        self.send(DATA, END, stream, body.as_bytes()).await;
        stream
    }

    /// The next frame; nothing at the end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut head)).await;
        read.expect("a frame, or the end").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next one of this kind, of this stream. What comes before is forgotten, and pings are answered.
    pub(super) async fn find(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection stands");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
            if frame.kind == PING && frame.flags & END == 0 {
                self.send(PING, END, 0, &frame.payload).await;
            }
        }
    }

    /// Waits for the end, answering nothing; returns the kinds of the frames before it.
    pub(super) async fn end(mut self) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some(frame) = self.next().await {
            kinds.push(frame.kind);
        }
        kinds
    }
}
