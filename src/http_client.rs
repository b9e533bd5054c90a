//! The HTTP client for the commands and for the OpenTelemetry collector.

use reqwest::{Client, ClientBuilder, Url, redirect};

/// A client for this address; it says who it is and follows no redirects.
pub fn builder(to: &Url) -> ClientBuilder {
    let mut builder = Client::builder()
        .user_agent(concat!("hookbus/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none());
    if is_loopback(to) {
        builder = builder.no_proxy();
    }
    if to.scheme() == "http" {
        // Without it the system's certificates are loaded, which takes time and fails where there are none.
        builder = builder.tls_certs_only([]);
    }
    builder
}

/// Whether this address is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The innermost cause, which is the part that says something.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_not_asked_for_this_machine() {
        for (url, local) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost/", true),
            ("http://example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), local, "{url}");
        }
    }
}
