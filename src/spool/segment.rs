//! The bytes of a segment, and how they are read again after whatever happened to them.
//!
//! Numbers are little endian, checksums are CRC32C:
//!
//! ```text
//! segment  header | header again | frame … | footer, once nothing more is added
//! header   "hookbus", 1 | id (8) | first sequence (8) | time (8) | checksum (4) of all before
//! frame    length (4) | sequence (8) | time (8) | checksum (4) of the body | checksum (4) of all before | body
//! footer   a frame with the highest sequence there is; its body is the sequence after the last frame
//! ```
//!
//! Times are Unix milliseconds. The header stands twice, so that a flipped bit in it doesn't take the segment away. The id
//! is random, and the checksums of frame heads begin with it: nobody outside can make up bytes that, inside a payload,
//! look like a frame. So after damage the next byte at which a frame head is right is where the next frame begins.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};

use super::disk::{File, read_up_to};

/// The version of the format is its last byte.
const MAGIC: [u8; 8] = *b"hookbus\x01";
const HEADER: usize = 36;
const HEAD: usize = 28;
/// The sequence of a footer.
const FOOTER: u64 = u64::MAX;

/// Bytes before the first frame.
pub(super) const START: u64 = 2 * HEADER as u64;
/// Bytes of a footer.
pub(super) const END: u64 = HEAD as u64 + 8;
/// Bytes that are read at once.
const READ_CHUNK: usize = 256 << 10;

/// How many bytes a body takes.
pub(super) fn size(body: usize) -> u64 {
    (HEAD + body) as u64
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    /// Sequence of the first frame.
    pub(super) first: u64,
    /// When it was begun.
    pub(super) time: u64,
}

impl Header {
    /// The bytes before the first frame.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut one = MAGIC.to_vec();
        for number in [self.id, self.first, self.time] {
            one.extend(number.to_le_bytes());
        }
        one.extend(crc32c(&one).to_le_bytes());
        one.repeat(2)
    }

    /// The header of a file, if one of its two copies is whole.
    pub(super) fn read(file: &dyn File) -> io::Result<Option<Self>> {
        let mut bytes = [0; 2 * HEADER];
        let length = read_up_to(file, &mut bytes, 0)?;
        let mut copies = bytes[..length].chunks_exact(HEADER);
        Ok(copies.find_map(|copy| {
            let (content, checksum) = copy.split_at(HEADER - 4);
            let is_whole = content.starts_with(&MAGIC) && crc32c(content) == u32_at(checksum, 0);
            is_whole.then(|| Self {
                id: u64_at(content, 8),
                first: u64_at(content, 16),
                time: u64_at(content, 24),
            })
        }))
    }

    fn seed(id: u64) -> u32 {
        crc32c(&id.to_le_bytes())
    }
}

/// The bytes before a body, for the segment of this id.
pub(super) fn head(id: u64, sequence: u64, time: u64, length: usize, checksum: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&sequence.to_le_bytes());
    head[12..20].copy_from_slice(&time.to_le_bytes());
    head[20..24].copy_from_slice(&checksum.to_le_bytes());
    let own = crc32c_append(Header::seed(id), &head[..24]);
    head[24..].copy_from_slice(&own.to_le_bytes());
    head
}

/// The bytes that say that nothing more comes.
pub(super) fn footer(id: u64, next: u64) -> Vec<u8> {
    let body = next.to_le_bytes();
    let mut footer = head(id, FOOTER, 0, body.len(), crc32c(&body)).to_vec();
    footer.extend(body);
    footer
}

/// The sequence after the last frame, if the file ends with a footer.
pub(super) fn read_footer(file: &dyn File, id: u64, length: u64) -> io::Result<Option<u64>> {
    let Some(at) = length.checked_sub(END).filter(|at| *at >= START) else {
        return Ok(None);
    };
    let mut bytes = [0; END as usize];
    read_up_to(file, &mut bytes, at)?;
    let next = u64_at(&bytes, HEAD);
    Ok((bytes[..] == footer(id, next)).then_some(next))
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    pub(super) time: u64,
    /// Where it begins.
    pub(super) start: u64,
    /// Where the next one begins.
    pub(super) end: u64,
}

/// What stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A whole frame.
    Frame(Frame),
    /// Bytes that are none.
    Damage(Range<u64>),
}

/// Reads the frames of a part of a segment. Memory: one chunk, or the largest frame.
pub(super) struct Scan {
    file: Arc<dyn File>,
    seed: u32,
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    place: u64,
}

impl Scan {
    /// Over the frames between these offsets.
    pub(super) fn new(file: Arc<dyn File>, id: u64, part: Range<u64>) -> Self {
        Self {
            file,
            seed: Header::seed(id),
            offset: part.start,
            end: part.end,
            buffer: Vec::new(),
            place: 0,
        }
    }

    /// The next frame, or what stands in its place; nothing at the end or at a footer.
    pub(super) fn next(&mut self) -> io::Result<Option<Scanned>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let start = self.offset;
        let frame = loop {
            match self.frame(self.offset)? {
                None if self.offset < self.end => self.offset += 1,
                found => break found,
            }
        };
        if self.offset > start {
            return Ok(Some(Scanned::Damage(start..self.offset)));
        }
        Ok(frame.filter(|frame| frame.sequence != FOOTER).map(|frame| {
            self.offset = frame.end;
            Scanned::Frame(frame)
        }))
    }

    /// The body of the frame that was just found.
    pub(super) fn body(&mut self, frame: &Frame) -> io::Result<&[u8]> {
        let from = frame.start + HEAD as u64;
        self.bytes(from, (frame.end - from) as usize)
    }

    /// The frame that begins here, if it is whole.
    fn frame(&mut self, start: u64) -> io::Result<Option<Frame>> {
        let left = self.end - start;
        if left < HEAD as u64 {
            return Ok(None);
        }
        let seed = self.seed;
        let head = self.bytes(start, HEAD)?;
        if crc32c_append(seed, &head[..24]) != u32_at(head, 24) {
            return Ok(None);
        }
        let length = u32_at(head, 0) as usize;
        let (sequence, time) = (u64_at(head, 4), u64_at(head, 12));
        let checksum = u32_at(head, 20);
        let end = start + size(length);
        let frame = Frame { sequence, time, start, end };
        if end > self.end || crc32c(self.body(&frame)?) != checksum {
            return Ok(None);
        }
        Ok(Some(frame))
    }

    fn bytes(&mut self, from: u64, length: usize) -> io::Result<&[u8]> {
        let held = self.place..self.place + self.buffer.len() as u64;
        if from < held.start || from + length as u64 > held.end {
            let rest = usize::try_from(self.end - from).unwrap_or(usize::MAX);
            self.buffer.resize(length.max(READ_CHUNK).min(rest), 0);
            let read = read_up_to(&*self.file, &mut self.buffer, from)?;
            // The file is shorter than it was: what is missing reads as zeros, and so as damage.
            self.buffer[read..].fill(0);
            self.place = from;
        }
        let at = (from - self.place) as usize;
        Ok(&self.buffer[at..at + length])
    }
}

/// The number at a place that was checked to be there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The number at a place that was checked to be there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests;
