//! The header `traceparent` (W3C Trace Context).

use std::sync::Arc;

use data_encoding::HEXLOWER;

/// Longest header that is read. Later versions may append something, but not anything.
const MAX_BYTES: usize = 256;

/// What names a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The trace that it is in.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
}

impl Ids {
    /// The header that names it.
    pub(super) fn header(&self, Flags(flags): Flags) -> Arc<str> {
        // Each webhook gets one, also where nothing is recorded: it is written in place, and allocated once.
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        HEXLOWER.encode_mut(&self.trace, &mut header[3..35]);
        HEXLOWER.encode_mut(&self.span, &mut header[36..52]);
        HEXLOWER.encode_mut(&[flags], &mut header[53..]);
        // Digits and hyphens are text.
        std::str::from_utf8(&header).unwrap_or_default().into()
    }
}

/// Eight flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// The trace is recorded.
    const SAMPLED: u8 = 1;
    /// The trace id is random.
    const RANDOM: u8 = 2;

    /// Those of a trace that begins here.
    pub(super) fn sampled(is_sampled: bool) -> Self {
        Self(if is_sampled { Self::SAMPLED } else { 0 })
    }

    pub(super) fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }
}

/// The span that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) ids: Ids,
    /// Those that are known.
    pub(super) flags: Flags,
}

impl Parent {
    /// Read a header; nothing if it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut parts = text.split('-');
        let [version] = hex(parts.next()?)?;
        let (trace, span) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags] = hex::<1>(parts.next()?)?;
        let is_nothing = version == 0xff || trace == [0; 16] || span == [0; 8];
        if is_nothing || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let flags = Flags(flags & (Flags::SAMPLED | Flags::RANDOM));
        Some(Self { ids: Ids { trace, span }, flags })
    }
}

/// So many bytes in lower case.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_whole = text.len() == 2 * N && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok();
    is_whole.then_some(bytes)
}
