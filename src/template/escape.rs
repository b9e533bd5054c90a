//! Values from outside as parts of a subject.

use sha2::{Digest, Sha256};

/// Longest text that one value becomes in a subject.
pub(super) const MAX_VALUE_BYTES: usize = 128;
/// Hex digits of the hash that stands for what was cut: 128 bits, so that nobody finds two equal ones.
pub(super) const HASH_DIGITS: usize = 32;
/// What stands between the kept part of a value and its hash. No escape looks like it, so that
/// no short value can be mistaken for a cut one.
const CUT: &str = "%-";
/// What stands for a value that is absent or empty. No escape is this short.
const EMPTY: &str = "%";

/// Write a value so that it can't be more than one token, or, with `dots`, as many as it has parts.
pub(super) fn escape(value: &str, dots: bool, out: &mut String) {
    if value.is_empty() {
        out.push_str(EMPTY);
        return;
    }
    let bytes = value.as_bytes();
    let start = out.len();
    // The last place, whole escapes only, where a cut leaves room for the hash.
    let mut cut = start;
    for (at, &byte) in bytes.iter().enumerate() {
        let stays = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => true,
            b'.' => dots && is_inner_dot(bytes, at),
            _ => false,
        };
        if stays {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex(byte >> 4, b'A'));
            out.push(hex(byte & 0xf, b'A'));
        }
        let written = out.len() - start;
        if written <= MAX_VALUE_BYTES - CUT.len() - HASH_DIGITS {
            cut = out.len();
        } else if written > MAX_VALUE_BYTES {
            out.truncate(cut);
            out.push_str(CUT);
            push_hash(Sha256::new_with_prefix(bytes), out);
            return;
        }
    }
}

/// Whether the dot at this place has something other than a dot on both sides.
fn is_inner_dot(bytes: &[u8], at: usize) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'.');
    is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_part(bytes.get(at + 1))
}

pub(super) fn push_hash(hash: Sha256, out: &mut String) {
    for byte in hash.finalize().iter().take(HASH_DIGITS / 2) {
        out.push(hex(byte >> 4, b'a'));
        out.push(hex(byte & 0xf, b'a'));
    }
}

fn hex(nibble: u8, letters: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { letters + nibble - 10 })
}
