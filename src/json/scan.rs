//! The loops over bytes, eight at a time.
//!
//! A word holds the bytes in the order in which they are written, the first one lowest.

/// The byte at a position, 0 behind the end: a byte that is nowhere right in JSON.
#[inline(always)]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
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
    while let Some(word) = word(bytes, at) {
        // A digit becomes 0 to 9; anything else becomes more, and so gets the top bit. The carry from such a byte may
        // spoil those above it, but only the lowest one counts.
        let value = word ^ all(b'0');
        let others = (value.wrapping_add(all(0x80 - 10)) | value) & all(0x80);
        if others != 0 {
            return at + first(others);
        }
        at += 8;
    }
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
