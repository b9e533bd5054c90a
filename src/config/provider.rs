//! `[provider.NAME]`: what a provider sends and what it wants back, as data.
//!
//! The built-in descriptions are written in the same form. Texts with places in them are read by [`super::piece`].

mod handshake;
mod question;
mod reply;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::handshake::{After, Handshake};
pub use self::question::{Asking, Each, Payload};
pub use self::reply::{Acknowledge, Refuse};
use super::scheme::{Encoding, Scheme};
use super::units::Time;

/// `[provider.NAME]`: a provider, as data. An endpoint speaks it with `source = "NAME"`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name in sentences; unset: the name of the table.
    #[serde(default)]
    #[schemars(example = &"Stripe")]
    pub title: Option<String>,
    /// Where the provider documents its webhooks.
    #[serde(default)]
    #[schemars(example = &"https://docs.stripe.com/webhooks")]
    pub docs: Option<String>,
    /// What the `type` of its CloudEvents begins with: its domain name, reversed.
    #[schemars(example = &"com.stripe")]
    pub event_prefix: String,
    /// Methods of its webhooks.
    #[serde(default = "post")]
    pub methods: Vec<Method>,
    /// What its bodies are.
    #[serde(default)]
    pub body: BodyKind,
    /// Where the type is: texts with places, such as `"{/type}"` or `"{header:x-event}"`. Of several the first whose
    /// places are all there counts.
    #[serde(default)]
    #[schemars(example = &"{/type}")]
    pub r#type: Texts,
    /// Types of webhooks that look a certain way; the first rule that fits counts, before `type`.
    #[serde(default, rename = "type_rule")]
    pub type_rules: Vec<TypeRule>,
    /// Types that metrics show by name; all others are `other`.
    #[serde(default)]
    pub known_types: Vec<String>,
    /// Where the id of a delivery is, which stays the same when it is sent again.
    #[serde(default)]
    #[schemars(example = &"{/id}")]
    pub id: Texts,
    /// Where the key is: what ties webhooks together, and keeps their order.
    #[serde(default)]
    #[schemars(example = &"{/data/object/id}")]
    pub key: Texts,
    /// How it signs, in one of these ways (`kind = "signature"`).
    #[serde(default, rename = "signature")]
    pub signatures: Vec<Scheme>,
    /// Where it repeats a secret as it is (`kind = "signature"`).
    #[serde(default, rename = "token")]
    pub tokens: Vec<Token>,
    /// JSON Web Tokens that are bound to the body (`kind = "signature"`).
    #[serde(default, rename = "jwt")]
    pub jwts: Vec<BoundJwt>,
    /// Types whose sender waits for an answer.
    #[serde(default, rename = "question")]
    pub questions: Vec<Asking>,
    /// What the sender of an event gets.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// Statuses of refusals, where the usual ones do harm.
    #[serde(default)]
    pub refuse: Refuse,
    /// Requests that only try out the endpoint: answered here, never an event.
    #[serde(default, rename = "handshake")]
    pub handshakes: Vec<Handshake>,
}

impl Provider {
    /// Whether an endpoint's `kind = "signature"` can be met at all.
    pub fn has_signatures(&self) -> bool {
        !self.signatures.is_empty() || !self.tokens.is_empty() || !self.jwts.is_empty()
    }

    /// Texts that decide where a webhook goes, with the places that their conditions look at.
    pub fn type_texts(&self) -> impl Iterator<Item = &String> {
        let rules = self.type_rules.iter().flat_map(|rule| {
            let places = rule.present.iter().chain(&rule.absent);
            rule.when.keys().chain(places).chain([&rule.r#type])
        });
        rules.chain(self.r#type.all())
    }
}

/// One text with places, or several of which the first that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// The first whose places are all there.
    FirstOf(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::FirstOf(Vec::new())
    }
}

impl Texts {
    /// All of them, in their order.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::FirstOf(texts) => texts,
        }
    }
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// A body comes with it.
    #[default]
    Post,
    /// A body comes with it.
    Put,
    /// A body comes with it.
    Patch,
    /// Without a body: everything is in the query.
    Get,
    /// Mostly without a body.
    Delete,
    /// For handshakes.
    Head,
    /// For handshakes.
    Options,
}

impl Method {
    /// As it is sent.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Get => "GET",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Get => Self::GET,
            Method::Delete => Self::DELETE,
            Method::Head => Self::HEAD,
            Method::Options => Self::OPTIONS,
        }
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyKind {
    /// One JSON document; anything else is refused.
    #[default]
    Json,
    /// A form (`application/x-www-form-urlencoded`); anything else is refused.
    Form,
    /// A form where its content type says so, else JSON.
    JsonOrForm,
    /// A form where its content type says so, JSON where it is JSON, and anything else unread.
    Any,
    /// Anything: it is passed on unread.
    Bytes,
}

/// `[[provider.NAME.type_rule]]`: the type of webhooks that look a certain way. All of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeRule {
    /// Texts with places, and what they must be; `*` in it matches any characters.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Places that must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Places that must not be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The type: a text with places, which must all be there.
    #[schemars(example = &"command.{/data/name}")]
    pub r#type: String,
}

/// `[[provider.NAME.token]]`: a secret that comes with each webhook as it is.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its place; with `*` in a pointer every element must hold it.
    #[schemars(example = &"{header:x-gitlab-token}")]
    pub at: String,
    /// What precedes it, such as `"Bearer "`.
    #[serde(default)]
    pub prefix: String,
}

/// `[[provider.NAME.jwt]]`: a token signed with the secret, which says what the body is.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundJwt {
    /// The header that carries it.
    #[serde(default = "authorization")]
    pub header: String,
    /// What precedes it, such as `"Bearer "`.
    #[serde(default)]
    pub prefix: String,
    /// Its `iss`, where that is the same for all users.
    #[serde(default)]
    #[schemars(example = &"Vonage")]
    pub issuer: Option<String>,
    /// The claim that holds the SHA-256 of the body.
    #[schemars(example = &"payload_hash")]
    pub body_hash: String,
    /// How that hash is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How far `exp`, `nbf` and `iat` may be off. A token without `exp` is valid for five minutes from its `iat` on; one
    /// with neither never becomes too old.
    #[serde(default = "one_minute")]
    pub tolerance: Time,
}

fn post() -> Vec<Method> {
    vec![Method::Post]
}

fn authorization() -> String {
    "authorization".to_owned()
}

const fn one_minute() -> Time {
    Time::seconds(60)
}

/// Whether a content type is one of JSON.
pub fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
