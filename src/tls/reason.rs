//! Why a server and we don't come to terms, in words that say whose turn it is.

use rustls::{AlertDescription, CertificateError, Error};

/// What a failed handshake with a server means. `None` where the error's own text says it as well.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let text = match rustls_error(error)? {
        // Another authority of the same name has signed it.
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the server's certificate is signed by no authority that is trusted here".to_owned(),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the server's certificate has expired".to_owned(),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for other names than this one".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate".to_owned()
        }
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA),
        ) => format!("the server refuses the client certificate ({alert:?})"),
        _ => return None,
    };
    Some(text)
}

/// The error of rustls in a chain of causes. An `io::Error` doesn't count what it holds among them.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        inner
            .and_then(|inner| inner.downcast_ref::<Error>())
            .or_else(|| error.downcast_ref::<Error>())
    })
}
