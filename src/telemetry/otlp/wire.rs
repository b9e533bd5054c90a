//! How Protocol Buffers write a field (<https://protobuf.dev/programming-guides/encoding/>).

/// The low bits of a field's key: what follows it.
pub(super) const VARINT: u8 = 0;
/// Eight bytes.
pub(super) const FIXED_64: u8 = 1;
/// A size, and so many bytes.
pub(super) const BYTES: u8 = 2;
/// Four bytes.
pub(super) const FIXED_32: u8 = 5;

/// The key of a field below 16.
pub(super) const fn key(number: u8, how: u8) -> u8 {
    number << 3 | how
}

/// A field of bytes, of text or of a message.
pub(super) fn bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(key(number, BYTES));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How much [`bytes`] writes for so many.
pub(super) const fn field_size(bytes: usize) -> usize {
    1 + varint_size(bytes as u64) + bytes
}

/// A number, or the size of what follows.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How much [`varint`] writes.
pub(super) const fn varint_size(number: u64) -> usize {
    (64 - (number | 1).leading_zeros()).div_ceil(7) as usize
}
