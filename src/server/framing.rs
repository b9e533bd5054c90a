//! Where one request ends and the next begins: a second look at what hyper makes of it.
//!
//! A request whose head gives its length in two ways (`Content-Length` and `Transfer-Encoding`, RFC 9112, §6.3), names
//! other transfer codings than `chunked`, or has lines that end in a bare line feed (§2.2), may be read differently by
//! something in front of us: what is a body to one is a request to the other. hyper reads some of these and forgets that
//! there was anything odd about them, so the bytes are followed here on their way to it. A line that may not pass is
//! spoilt: hyper then refuses the request and closes the connection.
//!
//! What hyper refuses by itself is looked for only as far as it is needed to know where the next request begins.

use memchr::memchr;

/// No parser takes this for a part of a head.
const SPOILT: u8 = 0;

/// Bytes of a line that are looked at: no name and number that matters is longer.
const MAX_LINE_PREFIX: usize = 40;

/// Follows the requests of one connection, byte by byte.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// The beginning of the line that is being read.
    line: [u8; MAX_LINE_PREFIX],
    /// How long that line is so far.
    length: usize,
    /// `Content-Length`, as far as this head names one.
    sized: Option<u64>,
    /// Whether this head names a `Transfer-Encoding`.
    coded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests: line breaks don't count.
    Between,
    Head,
    /// The rest of a body in bytes, and a line break if it is a chunk's.
    Body {
        left: u64,
        chunked: bool,
    },
    /// The line break behind a chunk.
    ChunkEnd,
    ChunkSize,
    Trailers,
    /// Nothing is followed any more: it was refused, or is no HTTP/1.
    Lost,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::Between,
            line: [0; MAX_LINE_PREFIX],
            length: 0,
            sized: None,
            coded: false,
        }
    }
}

impl Framing {
    /// Whether the last request was complete, and nothing of a next one has come.
    pub fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Follow these bytes. A head that is to be refused is spoilt in them.
    pub fn follow(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Lost => return,
                State::Between if matches!(bytes[at], b'\r' | b'\n') => at += 1,
                State::Between => {
                    (self.state, self.length) = (State::Head, 0);
                    (self.sized, self.coded) = (None, false);
                }
                State::Body { left, chunked } => {
                    let here = left.min((bytes.len() - at) as u64);
                    at += here as usize;
                    self.state = match (left - here, chunked) {
                        (0, false) => State::Between,
                        (0, true) => State::ChunkEnd,
                        (left, chunked) => State::Body { left, chunked },
                    };
                }
                State::Head | State::ChunkEnd | State::ChunkSize | State::Trailers => {
                    let rest = &bytes[at..];
                    let end = memchr(b'\n', rest);
                    self.keep(&rest[..end.unwrap_or(rest.len())]);
                    let Some(end) = end else { return };
                    at += end;
                    self.state = self.next().unwrap_or_else(|| {
                        bytes[at] = SPOILT;
                        State::Lost
                    });
                    self.length = 0;
                    at += 1;
                }
            }
        }
    }

    /// Add to the line what there is room for. Its last byte is kept, to see whether it is a carriage return.
    fn keep(&mut self, part: &[u8]) {
        let from = self.length.min(MAX_LINE_PREFIX - 1);
        let room = part.len().min(MAX_LINE_PREFIX - 1 - from);
        self.line[from..from + room].copy_from_slice(&part[..room]);
        self.length += part.len();
        if let (Some(last), true) = (part.last(), self.length >= MAX_LINE_PREFIX) {
            self.line[MAX_LINE_PREFIX - 1] = *last;
        }
    }

    /// What comes after the line that has just ended; nothing where it may not pass.
    fn next(&mut self) -> Option<State> {
        let is_cut = self.length > MAX_LINE_PREFIX;
        let Some((b'\r', line)) = self.line[..self.length.min(MAX_LINE_PREFIX)].split_last() else {
            // hyper refuses this one, and would take a spoilt one for an extension of the chunk.
            return (self.state == State::ChunkSize).then_some(State::Lost);
        };
        Some(match (self.state, line) {
            (State::Head, []) => match (self.sized, self.coded) {
                (Some(_), true) => return None,
                (None, true) => State::ChunkSize,
                (None | Some(0), false) => State::Between,
                (Some(left), false) => State::Body { left, chunked: false },
            },
            // Not a request at all, but the beginning of HTTP/2.
            (State::Head, b"PRI * HTTP/2.0") => State::Lost,
            (State::Head, line) => {
                if let Some(value) = named(line, b"transfer-encoding") {
                    let is_chunked = value.eq_ignore_ascii_case(b"chunked");
                    if !is_chunked || is_cut || std::mem::replace(&mut self.coded, true) {
                        return None;
                    }
                } else if let Some(value) = named(line, b"content-length") {
                    let size = number(value, 10).filter(|_| !is_cut)?;
                    if self.sized.replace(size).is_some_and(|other| other != size) {
                        return None;
                    }
                }
                State::Head
            }
            (State::ChunkEnd, []) => State::ChunkSize,
            (State::ChunkSize, line) => {
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                match number(&line[..digits], 16)? {
                    0 => State::Trailers,
                    left => State::Body { left, chunked: true },
                }
            }
            (State::Trailers, []) => State::Between,
            (State::Trailers, _) => State::Trailers,
            _ => return None,
        })
    }
}

/// The value of a field line, if this is its name.
fn named<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = start.eq_ignore_ascii_case(name).then_some(rest)?.strip_prefix(b":")?;
    Some(value.trim_ascii())
}

/// A number of no more digits than a length needs. The parser of the standard library takes a sign too.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_plain = digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests;
