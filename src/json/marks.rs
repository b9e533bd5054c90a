//! Where strings may end: a bit for every byte, found a block ahead.
//!
//! Strings are short, so that looking for the end of each one by itself costs more to begin than to do. The marks of a
//! whole block cost little: the compiler turns their loop into vector instructions, and an end is then found by one load
//! and a count of zeros.

/// How many bytes are marked at once.
const BLOCK: usize = 1024;
/// How many of them by one run of vector instructions.
const LANE: usize = 64;

/// The marks of the block that a reader is in.
pub(super) struct Marks {
    /// The byte that the first bit stands for.
    start: usize,
    /// Eight bytes can be taken from anywhere in the block. Those behind it stay empty.
    bits: [u8; BLOCK / 8 + 8],
}

impl Marks {
    /// No block yet.
    pub(super) const fn new() -> Self {
        Self {
            // So far from every position that none is in the block.
            start: usize::MAX - BLOCK,
            bits: [0; BLOCK / 8 + 8],
        }
    }

    /// The first position from `at` on that holds a quote, a backslash or a control character, or else the length.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let mut offset = at.wrapping_sub(self.start);
            if offset >= BLOCK {
                self.fill(bytes, at);
                offset = 0;
            }
            let word = self.bits[offset / 8..].first_chunk().unwrap_or(&[0; 8]);
            let word = u64::from_le_bytes(*word) >> (offset % 8);
            if word != 0 {
                return at + word.trailing_zeros() as usize;
            }
            at += (LANE - offset % 8).min(BLOCK - offset);
        }
    }

    /// Marks the block that begins at `at`.
    #[inline(never)]
    fn fill(&mut self, bytes: &[u8], at: usize) {
        self.start = at;
        let rest = bytes.get(at..).unwrap_or_default();
        let block = rest.get(..BLOCK).unwrap_or(rest);
        let (lanes, tail) = block.as_chunks::<LANE>();
        let mut bits = self.bits.as_chunks_mut().0.iter_mut();
        for (lane, bits) in lanes.iter().zip(&mut bits) {
            mark(lane, bits);
        }
        if block.len() < BLOCK
            && let Some(bits) = bits.next()
        {
            // Behind the last byte stands a mark, too: no search runs past it.
            let mut lane = [b'"'; LANE];
            lane[..tail.len()].copy_from_slice(tail);
            mark(&lane, bits);
        }
    }
}

/// One bit for each byte, the first one lowest.
#[inline(always)]
fn mark(lane: &[u8; LANE], bits: &mut [u8; LANE / 8]) {
    /// Moves the lowest bit of every byte into the topmost byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut flags = [0; LANE];
    for (flag, &byte) in flags.iter_mut().zip(lane) {
        *flag = u8::from((byte == b'"') | (byte == b'\\') | (byte < 0x20));
    }
    for (bits, flags) in bits.iter_mut().zip(flags.as_chunks().0) {
        *bits = (u64::from_le_bytes(*flags).wrapping_mul(GATHER) >> 56) as u8;
    }
}
