//! Keys as they are written.

use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader};
use ring::digest;

use super::{Algorithm, KeyForm, Scheme};

impl Scheme {
    /// The bytes of a key; nothing where a text can't be one.
    pub fn key_bytes(&self, written: &str) -> Option<Vec<u8>> {
        let written = match written.strip_prefix(self.key_prefix.as_str()) {
            Some(key) => key,
            // Where its provider has secrets too it could be taken for one, and everybody knows it.
            None if self.algorithm.has_public_key() => return None,
            None => written,
        };
        let bytes = match self.key {
            KeyForm::Text => written.as_bytes().to_vec(),
            KeyForm::Base64 => base64(written)?,
            KeyForm::Hex => HEXLOWER_PERMISSIVE.decode(written.as_bytes()).ok()?,
            KeyForm::Spki => public_key(&base64(&unarmored(written))?)?,
            KeyForm::Sha1OfText => {
                let algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;
                digest::digest(algorithm, written.as_bytes()).as_ref().to_vec()
            }
        };
        let is_fit = match self.algorithm {
            // A key of another length would let nobody in, and say nothing.
            Algorithm::Ed25519 => bytes.len() == 32,
            Algorithm::EcdsaP256Sha256 => bytes.len() == 65,
            // Anybody could sign with nothing.
            _ => !written.is_empty() && !bytes.is_empty(),
        };
        is_fit.then_some(bytes)
    }

    /// What a key has to be, in words.
    pub fn key_form(&self) -> String {
        let form = match self.key {
            KeyForm::Text | KeyForm::Sha1OfText => "a text that isn't empty",
            KeyForm::Base64 => "base64",
            KeyForm::Hex => "hex",
            KeyForm::Spki => "a public key in PEM, or its base64",
        };
        let size = match self.algorithm {
            Algorithm::Ed25519 => " of 32 bytes",
            _ => "",
        };
        let prefix = match &*self.key_prefix {
            "" => String::new(),
            prefix if self.algorithm.has_public_key() => format!(" behind `{prefix}`"),
            prefix => format!(", mostly behind `{prefix}`"),
        };
        format!("{form}{size}{prefix}")
    }
}

fn base64(written: &str) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(written.trim_end_matches('=').as_bytes()).ok()
}

/// What stands between the lines of a PEM text (RFC 7468), or the text itself.
fn unarmored(written: &str) -> String {
    written.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect()
}

/// The key in a SubjectPublicKeyInfo (RFC 5280, §4.1): a sequence of an algorithm and a bit string.
fn public_key(info: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(info).ok()?;
    let key = reader.sequence(|reader| {
        AnyRef::decode(reader)?;
        BitStringRef::decode(reader)
    });
    Some(key.ok()?.as_bytes()?.to_vec())
}
