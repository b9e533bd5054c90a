//! TLS on our listeners: certificates, keys and client certificates, read again when their files change.
//!
//! A [`Server`] always has a configuration that works. Its files are looked at once a second; what
//! they hold is taken over once it stayed the same for two looks, since certificate and key are
//! written one after the other. What can't be used is reported, and the old stays in use.
//! Connections keep the configuration that they began with.
//!
//! Sessions are resumed by tickets, which the server needn't store. Where clients must show a certificate
//! nothing is resumed: a resumed session would be let in by what was verified hours ago.
//!
//! Left out: who reads these files in a configuration (see `config`), and what runs inside of TLS.

pub mod peer;
pub mod pem;
pub mod reason;
pub mod validity;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

pub use self::pem::Fault;
use self::validity::Validity;

/// Time between two looks at the files.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What may be spoken inside, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a listener.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate and its chain, the server's own first.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// Who signs the certificates of clients; without it clients need none.
    pub client_ca: Option<PathBuf>,
}

/// One of the files can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`: {fault}")]
pub struct Error {
    /// Its key in the configuration.
    pub file: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The TLS side of a listener.
#[derive(Debug)]
pub struct Server {
    /// What it is called in the log and in `/readyz`.
    name: &'static str,
    files: Files,
    anonymous: Anonymous,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
    mark: Mark,
}

/// Tells whether files changed, without keeping a key in memory once more.
type Mark = [u8; 32];

/// What becomes of clients without a certificate, where certificates are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// They are refused in the handshake.
    Refused,
    /// They may ask for what needs no certificate. One that we don't trust is refused all the same.
    Allowed,
}

impl Server {
    /// A listener's TLS from these files.
    pub fn new(name: &'static str, files: Files, anonymous: Anonymous) -> Result<Arc<Self>, Error> {
        let current = Contents::read(&files)?.build(anonymous)?;
        Ok(Arc::new(Self { name, files, anonymous, current: ArcSwap::from_pointee(current) }))
    }

    /// The handshake with a client that has connected. It ends when the client says so; limit its time.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.current.load().config.clone();
        tokio_rustls::TlsAcceptor::from(config).accept(stream).await
    }

    /// Follow the files for ever. `report` gets what is wrong with them, or nothing once all is well.
    pub async fn follow(self: Arc<Self>, report: impl Fn(Option<&str>)) {
        let mut said: Option<String> = None;
        let mut last = None;
        loop {
            let (mark, problem) = self.clone().look(last).await;
            // While something is being written nothing is said.
            if mark == last && problem != said {
                match &problem {
                    Some(problem) => {
                        warn!(listener = self.name, problem, "a certificate needs attention")
                    }
                    None => info!(listener = self.name, "the certificate is well again"),
                }
                report(problem.as_deref());
                said = problem;
            }
            last = mark;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Look at the files, and take over what differs from what is used and not from the `last` look.
    /// Returns what tells these files from others, if they can be read, and what is wrong.
    async fn look(self: Arc<Self>, last: Option<Mark>) -> (Option<Mark>, Option<String>) {
        let look = tokio::task::spawn_blocking(move || {
            let kept = |error: Error| format!("{error}; the last good certificate stays in use");
            let contents = match Contents::read(&self.files) {
                Ok(contents) => contents,
                Err(error) => return (None, Some(kept(error))),
            };
            let mark = contents.mark();
            if mark != self.current.load().mark && Some(mark) == last {
                match contents.build(self.anonymous) {
                    Ok(new) => {
                        let until = new.validity.map(|validity| validity.to_string());
                        info!(listener = self.name, valid = until, "took over a new certificate");
                        self.current.store(Arc::new(new));
                    }
                    Err(error) => return (Some(mark), Some(kept(error))),
                }
            }
            let validity = self.current.load().validity;
            let problem = validity.and_then(|validity| validity.problem(SystemTime::now()));
            (Some(mark), problem.map(|problem| format!("`cert`: {problem}")))
        });
        // It doesn't panic; if it did, the next look would be due all the same.
        look.await.unwrap_or_default()
    }
}

/// What the files hold.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &Files) -> Result<Self, Error> {
        let read = |file, path: &Path| pem::read(path).map_err(|fault| Error { file, fault });
        let client_ca = files.client_ca.as_deref().map(|path| read("client_ca", path));
        Ok(Self {
            cert: read("cert", &files.cert)?,
            key: read("key", &files.key)?,
            client_ca: client_ca.transpose()?,
        })
    }

    fn mark(&self) -> Mark {
        let mut hash = Sha256::new();
        for part in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()] {
            let part = part.map_or(&[][..], |part| part);
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn build(&self, anonymous: Anonymous) -> Result<Current, Error> {
        let of = |file| move |fault| Error { file, fault };
        let chain = pem::chain(&self.cert).map_err(of("cert"))?;
        let key = pem::key(&self.key).map_err(of("key"))?;
        let validity = chain.first().and_then(|cert| Validity::of(cert));
        let identity = pair(chain, key).map_err(of("key"))?;

        let unusable =
            |file| move |error: rustls::Error| of(file)(Fault::Unusable(error.to_string()));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable("cert"))?;
        let mut config = match &self.client_ca {
            None => {
                let mut config = builder
                    .with_no_client_auth()
                    .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)));
                config.ticketer = ring::Ticketer::new().map_err(unusable("cert"))?;
                config
            }
            Some(text) => {
                let roots = pem::roots(text).map_err(of("client_ca"))?;
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
                if anonymous == Anonymous::Allowed {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier
                    .build()
                    .map_err(|error| of("client_ca")(Fault::Unusable(error.to_string())))?;
                let mut config = builder
                    .with_client_cert_verifier(verifier)
                    .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)));
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config
            }
        };
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Current { config: Arc::new(config), validity, mark: self.mark() })
    }
}

/// A certificate with its key, if the two belong together.
pub fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, Fault> {
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Fault::Mismatch,
        other => Fault::Unusable(other.to_string()),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
