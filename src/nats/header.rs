//! Header values from texts that come from outside.

use std::borrow::Cow;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Put a header into a map. The only place where that is done: with plain text it would panic on a line break.
#[expect(
    clippy::disallowed_methods,
    reason = "the value was made by its FromStr, which refuses line breaks"
)]
pub fn insert(headers: &mut HeaderMap, name: &'static str, value: HeaderValue) {
    headers.insert(HeaderName::from_static(name), value);
}

/// A text from outside as a header value, percent-encoded as the NATS binding of CloudEvents has it:
/// white space, quotes, `%`, control characters and everything that isn't ASCII (HTTP binding, §3.1.3.2).
pub fn encoded(text: &str) -> HeaderValue {
    const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
    // Mostly there is nothing to encode. All bytes are looked at, sixteen at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| {
        plain & matches!(byte, b'!'..=b'~') & (byte != b'"') & (byte != b'%')
    });
    let encoded: Cow<'_, str> = match is_plain {
        true => text.into(),
        false => utf8_percent_encode(text, ENCODED).into(),
    };
    // The rest is visible ASCII, which every header takes.
    encoded.parse().unwrap_or_default()
}
