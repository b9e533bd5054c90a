//! Looking at the certificate that somebody else's server shows, without trusting it: a TLS library that refused it may
//! only say that it did.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::provider;
use super::validity::Validity;

/// Time for connecting and for the part of a handshake that shows the certificate.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// What is wrong with the dates of the certificate of `host:port`; nothing where they are right, or no certificate is
/// shown.
pub async fn date_problem(host: &str, port: u16) -> Option<String> {
    let certificate = timeout(HANDSHAKE_TIMEOUT, certificate(host, port)).await.ok()??;
    Validity::of(&certificate)?.problem(SystemTime::now())
}

async fn certificate(host: &str, port: u16) -> Option<Vec<u8>> {
    let seen = Arc::new(Seen(Mutex::default()));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TcpStream::connect((host, port)).await.ok()?;
    // It always fails: nothing is trusted, and nothing is sent.
    let _ = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    seen.0.lock().take()
}

/// Notes the first certificate, and refuses it.
#[derive(Debug)]
struct Seen(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock() = Some(certificate.to_vec());
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
