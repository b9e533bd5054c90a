//! An HTTP/1.1 connection that comes back when it was cut.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::sender::{Open, Post};
use crate::history::{Answer, CallResult};
use crate::webhook::Webhook;

pub(super) struct Connection {
    post: Arc<Post>,
    stream: Option<TcpStream>,
    /// What came of the next answer already.
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(post: Arc<Post>) -> Connection {
        Connection { post, stream: None, buffer: Vec::new() }
    }

    /// Returns when the last byte is written.
    pub(super) async fn write(&mut self, webhook: &Webhook) -> io::Result<()> {
        // Taken out, so that it is gone if this future is dropped or fails.
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&request(&self.post.path, webhook)).await?;
        self.stream = Some(stream);
        Ok(())
    }

    pub(super) async fn read(&mut self) -> io::Result<Answer> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let (answer, goes_on) = answer(&mut stream, &mut self.buffer).await?;
        if goes_on {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    /// Writes all of them at once, and hands on the answers as they come; the connection's end ends them.
    pub(super) async fn pipeline(
        &mut self,
        webhooks: &[Webhook],
        mut written: impl FnMut() + Send,
        mut answered: impl FnMut(Answer) + Send,
    ) -> io::Result<()> {
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut requests = Vec::new();
        for webhook in webhooks {
            requests.extend(request(&self.post.path, webhook));
        }
        let (mut reading, mut writing) = stream.split();
        let write = async {
            writing.write_all(&requests).await?;
            written();
            io::Result::Ok(())
        };
        let buffer = &mut self.buffer;
        let read = async {
            for _ in webhooks {
                let (one, goes_on) = answer(&mut reading, buffer).await?;
                answered(one);
                if !goes_on {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(())
        };
        tokio::try_join!(write, read)?;
        self.stream = Some(stream);
        Ok(())
    }
}

impl Open for Connection {
    async fn open(&mut self) -> io::Result<()> {
        if let Some(stream) = &self.stream {
            // The other side may have closed it while nothing was asked.
            match stream.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                _ => self.stream = None,
            }
        }
        self.buffer.clear();
        let stream = TcpStream::connect(&self.post.address).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// The next answer, and whether the connection goes on after it.
async fn answer(
    stream: &mut (impl AsyncRead + Unpin + Send),
    buffer: &mut Vec<u8>,
) -> io::Result<(Answer, bool)> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            let body = end + 4..end + 4 + length.unwrap_or(0);
            if buffer.len() >= body.end {
                let status = head.get(9..12).and_then(|status| status.parse().ok());
                let closes = header(&head, "connection")
                    .is_some_and(|text| text.eq_ignore_ascii_case("close"));
                let answer = Answer {
                    status: status.ok_or(io::ErrorKind::InvalidData)?,
                    id: header(&head, "hookbus-id").map(str::to_owned),
                    results: results(&buffer[body.clone()]),
                };
                buffer.drain(..body.end);
                return Ok((answer, !closes));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
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
pub(super) fn results(body: &[u8]) -> Vec<CallResult> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = body["results"].as_array().into_iter().flatten();
    let result = |entry: &Value| CallResult {
        call: entry["toolCallId"].as_str().unwrap_or_default().to_owned(),
        result: entry["result"].as_str().map(str::to_owned),
    };
    entries.map(result).collect()
}
