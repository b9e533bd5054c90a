//! Who may ask the admin listener for more than health and metrics.
//!
//! Where certificates or a token are configured, one of them lets a request in. Where neither is, only this machine is let
//! in: requests over loopback, under a host name that nobody else can point here. Requests of other web pages never are: a
//! page can make a browser on this machine send requests to any address, but the browser says which page they come from.
//!
//! The console's own files hold no secret. They are served to every request that is let in, or that only lacks the token.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::auth::secret::Secret;
use crate::config;
use crate::server::ClientCertificate;

/// What requests are held against.
pub struct Guard {
    address: IpAddr,
    /// There are certificates that let in.
    has_authority: bool,
    token: ArcSwapOption<Secret>,
}

impl Guard {
    /// For a listener at this address.
    pub fn new(address: IpAddr, config: &config::Admin) -> Self {
        let has_authority = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let guard = Self { address, has_authority, token: ArcSwapOption::empty() };
        guard.set_token(config.token.as_ref());
        guard
    }

    /// Ask for this token from now on.
    pub fn set_token(&self, token: Option<&config::secret::Secret>) {
        let bearer = |token: &config::secret::Secret| {
            let tokens = std::slice::from_ref(token);
            Arc::new(Secret::new(header::AUTHORIZATION.as_str(), "Bearer ", tokens))
        };
        self.token.store(token.map(bearer));
    }

    /// Whether this request is permitted.
    pub(super) fn check(&self, request: &Request) -> Result<(), Refused> {
        if !is_own(request) {
            return Err(Refused::WebPage);
        }
        self.who(request)
    }

    /// Whether the console's own files may be served: the page asks for the token itself.
    pub(super) fn check_page(&self, request: &Request) -> Result<(), Refused> {
        match self.who(request) {
            Err(Refused::Token) => Ok(()),
            other => other,
        }
    }

    fn who(&self, request: &Request) -> Result<(), Refused> {
        if request.extensions().get::<ClientCertificate>().is_some() {
            return Ok(());
        }
        if let Some(token) = &*self.token.load() {
            return token.accepts(request.headers()).map(drop).map_err(|_| Refused::Token);
        }
        if self.has_authority {
            return Err(Refused::Certificate);
        }
        if !self.address.is_loopback() {
            return Err(Refused::Address);
        }
        if host(request).is_some_and(is_local) { Ok(()) } else { Err(Refused::Host) }
    }
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("requests of other web pages are not answered")]
    WebPage,
    #[error(
        "this needs the token of the admin listener\nhint: send `authorization: Bearer ...` with the `token` of [admin]"
    )]
    Token,
    #[error("this needs a client certificate that the `client_ca` of [admin.tls] has signed")]
    Certificate,
    #[error(
        "this is answered on loopback only, and `admin.listen` is another address\n\
         hint: set `token` in [admin], or `client_ca` in [admin.tls]; or set `admin.listen` to a loopback address, \
         such as \"127.0.0.1:9180\""
    )]
    Address,
    #[error(
        "the host of the request must be an IP address or localhost, and not a name that anyone could point at this machine"
    )]
    Host,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = format!("{self}\n");
        match self {
            Self::Token => {
                let scheme = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                (StatusCode::UNAUTHORIZED, [scheme], text).into_response()
            }
            _ => (StatusCode::FORBIDDEN, text).into_response(),
        }
    }
}

/// The host that a request asks for, with its port.
fn host(request: &Request) -> Option<&str> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or(host)
}

/// Whether a request comes from no page, or from one that was loaded from here. Browsers say which; older ones say it only
/// of requests that could change something.
fn is_own(request: &Request) -> bool {
    let headers = request.headers();
    let is_here = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let origin = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        origin.zip(host(request)).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    let is_no_other = |site: &HeaderValue| site == "same-origin" || site == "none";
    headers.get_all(header::ORIGIN).iter().all(is_here)
        && headers.get_all("sec-fetch-site").iter().all(is_no_other)
}

/// Whether no name service was asked for this host, with or without a port.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own_with(headers: &[(&str, &str)]) -> bool {
        let request = Request::builder().uri("/tail").header("host", "127.0.0.1:9180");
        let add = |request: http::request::Builder, header: &(&str, &str)| {
            request.header(header.0, header.1)
        };
        let request = headers.iter().fold(request, add).body(axum::body::Body::empty());
        request.is_ok_and(|request| is_own(&request))
    }

    #[test]
    fn other_pages_are_told_by_what_browsers_say() {
        let own = ("origin", "http://127.0.0.1:9180");
        assert!(is_own_with(&[]));
        assert!(is_own_with(&[own, ("sec-fetch-site", "same-origin")]));
        assert!(is_own_with(&[("sec-fetch-site", "none")]));
        for other in [
            "http://127.0.0.1:9181",
            "http://localhost:9180",
            "null",
            "",
            "127.0.0.1:9180",
            "ws://127.0.0.1:9180",
        ] {
            assert!(!is_own_with(&[("origin", other)]), "{other}");
            assert!(!is_own_with(&[own, ("origin", other)]), "{other}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert!(!is_own_with(&[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn only_names_that_nobody_else_gives_are_local() {
        for host in
            ["127.0.0.1:9180", "127.0.0.1", "[::1]:9180", "[::1]", "localhost:1", "LOCALHOST"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.example.com:9180", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
