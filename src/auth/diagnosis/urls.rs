//! Other URLs that a provider may have been told.

use http::request::Parts;
use http::{HeaderMap, Uri};

/// Hosts and paths that are tried of each.
const MAX_PARTS: usize = 4;

/// URLs without a query, likely ones first: the scheme, the host and the path of the configured one and of the request.
pub(super) fn candidates(told: Option<&str>, head: &Parts) -> Vec<String> {
    let told: Option<Uri> = told.and_then(|told| told.parse().ok());
    let of_told = |part: fn(&Uri) -> Option<&str>| told.as_ref().and_then(part);
    let hosts = [
        of_told(|uri| uri.authority().map(|authority| authority.as_str())),
        first(&head.headers, "x-forwarded-host"),
        first(&head.headers, "host"),
        head.uri.authority().map(|authority| authority.as_str()),
    ];
    let mut paths: Vec<String> = Vec::new();
    for path in [of_told(|uri| Some(uri.path())), Some(head.uri.path())].into_iter().flatten() {
        let bare = path.trim_end_matches('/');
        paths.extend([path.to_owned(), bare.to_owned(), format!("{bare}/")]);
    }
    let mut all: Vec<String> = Vec::new();
    for host in hosts.into_iter().flatten().take(MAX_PARTS) {
        for path in paths.iter().take(2 * MAX_PARTS) {
            for scheme in ["https", "http"] {
                let url = format!("{scheme}://{host}{path}");
                if !all.contains(&url) {
                    all.push(url);
                }
            }
        }
    }
    all
}

/// The first element of a header; proxies append theirs.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split(',').next().map(str::trim).filter(|host| !host.is_empty())
}
