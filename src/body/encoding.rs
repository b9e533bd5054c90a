//! Compressed bodies: gzip and zstd, decoded in small steps and never beyond the limit.
//!
//! A body is decoded once it is complete and its sender is known, so that nobody else makes us work. Each step takes a
//! few KiB in and gives a few KiB out; after a few of them others have their turn, so that a usual body is decoded at
//! once and a large one holds up nobody. What a decoder needs for itself is charged like the bytes that it gives.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header};
use tokio::task::yield_now;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::limit::ByteReservation;
use crate::message::Refusal;

/// Bytes that one step reads at most. A stream of empty blocks takes much time and gives nothing.
const INPUT_CHUNK: usize = 8 << 10;

/// Bytes that one step gives at most.
pub(super) const OUTPUT_CHUNK: usize = 64 << 10;

/// Bytes that are read and given before the task yields.
pub(super) const YIELD_BYTES: usize = 256 << 10;

/// What the window and the tables of a gzip decoder take.
const GZIP_MEMORY: usize = 48 << 10;

/// The largest window of a zstd frame, as a power of two: the 8 MiB that every decoder should support (RFC 8878, §3.1.1.1.2).
const MAX_WINDOW_LOG: u32 = 23;

/// How a body was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, of one or several members.
    Gzip,
    /// RFC 8878, of one or several frames.
    Zstd,
}

impl Encoding {
    /// The encoding that a head names; none where the body is as it is.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let is = |value: &[u8], name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        let mut named =
            headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes());
        let mut encodings = named.by_ref().filter(|value| !is(value, "identity"));
        match (encodings.next(), encodings.next()) {
            (None, _) => Ok(None),
            (Some(value), None) if is(value, "gzip") || is(value, "x-gzip") => Ok(Some(Self::Gzip)),
            (Some(value), None) if is(value, "zstd") => Ok(Some(Self::Zstd)),
            _ => Err(Refusal::Encoding),
        }
    }

    /// Decode a body of at most `limit` bytes. In return for the reservation of what was received there is one of what was
    /// decoded.
    pub async fn decode(
        self,
        received: Bytes,
        limit: usize,
        mut reservation: ByteReservation,
    ) -> Result<(Bytes, ByteReservation), Refusal> {
        let mut decoded = reservation.beside();
        let mut decoder = Decoder::new(self, received).map_err(|_| self.refusal())?;
        let mut held = 0;
        let mut whole = Vec::new();
        let mut left = YIELD_BYTES;
        loop {
            let filled = whole.len();
            // One byte more than may be, to see that it is there.
            whole.resize(filled + OUTPUT_CHUNK.min(limit + 1 - filled), 0);
            let step = decoder.step(&mut whole[filled..]);
            whole.truncate(filled + step.as_ref().map_or(0, |count| *count));
            match step {
                Ok(0) => return Ok((whole.into(), decoded)),
                Ok(_) if whole.len() > limit => return Err(Refusal::TooLarge { limit }),
                Ok(count) => decoded.grow(count)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.refusal()),
            }
            let holds = decoder.holds();
            reservation.grow(holds.saturating_sub(held))?;
            held = held.max(holds);
            left = left.saturating_sub(INPUT_CHUNK + whole.len() - filled);
            if left == 0 {
                left = YIELD_BYTES;
                yield_now().await;
            }
        }
    }

    fn refusal(self) -> Refusal {
        Refusal::Malformed(Cow::Borrowed(match self {
            Self::Gzip => "the body is not whole, valid gzip",
            Self::Zstd => "the body is not whole, valid zstd with a window of 8 MiB at most",
        }))
    }
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<Share>>),
    Zstd(Zstd),
}

impl Decoder {
    fn new(encoding: Encoding, received: Bytes) -> io::Result<Self> {
        let share = Share { rest: received, left: INPUT_CHUNK };
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(share))),
            Encoding::Zstd => Self::Zstd(Zstd::new(share.rest)?),
        })
    }

    /// Some more bytes; 0 at the end, and `WouldBlock` where a step gave nothing yet.
    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(gzip) => {
                gzip.get_mut().left = INPUT_CHUNK;
                gzip.read(out)
            }
            Self::Zstd(zstd) => zstd.step(out),
        }
    }

    /// The bytes that it takes for itself.
    fn holds(&self) -> usize {
        match self {
            Self::Gzip(_) => GZIP_MEMORY,
            Self::Zstd(zstd) => zstd.context.sizeof(),
        }
    }
}

/// A body that is read in shares, as from a socket that has no more for now.
struct Share {
    rest: Bytes,
    left: usize,
}

impl Read for Share {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Share {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let count = self.rest.len().min(self.left);
        if count == 0 && !self.rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.rest[..count])
    }

    fn consume(&mut self, count: usize) {
        self.rest.advance(count);
        self.left -= count;
    }
}

struct Zstd {
    context: DCtx<'static>,
    rest: Bytes,
    is_between_frames: bool,
}

impl Zstd {
    fn new(rest: Bytes) -> io::Result<Self> {
        let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(invalid)?;
        Ok(Self { context, rest, is_between_frames: true })
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_between_frames {
            if self.rest.is_empty() {
                return Ok(0);
            }
            // The library may have been built to read formats from before the standard as well.
            if !is_frame(&self.rest) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let share = self.rest.len().min(INPUT_CHUNK);
        let mut input = InBuffer::around(&self.rest[..share]);
        let mut output = OutBuffer::around(out);
        let missing = self.context.decompress_stream(&mut output, &mut input).map_err(invalid)?;
        let (taken, given) = (input.pos(), output.pos());
        self.rest.advance(taken);
        self.is_between_frames = missing == 0;
        match (taken, given) {
            (0, 0) => Err(io::ErrorKind::UnexpectedEof.into()),
            (_, 0) => Err(io::ErrorKind::WouldBlock.into()),
            (_, given) => Ok(given),
        }
    }
}

/// Whether a frame of RFC 8878 begins here, or one to be skipped.
fn is_frame(bytes: &[u8]) -> bool {
    matches!(bytes, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn invalid(_: usize) -> io::Error {
    io::ErrorKind::InvalidData.into()
}
