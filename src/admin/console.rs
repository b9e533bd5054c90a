//! The console: the page at `/`, and its files below `/console/`.
//!
//! They are plain HTML, CSS and ES modules, compiled into this program, and compressed once, at the first request. The page
//! reads the same JSON that scripts can. It loads nothing from elsewhere, and what it shows can't become markup: the policy
//! that comes with each answer forbids all code but that of these files.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/admin/console");

/// The name of the page itself.
const PAGE: &str = "index.html";

/// Nothing from elsewhere, no code but that of the files, no frame around them, and no markup made of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// One file.
struct File {
    name: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    compressed: Bytes,
}

static COMPRESSED: LazyLock<Vec<File>> =
    LazyLock::new(|| FILES.files().filter_map(File::new).collect());

impl File {
    fn new(file: &'static include_dir::File<'static>) -> Option<Self> {
        let name = file.path().to_str()?;
        let content_type = match name.rsplit_once('.')?.1 {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => return None,
        };
        let plain = file.contents();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).ok()?;
        Some(Self { name, content_type, plain, compressed: encoder.finish().ok()?.into() })
    }
}

/// Whether a client accepts gzip by name, and doesn't give it the weight zero (RFC 9110, §12.5.3). All clients take the
/// plain file.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = accepted.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    let mut weights = codings.filter_map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
        name.trim().eq_ignore_ascii_case("gzip").then(|| weight.parse::<f32>().unwrap_or_default())
    });
    weights.next().is_some_and(|weight| weight > 0.0)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = COMPRESSED.iter().find(|file| file.name == name) else {
        return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response();
    };
    let content_type = (header::CONTENT_TYPE, file.content_type);
    if takes_gzip(headers) {
        let encoding = (header::CONTENT_ENCODING, "gzip");
        ([content_type, encoding], file.compressed.clone()).into_response()
    } else {
        ([content_type], file.plain).into_response()
    }
}

/// The page and its files.
pub(super) fn router() -> Router {
    Router::new().route("/", get(async |headers: HeaderMap| answer(PAGE, &headers))).route(
        "/console/{name}",
        get(async |Path(name): Path<String>, headers: HeaderMap| answer(&name, &headers)),
    )
}

/// What every answer of the listener tells a browser.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Adds these to every answer of the listener.
pub(super) async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all files together may take, compressed.
    const MAX_BYTES: usize = 80 << 10;

    #[test]
    fn all_of_it_is_small() {
        let size: usize = COMPRESSED.iter().map(|file| file.compressed.len()).sum();
        println!("{} files, {size} bytes", COMPRESSED.len());
        assert!(size <= MAX_BYTES, "{size}");
        assert_eq!(COMPRESSED.len(), FILES.files().count(), "a file of a kind that isn't known");
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |accepted: &'static str| {
            let value = HeaderValue::from_static(accepted);
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        for accepted in ["gzip", "br, GZIP;q=0.8", "gzip ; q=1.000", "deflate,gzip;q=0.001"] {
            assert!(takes(accepted), "{accepted}");
        }
        for accepted in
            ["", "br", "gzip;q=0", "gzip; q=0.000", "gzip;q=x", "x-gzip", "identity, gzip;q=0.0"]
        {
            assert!(!takes(accepted), "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_file_that_one_names_is_there() {
        let is_name = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
        for file in COMPRESSED.iter() {
            let text = String::from_utf8_lossy(file.plain);
            for start in ["/console/", "from './", "import './"] {
                for rest in text.split(start).skip(1) {
                    let name = rest.split(is_name).next().unwrap_or_default();
                    let is_there = COMPRESSED.iter().any(|file| file.name == name);
                    assert!(is_there, "{} names {name}", file.name);
                }
            }
        }
    }
}
