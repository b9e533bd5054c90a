//! What is signed, beside the fields of the signature's own header.

use std::borrow::Cow;

use http::request::Parts;
use http::{Uri, header};

use crate::config::piece::Piece;

/// What stands for a piece; nothing where it isn't there.
pub(super) fn bytes<'a>(
    piece: &'a Piece,
    head: &'a Parts,
    url: &'a str,
    body: &'a [u8],
) -> Cow<'a, [u8]> {
    match piece {
        Piece::Text(text) => Cow::Borrowed(text.as_bytes()),
        Piece::Body => Cow::Borrowed(body),
        Piece::Method => Cow::Borrowed(head.method.as_str().as_bytes()),
        Piece::Url => Cow::Borrowed(url.as_bytes()),
        Piece::Path => Cow::Borrowed(head.uri.path().as_bytes()),
        Piece::Header(name) => {
            Cow::Borrowed(head.headers.get(name).map(|value| value.as_bytes()).unwrap_or_default())
        }
        Piece::Hashed(hash, _) => {
            Cow::Owned(hash.unkeyed(body).map(String::into_bytes).unwrap_or_default())
        }
        // Read together with all places, or known to the signature.
        _ => Cow::Borrowed(b""),
    }
}

/// What stands for pieces one of which may hold nothing: then for all of them nothing.
pub(super) fn optional<'a>(
    parts: &'a [Piece],
    bytes: impl Fn(&'a Piece) -> Cow<'a, [u8]>,
) -> Cow<'a, [u8]> {
    let present = |part| {
        let bytes = bytes(part);
        (!bytes.is_empty()).then_some(bytes)
    };
    let parts: Option<Vec<_>> = parts.iter().map(present).collect();
    Cow::Owned(parts.unwrap_or_default().concat())
}

/// The form that the URL was signed in most likely: what the sender was told, with the query that came. Where nobody was
/// told one, what the request looks like.
pub(super) fn url(told: Option<&str>, head: &Parts) -> String {
    match (told, head.uri.query()) {
        (None, _) => ["https://", host(head), &path(head)].concat(),
        (Some(told), Some(query)) if !told.contains('?') => [told, "?", query].concat(),
        (Some(told), _) => told.to_owned(),
    }
}

/// The other forms that it may have been signed in: with and without a port, and without the query.
pub(super) fn other_urls(told: Option<&str>, head: &Parts) -> Vec<String> {
    let Some(told) = told else {
        let path = path(head);
        return vec![["http://", host(head), &path].concat(), path];
    };
    let whole = url(Some(told), head);
    let mut urls = Vec::new();
    if let Ok(uri) = whole.parse::<Uri>()
        && let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host())
    {
        let rest = uri.path_and_query().map_or("", |rest| rest.as_str());
        let usual = if scheme == "https" { 443 } else { 80 };
        urls.push(format!("{scheme}://{host}{rest}"));
        urls.push(format!("{scheme}://{host}:{}{rest}", uri.port_u16().unwrap_or(usual)));
    }
    urls.push(told.to_owned());
    let mut distinct: Vec<String> = Vec::with_capacity(urls.len());
    for url in urls {
        if url != whole && !distinct.contains(&url) {
            distinct.push(url);
        }
    }
    distinct
}

fn host(head: &Parts) -> &str {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or(head.uri.host()).unwrap_or_default()
}

/// The path with the query.
fn path(head: &Parts) -> String {
    head.uri.path_and_query().map_or(head.uri.path(), |path| path.as_str()).to_owned()
}
