//! The file that says which records are done, so that a restart begins with the oldest that isn't.
//!
//! ```text
//! cursor   "hookdone" | next sequence (8) | for each segment: id (8), number of ranges (8), their starts and ends (16)
//!          | checksum (4) of all before
//! ```
//!
//! It is written now and then, as a whole. One that is missing, old or damaged costs repetitions, never records: what a
//! segment holds is not done unless the cursor names the segment's own random id.

use std::collections::HashMap;

use bytes::Buf;
use crc32c::crc32c;

use super::ranges::Ranges;

const MAGIC: &[u8] = b"hookdone";

/// What is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The sequence of the record that comes next, so that none is used twice.
    pub(super) next: u64,
    /// What is done, by the id of its segment.
    pub(super) done: HashMap<u64, Ranges>,
}

impl Cursor {
    /// The content of the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.next.to_le_bytes());
        for (id, ranges) in &self.done {
            let ranges = ranges.iter();
            out.extend(id.to_le_bytes());
            out.extend((ranges.len() as u64).to_le_bytes());
            for range in ranges {
                out.extend(range.start.to_le_bytes());
                out.extend(range.end.to_le_bytes());
            }
        }
        out.extend(crc32c(&out).to_le_bytes());
        out
    }

    /// What a file says, if it is whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (mut rest, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32c(rest) != u32::from_le_bytes(*checksum) || !rest.starts_with(MAGIC) {
            return None;
        }
        rest.advance(MAGIC.len());
        let mut cursor = Self { next: rest.try_get_u64_le().ok()?, done: HashMap::new() };
        while rest.has_remaining() {
            let ranges = cursor.done.entry(rest.try_get_u64_le().ok()?).or_default();
            for _ in 0..rest.try_get_u64_le().ok()? {
                let (start, end) = (rest.try_get_u64_le().ok()?, rest.try_get_u64_le().ok()?);
                ranges.insert(start..end);
            }
        }
        Some(cursor)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let mut cursor = Cursor { next: 9, ..Cursor::default() };
        cursor.done.entry(1).or_default().insert(3..5);
        cursor.done.entry(1).or_default().insert(7..8);
        cursor.done.entry(2).or_default();
        let bytes = cursor.bytes();
        assert_eq!(Cursor::read(&bytes).unwrap(), cursor);
        for length in 0..bytes.len() {
            assert_eq!(Cursor::read(&bytes[..length]), None);
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cursor::read(&bytes), None);
        }
    }
}
