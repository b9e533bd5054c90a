//! Texts with places in them: what is signed, where a type stands, what a handshake answers.
//!
//! `{body}`, `{time}`, `{method}`, `{url}`, `{path}` and `{form-sorted}` stand for parts of a request, `{/a/b}` for a
//! member of a JSON body (RFC 6901; `*` is every element of an array), `{header:NAME}`, `{query:NAME}` and `{form:NAME}`
//! for one value by its name, `{form:NAME#/a/b}` for a member of the JSON in a field of a form, `{member-other-than:a,b}`
//! for the name of the first member of a JSON body that isn't one of these, and `{pair:NAME}` for a field of the
//! signature's own header.
//!
//! Answers to handshakes also know `{hmac-sha256-hex:PLACE}` and the like ([`enum@Hash`]), of one place or of several with `+`
//! between them; what is signed may hold such a hash of the body, as `{md5-base64:body}`, and parts in square brackets
//! that are left out where one of their places holds nothing.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest, Md5};
use ring::digest::{SHA256, digest};

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
    /// The name of the first member of a JSON body that isn't one of these.
    MemberOtherThan(Vec<String>),
    /// A header, in lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A field of a form.
    Form(String),
    /// A member of the JSON in a field of a form: the keys that lead to it.
    FormPointer(String, Vec<String>),
    /// A field of the signature's header.
    Pair(String),
    /// The secret, for a hash.
    Secret,
    /// The hash of some places, one after the other.
    Hashed(Hash, Vec<Piece>),
    /// What is left out where one of its places holds nothing.
    Optional(Vec<Piece>),
}

/// A hash, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// HMAC-SHA-256 with the secret, in hex.
    HmacSha256Hex,
    /// HMAC-SHA-256 with the secret, in base64.
    HmacSha256Base64,
    /// HMAC-SHA-1 with the secret, in hex.
    HmacSha1Hex,
    /// SHA-256, in hex.
    Sha256Hex,
    /// MD5, in base64, as the header `Content-MD5` has it.
    Md5Base64,
}

impl Hash {
    const ALL: [Self; 5] = [
        Self::HmacSha256Hex,
        Self::HmacSha256Base64,
        Self::HmacSha1Hex,
        Self::Sha256Hex,
        Self::Md5Base64,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256Hex => "hmac-sha256-hex",
            Self::HmacSha256Base64 => "hmac-sha256-base64",
            Self::HmacSha1Hex => "hmac-sha1-hex",
            Self::Sha256Hex => "sha256-hex",
            Self::Md5Base64 => "md5-base64",
        }
    }

    /// The hash of these bytes as it is written; nothing where the secret is its key.
    pub fn unkeyed(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::HmacSha256Hex | Self::HmacSha256Base64 | Self::HmacSha1Hex => None,
            Self::Sha256Hex => Some(HEXLOWER.encode(digest(&SHA256, bytes).as_ref())),
            Self::Md5Base64 => Some(BASE64.encode(&Md5::digest(bytes))),
        }
    }

    /// Whether the secret is its key.
    pub const fn is_keyed(self) -> bool {
        !matches!(self, Self::Sha256Hex | Self::Md5Base64)
    }
}

/// The pieces of a text; an error names the placeholder that there is not.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    parse(text, |_| true)
}

/// The pieces of what is signed: some of them may be optional.
pub fn signed_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(start) = outside_of_braces(rest, '[') {
        let optional = &rest[start + 1..];
        let length = outside_of_braces(optional, ']').ok_or(&rest[start..])?;
        all.append(&mut pieces(&rest[..start])?);
        all.push(Piece::Optional(pieces(&optional[..length])?));
        rest = &optional[length + 1..];
    }
    all.append(&mut pieces(rest)?);
    Ok(all)
}

/// Where this character stands for the first time that it is no part of a name.
fn outside_of_braces(text: &str, wanted: char) -> Option<usize> {
    let mut is_in_braces = false;
    let mut found = text.char_indices().filter(|(_, character)| {
        is_in_braces = *character == '{' || is_in_braces && *character != '}';
        *character == wanted && !is_in_braces
    });
    found.next().map(|(at, _)| at)
}

/// The pieces of a text that may be JSON: a brace without a name behind it stands for itself.
pub fn pieces_in_json(text: &str) -> Result<Vec<Piece>, String> {
    parse(text, |after| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'))
}

fn parse(text: &str, is_placeholder: impl Fn(&str) -> bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let next = |rest: &str| {
        let mut braces = rest.match_indices('{').map(|(at, _)| at);
        braces.find(|at| is_placeholder(&rest[at + 1..]))
    };
    while let Some(start) = next(rest) {
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
            return Some(Self::Pointer(keys(pointer)));
        }
        let hash = |name: &str| Hash::ALL.into_iter().find(|hash| hash.name() == name);
        Some(match name.split_once(':') {
            Some((name, places)) if hash(name).is_some() => {
                let places = places.split('+').map(Self::named).collect::<Option<_>>()?;
                Self::Hashed(hash(name)?, places)
            }
            Some(("member-other-than", names)) if !names.is_empty() => {
                Self::MemberOtherThan(names.split(',').map(str::to_owned).collect())
            }
            Some(("form", name)) if name.contains("#/") => match name.split_once("#/")? {
                ("", _) => return None,
                (name, pointer) => Self::FormPointer(name.to_owned(), keys(pointer)),
            },
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
                "secret" => Self::Secret,
                _ => return None,
            },
        })
    }
}

/// The keys of a pointer without its first slash.
fn keys(pointer: &str) -> Vec<String> {
    // `~1` is a slash, `~0` a tilde (RFC 6901, §3).
    pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect()
}

fn is_header(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// As it is written.
impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Optional(_) => f.write_str(&self.name()),
            named => write!(f, "{{{}}}", named.name()),
        }
    }
}

impl Piece {
    /// Whether it is the hash of the body that anybody can make, and that stands for the body where it is signed.
    pub fn is_hash_of_body(&self) -> bool {
        matches!(self, Self::Hashed(hash, of) if !hash.is_keyed() && **of == [Self::Body])
    }

    /// Itself, or the pieces that it is made of.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Optional(pieces) => pieces,
            piece => std::slice::from_ref(piece),
        }
    }

    /// Its name as `trust_unsigned` has it: a header as it is, anything else as between the braces.
    pub fn trusted_name(&self) -> String {
        match self {
            Self::Header(name) => name.clone(),
            other => other.name(),
        }
    }

    /// Its name, without braces.
    fn name(&self) -> String {
        let pointer = |keys: &[String]| -> String {
            let key = |key: &String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            keys.iter().map(key).collect()
        };
        match self {
            Self::Text(text) => text.clone(),
            Self::Body => "body".to_owned(),
            Self::Time => "time".to_owned(),
            Self::Method => "method".to_owned(),
            Self::Url => "url".to_owned(),
            Self::Path => "path".to_owned(),
            Self::FormSorted => "form-sorted".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Pointer(keys) => pointer(keys),
            Self::MemberOtherThan(names) => format!("member-other-than:{}", names.join(",")),
            Self::Header(name) => format!("header:{name}"),
            Self::Query(name) => format!("query:{name}"),
            Self::Form(name) => format!("form:{name}"),
            Self::FormPointer(name, keys) => format!("form:{name}#{}", pointer(keys)),
            Self::Pair(name) => format!("pair:{name}"),
            Self::Hashed(hash, places) => {
                let places: Vec<_> = places.iter().map(Self::name).collect();
                format!("{}:{}", hash.name(), places.join("+"))
            }
            Self::Optional(pieces) => {
                format!("[{}]", pieces.iter().map(Self::to_string).collect::<String>())
            }
        }
    }
}

#[cfg(test)]
mod tests;
