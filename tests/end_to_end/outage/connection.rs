//! One HTTP connection that posts again and again at little cost, and doesn't mind its end.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What there is to know of an answer.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Connection {
    pub(super) async fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let status = head.get(9..12).and_then(|status| status.parse().ok());
            let answer = Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, head };
            let length = answer.header("content-length");
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if self.buffer.len() >= end + 4 + length {
                return Ok(answer);
            }
        }
    }
}
