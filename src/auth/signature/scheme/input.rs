//! What is signed, on its way to a key.

use ring::hmac;
use ring::signature::UnparsedPublicKey;

use crate::auth::secret::same;

/// What is signed, on its way to one key.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it moves nowhere")]
pub(super) enum Input<'a> {
    Mac(hmac::Context),
    Bytes(&'a UnparsedPublicKey<Vec<u8>>, Vec<u8>),
}

impl Input<'_> {
    pub(super) fn update(&mut self, part: &[u8]) {
        match self {
            Self::Mac(context) => context.update(part),
            Self::Bytes(_, bytes) => bytes.extend_from_slice(part),
        }
    }

    /// Which of these signatures is the one; all are looked at.
    pub(super) fn fitting(self, signatures: &[Vec<u8>]) -> Option<usize> {
        let is_it: &dyn Fn(&[u8]) -> bool = match self {
            Self::Mac(context) => {
                let tag = context.sign();
                &move |signature| same(tag.as_ref(), signature)
            }
            Self::Bytes(key, bytes) => &move |signature| key.verify(&bytes, signature).is_ok(),
        };
        let all = signatures.iter().enumerate();
        all.fold(None, |right, (at, signature)| if is_it(signature) { Some(at) } else { right })
    }
}
