//! The loops over bytes: those of strings sixteen at a time, by instructions that every processor of the kind has; white
//! space eight at a time, in words that hold the bytes in the order in which they are written, the first one lowest.

use wide::u8x16;

/// The byte at a position, 0 behind the end: a byte that is nowhere right in JSON.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The first position from `at` on that holds a quote, a backslash or a control character, or else the length.
#[inline(always)]
pub(super) fn plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let chunk = u8x16::new(*chunk);
        let is_control = chunk.min(u8x16::splat(0x1f)).simd_eq(chunk);
        let is_quote = chunk.simd_eq(u8x16::splat(b'"'));
        let found = is_control | is_quote | chunk.simd_eq(u8x16::splat(b'\\'));
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    while !matches!(byte(bytes, at), b'"' | b'\\' | 0..0x20) {
        at += 1;
    }
    at
}

/// The first position from `at` on that isn't white space.
#[inline(always)]
pub(super) fn space(bytes: &[u8], at: usize) -> usize {
    // Mostly there is none, or one space.
    if byte(bytes, at) > b' ' {
        return at;
    }
    if byte(bytes, at) == b' ' && byte(bytes, at + 1) > b' ' {
        return at + 1;
    }
    spaces(bytes, at)
}

/// A run of white space: mostly a line break and the indentation.
#[inline(never)]
fn spaces(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match byte(bytes, at) {
            b'\n' | b'\r' | b'\t' => at += 1,
            b' ' => match word(bytes, at) {
                // What isn't a space leaves a bit.
                Some(word) if word != all(b' ') => at += first(word ^ all(b' ')),
                Some(_) => at += 8,
                None => at += 1,
            },
            _ => return at,
        }
    }
}

/// The first position from `at` on that isn't a digit.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], mut at: usize) -> usize {
    while byte(bytes, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// The same byte eight times.
const fn all(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// The index of the byte that the lowest bit is in.
#[inline(always)]
fn first(bits: u64) -> usize {
    (bits.trailing_zeros() / 8) as usize
}
