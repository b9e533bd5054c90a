//! What the fuzz targets have in common: webhooks, and a second opinion on JSON.
//!
//! The second opinion is serde_json's. It is asked for maps of raw values, so that it neither looks at the size of
//! numbers nor recurses: what it takes is then what RFC 8259 allows, as with our own reader.

use std::collections::HashMap;

use bytes::Bytes;
use hookbus::message::Refusal;
use hookbus::source::vapi::Vapi;
use hookbus::source::{Classified, Request, Source};
use http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An object by its unescaped keys; of a key that occurs twice the last value counts.
pub type Object<'a> = HashMap<String, &'a RawValue>;

/// What serde_json says of a text.
pub enum Opinion<T> {
    /// It is one.
    Yes(T),
    /// It is none.
    No,
    /// It holds half of a surrogate pair, which serde_json doesn't put into a string, and other readers do.
    Undecided,
}

impl<T> Opinion<T> {
    /// What it is, if it is one.
    pub fn yes(self) -> Option<T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::No | Self::Undecided => None,
        }
    }
}

/// A text as a value of a type.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Opinion<T> {
    match serde_json::from_str(text) {
        Ok(value) => Opinion::Yes(value),
        Err(error) if error.to_string().contains("hex escape") => Opinion::Undecided,
        Err(_) => Opinion::No,
    }
}

/// What Vapi's source reads out of this body.
pub fn classify(body: &[u8]) -> Result<Classified, Refusal> {
    let (head, ()) = http::Request::new(()).into_parts();
    Vapi.classify(Request::new(&head, &Bytes::copy_from_slice(body)))
}

/// A request as text: its method and URL, its headers each on a line, and its body behind an empty one. Nothing where
/// that can't be one.
pub fn request(text: &str) -> Option<(Parts, Bytes)> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, uri) = lines.next().unwrap_or_default().split_once(' ')?;
    let mut request = http::Request::builder().method(method).uri(uri);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        request = request.header(name, value);
    }
    let (head, ()) = request.body(()).ok()?.into_parts();
    Some((head, Bytes::copy_from_slice(body.as_bytes())))
}
