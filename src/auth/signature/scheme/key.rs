//! Keys, ready to be used.

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use crate::config::scheme::{self, Algorithm};

/// A key.
#[derive(Debug)]
pub(super) enum Key {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

/// A key, if it is written as it should be.
pub(super) fn key(settings: &scheme::Scheme, written: &str) -> Option<Key> {
    let bytes = settings.key_bytes(written)?;
    let secret = |algorithm| Key::Secret(hmac::Key::new(algorithm, &bytes));
    let public: &'static dyn VerificationAlgorithm = match settings.algorithm {
        Algorithm::HmacSha1 => return Some(secret(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)),
        Algorithm::HmacSha256 => return Some(secret(hmac::HMAC_SHA256)),
        Algorithm::HmacSha512 => return Some(secret(hmac::HMAC_SHA512)),
        Algorithm::Ed25519 => &ED25519,
        Algorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    Some(Key::Public(UnparsedPublicKey::new(public, bytes)))
}
