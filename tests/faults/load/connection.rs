//! An HTTP connection that comes back when it was cut.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::history::{Answer, CallResult};
use crate::webhook::Webhook;

pub(super) struct Connection {
    address: String,
    path: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(address: &str, path: &str) -> Connection {
        Connection {
            address: address.to_owned(),
            path: path.to_owned(),
            stream: None,
            buffer: Vec::new(),
        }
    }

    /// Makes sure that there is one; an error when nobody listens.
    pub(super) async fn open(&mut self) -> io::Result<()> {
        if let Some(stream) = &self.stream {
            // The other side may have closed it while nothing was asked.
            match stream.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                _ => self.stream = None,
            }
        }
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Returns when the last byte is written.
    pub(super) async fn write(&mut self, webhook: &Webhook) -> io::Result<()> {
        // Taken out, so that it is gone if this future is dropped or fails.
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&request(&self.path, webhook)).await?;
        self.stream = Some(stream);
        Ok(())
    }

    pub(super) async fn read(&mut self) -> io::Result<Answer> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        self.buffer.clear();
        let (head, body) = loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                let length = header(&head, "content-length").and_then(|text| text.parse().ok());
                let body = end + 4..end + 4 + length.unwrap_or(0);
                if self.buffer.len() >= body.end {
                    break (head, body);
                }
            }
        };
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        if !header(&head, "connection").is_some_and(|text| text.eq_ignore_ascii_case("close")) {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            id: header(&head, "hookbus-id").map(str::to_owned),
            results: results(&self.buffer[body]),
        })
    }
}

/// A whole request.
fn request(path: &str, webhook: &Webhook) -> Vec<u8> {
    let body = webhook.bytes();
    let encoding = if webhook.is_compressed { "content-encoding: gzip\r\n" } else { "" };
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{encoding}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The entries of `results`, if there are any.
fn results(body: &[u8]) -> Vec<CallResult> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = body["results"].as_array().into_iter().flatten();
    let result = |entry: &Value| CallResult {
        call: entry["toolCallId"].as_str().unwrap_or_default().to_owned(),
        result: entry["result"].as_str().map(str::to_owned),
    };
    entries.map(result).collect()
}
