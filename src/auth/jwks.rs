//! The keys that tokens are signed with (RFC 7517), from a URL or a file: cached, and fetched again when they change.
//!
//! Keys that were fetched stay in use while their server is down. A token whose key is not among them makes us
//! look again, at most every [`MIN_FETCH_INTERVAL`], so that nobody can make us ask the server at will: the attempt counts from
//! its beginning, it belongs to a task and not to the request that caused it, and all endpoints that name the same
//! place share it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use parking_lot::Mutex;
use ring::signature::{self as signatures, RsaPublicKeyComponents, UnparsedPublicKey};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::Cause;

/// Least time from the start of one fetch to the start of the next.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// Age at which keys are fetched again.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Time for one fetch, and for a request that waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest JWKS, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Where the keys come from.
enum KeySource {
    Url(reqwest::Url),
    File(PathBuf),
}

/// The keys of all issuers that a process knows, by where they come from.
#[derive(Default)]
pub struct Issuers(Mutex<HashMap<String, Weak<Inner>>>);

impl Issuers {
    /// The keys at a URL, or in a file.
    pub(super) fn keys(&self, place: &str) -> Keys {
        let mut known = self.0.lock();
        known.retain(|_, inner| inner.strong_count() > 0);
        if let Some(inner) = known.get(place).and_then(Weak::upgrade) {
            return Keys(inner);
        }
        let inner = Arc::new(Inner::new(place));
        known.insert(place.to_owned(), Arc::downgrade(&inner));
        Keys(inner)
    }
}

/// A set of keys.
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    place: KeySource,
    set: ArcSwapOption<Set>,
    look: Mutex<Look>,
}

struct Set {
    keys: Vec<Jwk>,
    fetched: Instant,
}

/// The last look for keys.
#[derive(Default)]
struct Look {
    began: Option<Instant>,
    /// Closed when it ends; unset when none is under way.
    running: Option<watch::Receiver<()>>,
    has_failed: bool,
}

impl Keys {
    /// Look now, unless somebody just did.
    pub(super) async fn refresh(&self) {
        self.0.current(None).await;
    }

    /// The keys that may have signed a token.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Cause> {
        let known = self.0.set.load_full();
        if let Some(set) = &known {
            let found = set.find(kid, algorithm);
            if !found.is_empty() {
                if set.fetched.elapsed() > MAX_AGE {
                    self.0.look(Some(set.fetched));
                }
                return Ok(found);
            }
        }
        // A key that is new, or none at all.
        let seen = known.map(|set| set.fetched);
        let Ok(is_current) = timeout(FETCH_TIMEOUT, self.0.current(seen)).await else {
            return Err(Cause::Undecided);
        };
        let set = self.0.set.load_full();
        let found = set.map(|set| set.find(kid, algorithm)).unwrap_or_default();
        match (found.is_empty(), is_current) {
            (false, _) => Ok(found),
            (true, true) => Err(Cause::Mismatch),
            (true, false) => Err(Cause::Undecided),
        }
    }
}

impl Inner {
    fn new(place: &str) -> Self {
        let is_url = place.starts_with("https://") || place.starts_with("http://");
        let url = place.parse().ok().filter(|_| is_url);
        let place = url.map_or_else(|| KeySource::File(place.into()), KeySource::Url);
        Self { place, set: ArcSwapOption::empty(), look: Mutex::default() }
    }

    /// Wait for keys newer than those of `seen`, if they are being looked for. Returns whether what we have is what
    /// there is.
    async fn current(self: &Arc<Self>, seen: Option<Instant>) -> bool {
        if let Some(mut running) = self.look(seen) {
            // Nothing is ever sent: it ends by being closed.
            let _ = running.changed().await;
        }
        !self.look.lock().has_failed
    }

    /// Look for keys newer than those of `seen`, unless that is being done or was done a moment ago. Whoever asked
    /// may go away: neither the look nor the pause after it ends with that.
    fn look(self: &Arc<Self>, seen: Option<Instant>) -> Option<watch::Receiver<()>> {
        let mut look = self.look.lock();
        if look.running.is_some() {
            return look.running.clone();
        }
        let set = self.set.load_full().map(|set| set.fetched);
        if set > seen || look.began.is_some_and(|began| began.elapsed() < MIN_FETCH_INTERVAL) {
            return None;
        }
        let (end, running) = watch::channel(());
        look.began = Some(Instant::now());
        look.running = Some(running.clone());
        let looking = Looking { inner: self.clone(), _end: end };
        tokio::spawn(async move {
            let result = looking.inner.fetch().await;
            looking.inner.note(result);
        });
        Some(running)
    }

    fn note(&self, result: Result<Vec<Jwk>, String>) {
        let mut look = self.look.lock();
        match result {
            Ok(keys) => {
                debug!(keys = keys.len(), "fetched the keys of tokens");
                self.set.store(Some(Arc::new(Set { keys, fetched: Instant::now() })));
                look.has_failed = false;
            }
            Err(error) => {
                if !look.has_failed {
                    warn!(place = %self.place, error, "cannot fetch the keys of tokens");
                }
                look.has_failed = true;
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let bytes = match &self.place {
            // A file that hangs, such as a pipe, holds up this look, and with it all later ones: there is never more
            // than one thread in it.
            KeySource::File(path) => read(path).await.map_err(|error| error.to_string())?,
            KeySource::Url(url) => timeout(FETCH_TIMEOUT, download(url.clone()))
                .await
                .map_err(|_| format!("no answer within {} s", FETCH_TIMEOUT.as_secs()))??,
        };
        if bytes.len() > MAX_BYTES {
            return Err(format!("larger than {MAX_BYTES} bytes"));
        }
        // Keys that we can't use are no reason to refuse the others.
        let set: RawSet = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<Jwk> = keys.filter(is_for_signatures).collect();
        if keys.is_empty() {
            Err("there is no key for signatures in it".to_owned())
        } else {
            Ok(keys)
        }
    }
}

/// A look that is under way; when it is over, however it ends, the next one may begin.
struct Looking {
    inner: Arc<Inner>,
    _end: watch::Sender<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.inner.look.lock().running = None;
    }
}

#[derive(serde::Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

/// A public key that is meant for signatures. What has no known kind the library takes all the same.
fn is_for_signatures(key: &Jwk) -> bool {
    let is_public = matches!(
        key.algorithm,
        AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
    );
    let purpose = key.common.public_key_use.as_ref();
    is_public && purpose.is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
}

/// At most one byte more than a set may have.
async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn download(url: reqwest::Url) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let client =
        reqwest::Client::builder().http1_only().timeout(FETCH_TIMEOUT).build().map_err(failed)?;
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend(&chunk);
        if bytes.len() > MAX_BYTES {
            return Err(format!("larger than {MAX_BYTES} bytes"));
        }
    }
    Ok(bytes)
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Whatever is in its path or its query may be secret.
            Self::Url(url) => f.write_str(url.host_str().unwrap_or_default()),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Set {
    /// The keys with this id, or all if the token names none, that fit the algorithm.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let is_named = |key: &&Jwk| match (kid, &key.common.key_id) {
            (Some(kid), Some(id)) => kid == id,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let fits = |key: &&Jwk| {
            let said = key.common.key_algorithm.map(|said| said.to_string().parse());
            said.is_none_or(|said| said.ok() == Some(algorithm)) && is_of(key, algorithm)
        };
        let keys = self.keys.iter().filter(is_named).filter(fits);
        keys.filter_map(|key| DecodingKey::from_jwk(key).ok()).collect()
    }
}

/// Whether a key is of the kind that an algorithm needs.
fn is_of(key: &Jwk, algorithm: Algorithm) -> bool {
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => algorithm.family() == AlgorithmFamily::Rsa,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            key.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        _ => false,
    }
}

/// The library leaves the signatures to others; here it is the same that TLS uses.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: cannot_sign,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // The second endpoint with tokens finds it installed.
    let _ = PROVIDER.install_default();
}

fn cannot_sign(_: &Algorithm, _: &EncodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(
    algorithm: &Algorithm,
    key: &DecodingKey,
) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    Ok(Box::new(Ring { algorithm: *algorithm, key: key.clone() }))
}

/// Signatures by the `ring` library.
struct Ring {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        if self.algorithm.family() != self.key.family() {
            return Err(Error::new());
        }
        let rsa = match self.algorithm {
            Algorithm::RS256 => &signatures::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signatures::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signatures::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signatures::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signatures::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signatures::RSA_PSS_2048_8192_SHA512,
            _ => {
                let algorithm: &dyn signatures::VerificationAlgorithm = match self.algorithm {
                    Algorithm::ES256 => &signatures::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &signatures::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDSA => &signatures::ED25519,
                    _ => return Err(Error::new()),
                };
                let key = self.key.try_get_as_bytes().map_err(|_| Error::new())?;
                let key = UnparsedPublicKey::new(algorithm, key);
                return key.verify(message, signature).map_err(|_| Error::new());
            }
        };
        let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else {
            return Err(Error::new());
        };
        let key = RsaPublicKeyComponents { n, e };
        key.verify(rsa, message, signature).map_err(|_| Error::new())
    }
}

#[cfg(test)]
mod tests;
