//! Texts with places in them: what is signed, where a type stands, what a handshake answers.
//!
//! `{body}`, `{time}`, `{method}`, `{url}`, `{path}` and `{form-sorted}` stand for parts of a request, `{/a/b}` for a
//! member of a JSON body (RFC 6901), `{header:NAME}`, `{query:NAME}` and `{form:NAME}` for one value by its name, and
//! `{pair:NAME}` for a field of the signature's own header.

use std::fmt;

/// A part of such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The received bytes.
    Body,
    /// The time of signing, as it was sent.
    Time,
    /// The method, such as `POST`.
    Method,
    /// The URL as the sender sees it.
    Url,
    /// The path, without the query.
    Path,
    /// Names and values of a form, one after the other: sorted, and each pair once.
    FormSorted,
    /// A member of a JSON body: the keys that lead to it.
    Pointer(Vec<String>),
    /// A header, in lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A field of a form.
    Form(String),
    /// A field of the signature's header.
    Pair(String),
}

/// The pieces of a text; an error names the placeholder that there is not.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let end = rest[start..].find('}').map(|end| start + end).ok_or(&rest[start..])?;
        if start > 0 {
            pieces.push(Piece::Text(rest[..start].to_owned()));
        }
        let piece = Piece::named(&rest[start + 1..end]);
        pieces.push(piece.ok_or(&rest[start..=end])?);
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

impl Piece {
    fn named(name: &str) -> Option<Self> {
        if let Some(pointer) = name.strip_prefix('/') {
            // `~1` is a slash, `~0` a tilde (RFC 6901, §3).
            let key = |key: &str| key.replace("~1", "/").replace("~0", "~");
            return Some(Self::Pointer(pointer.split('/').map(key).collect()));
        }
        Some(match name.split_once(':') {
            Some(("header", name)) if is_header(name) => Self::Header(name.to_ascii_lowercase()),
            Some(("query", name)) if !name.is_empty() => Self::Query(name.to_owned()),
            Some(("form", name)) if !name.is_empty() => Self::Form(name.to_owned()),
            Some(("pair", name)) if !name.is_empty() => Self::Pair(name.to_owned()),
            Some(_) => return None,
            None => match name {
                "body" => Self::Body,
                "time" => Self::Time,
                "method" => Self::Method,
                "url" => Self::Url,
                "path" => Self::Path,
                "form-sorted" => Self::FormSorted,
                _ => return None,
            },
        })
    }
}

fn is_header(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// As it is written.
impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Body => f.write_str("{body}"),
            Self::Time => f.write_str("{time}"),
            Self::Method => f.write_str("{method}"),
            Self::Url => f.write_str("{url}"),
            Self::Path => f.write_str("{path}"),
            Self::FormSorted => f.write_str("{form-sorted}"),
            Self::Pointer(keys) => {
                f.write_str("{")?;
                for key in keys {
                    write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?;
                }
                f.write_str("}")
            }
            Self::Header(name) => write!(f, "{{header:{name}}}"),
            Self::Query(name) => write!(f, "{{query:{name}}}"),
            Self::Form(name) => write!(f, "{{form:{name}}}"),
            Self::Pair(name) => write!(f, "{{pair:{name}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_pieces() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        for (written, expected) in [
            ("", vec![]),
            ("v0:{time}.{body}", vec![text("v0:"), Piece::Time, text("."), Piece::Body]),
            ("{/data/a~1b~0}", vec![Piece::Pointer(keys(&["data", "a/b~"]))]),
            (
                "{header:X-Id}{pair:t}",
                vec![Piece::Header("x-id".to_owned()), Piece::Pair("t".to_owned())],
            ),
            ("{query:a:b}", vec![Piece::Query("a:b".to_owned())]),
        ] {
            assert_eq!(pieces(written), Ok(expected), "{written}");
        }
        for wrong in ["{Body}", "{}", "{header:}", "{header:a b}", "{cookie:a}", "{form:}"] {
            assert_eq!(pieces(&format!("a{wrong}b")), Err(wrong.to_owned()));
        }
        assert_eq!(pieces("a{body"), Err("{body".to_owned()));
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(
            text in "([a-z.: ]|\\{body\\}|\\{/[a-z]{0,2}(/~[01])?\\}|\\{form:[a-z]\\}|\\{time\\}|\\{|\\}){0,8}",
        ) {
            match pieces(&text) {
                Ok(pieces) => {
                    let all: String = pieces.iter().map(ToString::to_string).collect();
                    prop_assert_eq!(all, text);
                }
                Err(unknown) => {
                    let is_placeholder = unknown.starts_with('{') && text.contains(&unknown);
                    prop_assert!(is_placeholder, "{}", unknown);
                }
            }
        }
    }
}
