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

/// The forms that the URL may have been signed in: what the sender was told, the same with the query that came, and that
/// with and without a port. Where nobody was told one, what the request looks like.
pub(super) fn urls(told: Option<&str>, head: &Parts) -> Vec<String> {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let Some(told) = told else {
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(head.uri.host()).unwrap_or_default();
        let path = [head.uri.path(), &query].concat();
        return vec![format!("https://{host}{path}"), format!("http://{host}{path}"), path];
    };
    let whole = if told.contains('?') { told.to_owned() } else { format!("{told}{query}") };
    // The likely ones first.
    let mut urls = vec![whole.clone()];
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
        if !distinct.contains(&url) {
            distinct.push(url);
        }
    }
    distinct
}
