//! `[[endpoint.auth]]`: who may post.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::piece::Piece;
use super::scheme::{Algorithm, Encoding, KeyForm, Scheme};
use super::secret::Secret;
use super::units::Time;

/// `[[endpoint.auth]]`: one way to be let in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// A header that holds one of the secrets.
    Secret {
        /// Name of the header.
        #[schemars(example = &"x-webhook-secret")]
        header: String,
        /// What precedes the secret, such as `"Bearer "`.
        #[serde(default)]
        prefix: String,
        /// Values that are accepted; several while one is being replaced.
        #[schemars(example = ["${WEBHOOK_SECRET}"])]
        secrets: Vec<Secret>,
    },
    /// HTTP's own user and password, in the header `authorization`.
    Basic {
        /// The user.
        #[schemars(example = &"shop")]
        user: String,
        /// Passwords that are accepted; several while one is being replaced.
        #[schemars(example = ["${WEBHOOK_PASSWORD}"])]
        passwords: Vec<Secret>,
    },
    /// The provider's own signature.
    Signature(Signature),
    /// A signature over the received bytes.
    Hmac(Hmac),
    /// An OAuth 2 access token, as `authorization: Bearer ...`.
    Jwt(Jwt),
    /// Everybody may post. It must be written out, so that nobody gets it by forgetting something.
    None {},
}

impl Auth {
    /// What is written as its `kind`, and how many secrets it has.
    pub fn secrets(&self) -> (&'static str, usize) {
        match self {
            Self::Secret { secrets, .. } => ("secret", secrets.len()),
            Self::Basic { passwords, .. } => ("basic", passwords.len()),
            Self::Signature(signature) => ("signature", signature.secrets.len()),
            Self::Hmac(hmac) => ("hmac", hmac.secrets.len()),
            Self::Jwt(_) => ("jwt", 0),
            Self::None {} => ("none", 0),
        }
    }
}

/// `kind = "hmac"`: what signatures are like, where the users of a provider choose that.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// Secrets that are accepted; several while one is being replaced.
    #[schemars(example = ["${WEBHOOK_SECRET}"])]
    pub secrets: Vec<Secret>,
    /// The hash.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// Header with the signature.
    #[serde(default = "x_signature")]
    pub signature_header: String,
    /// What precedes the signature, such as `"sha256="`.
    #[serde(default)]
    pub signature_prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub signature_encoding: SignatureEncoding,
    /// Header with the time of signing, as Unix seconds or milliseconds.
    #[serde(default = "x_timestamp")]
    pub timestamp_header: String,
    /// Whether there is a time of signing.
    #[serde(default = "yes")]
    pub include_timestamp: bool,
    /// How far that time may be from ours, in either direction.
    #[serde(default = "five_minutes")]
    pub tolerance: Time,
    /// What is signed: a text with `{body}`, `{timestamp}`, `{method}`, `{url}` and `{svix-id}`, the message id. By
    /// default `{timestamp}.{body}`, and `{body}` without a timestamp.
    #[schemars(example = &"{timestamp}.{body}")]
    pub payload_format: Option<String>,
    /// Header with an id that a repeated delivery has again. It counts only where `payload_format` covers it, or
    /// `trust_unsigned` of the endpoint names it. Where `{svix-id}` is signed and nothing is said here, it is `svix-id`.
    #[schemars(example = &"svix-id")]
    pub message_id_header: Option<String>,
    /// What becomes of a delivery that got its 2xx before, or is being handled. It is told by its message id; without
    /// one, `"refuse"` tells it by its signature.
    #[serde(default)]
    pub replay: Replay,
    /// Whether the secrets are written in base64.
    #[serde(default)]
    pub secret_is_base64: bool,
}

impl Hmac {
    /// What is signed, with the places by their usual names.
    pub fn message(&self) -> String {
        let by_default = if self.include_timestamp { "{timestamp}.{body}" } else { "{body}" };
        let format = self.payload_format.as_deref().unwrap_or(by_default);
        let id = Piece::Header(self.message_id_header().to_ascii_lowercase());
        format.replace("{timestamp}", "{time}").replace("{svix-id}", &id.to_string())
    }

    /// The header with the message id.
    pub fn message_id_header(&self) -> &str {
        self.message_id_header.as_deref().unwrap_or("svix-id")
    }

    /// The same as a scheme.
    pub fn scheme(&self) -> Scheme {
        let time = Piece::Header(self.timestamp_header.to_ascii_lowercase());
        Scheme {
            headers: vec![self.signature_header.clone()],
            algorithm: match self.algorithm {
                HmacAlgorithm::Sha256 => Algorithm::HmacSha256,
                HmacAlgorithm::Sha512 => Algorithm::HmacSha512,
                HmacAlgorithm::Sha1 => Algorithm::HmacSha1,
            },
            key: if self.secret_is_base64 { KeyForm::Base64 } else { KeyForm::Text },
            prefix: self.signature_prefix.clone(),
            encoding: match self.signature_encoding {
                SignatureEncoding::Hex => Encoding::Hex,
                SignatureEncoding::Base64 => Encoding::Base64,
            },
            message: self.message(),
            time: self.include_timestamp.then(|| time.to_string()),
            tolerance: self.tolerance,
            ..Scheme::default()
        }
    }
}

/// The hash of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// HMAC-SHA-256.
    #[default]
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
    /// HMAC-SHA-1, for those who have nothing better.
    Sha1,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Two characters a byte, of either case.
    #[default]
    Hex,
    /// Base64 with its padding.
    Base64,
}

/// What becomes of a delivery that came before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// An event gets the same answer again, and is not published; while the first one is being stored, it waits for it.
    #[default]
    Dedupe,
    /// The same id with the same timestamp gets a 401, and so does the same signature.
    Refuse,
}

/// `kind = "signature"`: signatures as the provider of the endpoint makes them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Secrets that are accepted; several while one is being replaced.
    #[schemars(example = ["${GITHUB_SECRET}"])]
    pub secrets: Vec<Secret>,
    /// What the sender of a handshake has to know, of a provider that asks for a token of its own there (Meta's verify
    /// token); without any, one of `secrets`. It comes in a URL, which others log: it should be nothing that signs.
    #[serde(default)]
    #[schemars(example = ["${META_VERIFY_TOKEN}"])]
    pub handshake_tokens: Vec<Secret>,
}

/// `kind = "jwt"`: which tokens are accepted.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Who must have made the token: its `iss`.
    #[schemars(example = &"https://login.example.com/")]
    pub issuer: String,
    /// For whom the token must be: its `aud`.
    #[schemars(example = &"hookbus")]
    pub audience: String,
    /// Where the issuer's public keys are: a URL, or a file.
    #[schemars(example = &"https://login.example.com/.well-known/jwks.json")]
    pub jwks: String,
    /// Algorithms that are accepted.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
}

/// The algorithm of a token's signature; all of them have a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

fn five_minutes() -> Time {
    Time::seconds(300)
}

fn yes() -> bool {
    true
}

fn x_signature() -> String {
    "x-signature".to_owned()
}

fn x_timestamp() -> String {
    "x-timestamp".to_owned()
}

fn usual_algorithms() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256]
}
