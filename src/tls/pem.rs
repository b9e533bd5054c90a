//! Certificates and keys in PEM files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Largest file that is read: more than any chain or list of authorities takes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The system doesn't let us.
    #[error("the file can't be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It can't be what was meant.
    #[error("the file is larger than 4 MiB")]
    TooLarge,
    /// It is no text, or is cut off.
    #[error("the file is not PEM")]
    NotPem,
    /// There are other things in it, or nothing.
    #[error("the file holds no certificate")]
    NoCertificate,
    /// There are other things in it, or nothing.
    #[error("the file holds no private key")]
    NoKey,
    /// The key is encrypted, and there is no password for it.
    #[error("the key is encrypted with a passphrase")]
    Encrypted,
    /// It isn't the key of the certificate.
    #[error("the key doesn't belong to the certificate")]
    Mismatch,
    /// The TLS library refuses it.
    #[error("it can't be used: {0}")]
    Unusable(String),
}

impl Fault {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(io::ErrorKind::PermissionDenied) => {
                "let only the user that hookbus runs as read the file"
            }
            Self::Unreadable(_) => {
                "relative paths begin at the directory of the configuration file"
            }
            Self::TooLarge | Self::NotPem | Self::NoCertificate => {
                "a certificate in PEM begins with `-----BEGIN CERTIFICATE-----`; the server's own comes first, then its chain"
            }
            Self::NoKey => {
                "a key in PEM begins with `-----BEGIN PRIVATE KEY-----`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`"
            }
            Self::Encrypted => {
                "take the passphrase off with `openssl pkey -in FILE -out NEW`, and let no other user read the new file"
            }
            Self::Mismatch => {
                "compare what `openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` print; the certificate of the server comes first in its file"
            }
            Self::Unusable(_) => {
                "keys are RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519; certificates are X.509 version 3"
            }
        }
    }
}

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: io::Error| Fault::Unreadable(error.kind());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(Fault::TooLarge) } else { Ok(bytes) }
}

/// All certificates of a file, in their order.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Fault::NotPem)?;
    if chain.is_empty() { Err(Fault::NoCertificate) } else { Ok(chain) }
}

/// The first private key of a file: PKCS#8, PKCS#1 or SEC1.
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    // The older formats say so in a header, which makes what follows no DER.
    const MARKS: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    if MARKS.iter().any(|mark| memchr::memmem::find(pem, mark).is_some()) {
        return Err(Fault::Encrypted);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => Fault::NoKey,
        _ => Fault::NotPem,
    })
}

/// All certificates of a file as authorities to trust.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(|error| Fault::Unusable(error.to_string()))?;
    }
    Ok(roots)
}
