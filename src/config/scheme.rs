//! How a provider signs, as data.

mod covers;
mod key;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Time;

/// A scheme of signatures.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Headers with the signature; the first that is there counts. A name that ends with `*` matches all headers that
    /// begin so, each with a signature of its own.
    #[serde(default)]
    #[schemars(example = ["x-signature"])]
    pub headers: Vec<String>,
    /// Where the signature is if not in a header: a member of the body, such as `"{/signature/value}"`.
    #[serde(default)]
    pub at: Option<String>,
    /// How it is made.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How the secret is written, or the public key.
    #[serde(default)]
    pub key: KeyForm,
    /// What may precede the secret and is no part of it, such as `"whsec_"`; before a public key it has to.
    #[serde(default)]
    pub key_prefix: String,
    /// How the header is laid out.
    #[serde(default)]
    pub layout: Layout,
    /// What precedes the signature, such as `"sha256="`; with the layout `"tagged"` the tag, such as `"v1,"`, and
    /// with `"pairs"` the name of the signature's field, such as `"v1"`.
    #[serde(default)]
    pub prefix: String,
    /// What parts pairs or several signatures from each other.
    #[serde(default = "comma")]
    pub separator: String,
    /// How a signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What is signed: a text with `{body}`, `{time}` and other places. What stands in square brackets is left out where
    /// one of its places holds nothing, as in `"[id:{query:id};]ts:{time};"`.
    #[serde(default = "body")]
    #[schemars(example = &"{time}.{body}")]
    pub message: String,
    /// Where the time of signing is: `{header:NAME}`, `{pair:NAME}` of the signature's header, or a member of a
    /// signed body.
    #[serde(default)]
    #[schemars(example = &"{header:x-timestamp}")]
    pub time: Option<String>,
    /// The unit of that time.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// How far that time may be from ours, in either direction.
    #[serde(default = "five_minutes")]
    pub tolerance: Time,
    /// Where the SHA-256 of the body is, in hex, where the message holds that instead of the body.
    #[serde(default)]
    #[schemars(example = &"{query:bodySHA256}")]
    pub body_hash: Option<String>,
}

impl Default for Scheme {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            at: None,
            algorithm: Algorithm::default(),
            key: KeyForm::default(),
            key_prefix: String::new(),
            layout: Layout::default(),
            prefix: String::new(),
            separator: comma(),
            encoding: Encoding::default(),
            message: body(),
            time: None,
            time_unit: TimeUnit::default(),
            tolerance: five_minutes(),
            body_hash: None,
        }
    }
}

fn comma() -> String {
    ",".to_owned()
}

fn body() -> String {
    "{body}".to_owned()
}

fn five_minutes() -> Time {
    Time::seconds(300)
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC-SHA-256.
    #[default]
    HmacSha256,
    /// HMAC-SHA-512.
    HmacSha512,
    /// HMAC-SHA-1, for those who have nothing better.
    HmacSha1,
    /// Ed25519, with a public key.
    Ed25519,
    /// ECDSA over P-256 with SHA-256, in DER, with a public key.
    EcdsaP256Sha256,
    /// RSA with SHA-256 (PKCS #1, v1.5), with a public key.
    RsaPkcs1Sha256,
}

impl Algorithm {
    /// Whether only the provider can sign: the key is its public one.
    pub const fn has_public_key(self) -> bool {
        matches!(self, Self::Ed25519 | Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256)
    }
}

/// How a key is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// As it is.
    #[default]
    Text,
    /// Base64, with or without padding.
    Base64,
    /// Two characters a byte.
    Hex,
    /// A SubjectPublicKeyInfo (RFC 5280): base64, or PEM.
    Spki,
    /// The SHA-1 of the text (Braintree).
    Sha1OfText,
}

/// How the header of a signature is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One signature.
    #[default]
    Plain,
    /// Several signatures, each behind the prefix.
    List,
    /// `t=1,v1=ab,v1=cd`: fields with names; each that has the signature's name is one.
    Pairs,
    /// Several signatures, each behind a tag; those behind others don't count.
    Tagged,
    /// The first is the time, the others are signatures.
    Positional,
    /// `application KEY:ab`: the signature stands behind the last separator. Before it the prefix has to be; what follows
    /// that says who signs, and isn't judged.
    Last,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Two characters a byte, of either case.
    #[default]
    Hex,
    /// Base64, with or without padding.
    Base64,
    /// Base64 with the alphabet for URLs, with or without padding.
    Base64url,
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Unix seconds or milliseconds, told apart by their size.
    #[default]
    Auto,
    /// Unix seconds.
    Seconds,
    /// Unix milliseconds.
    Milliseconds,
    /// A date as in RFC 3339.
    Rfc3339,
}
