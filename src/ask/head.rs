//! What a worker says of its reply in headers: with which status, content type and headers it is to be sent.

use std::sync::Arc;

use async_nats::HeaderMap;
use tracing::debug;

use super::media_type;
use crate::message::ReplyHead;

/// The status.
const STATUS: &str = "hookbus-status";
/// The media type.
pub(super) const CONTENT_TYPE: &str = "Hookbus-Content-Type";
/// What stands before the names of headers.
const HEADER: &str = "hookbus-header-";
/// Headers that are read.
const MAX_HEADERS: usize = 16;

/// What is said, if anything is. What can't be read is left out: whether the rest is an answer, the source says.
pub(super) fn read(headers: &HeaderMap) -> Option<Arc<ReplyHead>> {
    let mut head = ReplyHead::default();
    for (name, values) in headers.iter() {
        let name = AsRef::<str>::as_ref(name).to_ascii_lowercase();
        let Some(value) = values.first().map(|value| value.as_str().trim()) else { continue };
        if name == STATUS {
            // What is no status is none that a provider reads: then the reply is no answer.
            head.status = Some(value.parse().unwrap_or_default());
        } else if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            head.content_type = content_type(value);
        } else if let Some(name) = name.strip_prefix(HEADER)
            && head.headers.len() < MAX_HEADERS
        {
            head.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    (head != ReplyHead::default()).then(|| Arc::new(head))
}

/// A media type; nothing where a text is none.
pub(super) fn content_type(said: &str) -> Option<String> {
    if !media_type::is_one(said) {
        debug!("a worker's {CONTENT_TYPE} is not a media type, and left out");
        return None;
    }
    Some(said.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::nats::header::insert;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            insert(&mut headers, name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_a_worker_says_is_read() {
        assert_eq!(read(&headers(&[])), None);
        assert_eq!(read(&headers(&[("Other", "x")])), None);
        let said = headers(&[
            ("Hookbus-Status", " 204 "),
            ("hookbus-content-type", "text/xml; charset=utf-8"),
            ("Hookbus-Header-Stripe-Version", "2026-01-01"),
        ]);
        let head = ReplyHead {
            status: Some(204),
            content_type: Some("text/xml; charset=utf-8".to_owned()),
            headers: vec![("stripe-version".to_owned(), "2026-01-01".to_owned())],
        };
        assert_eq!(read(&said), Some(Arc::new(head)));
        let strange = headers(&[("Hookbus-Status", "fine"), ("Hookbus-Content-Type", "*/*")]);
        let head = ReplyHead { status: Some(0), ..ReplyHead::default() };
        assert_eq!(read(&strange), Some(Arc::new(head)));
    }
}
