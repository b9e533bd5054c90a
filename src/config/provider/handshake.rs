//! Requests that only try out an endpoint.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Method;

/// `[[provider.NAME.handshake]]`: a request that only tries out the endpoint. All of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Texts with places, and what they must be; `*` in it matches any characters.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Places that must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Places that must not be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The only members that the body has.
    #[serde(default)]
    pub only: Vec<String>,
    /// What the sender has to prove.
    #[serde(default)]
    pub after: After,
    /// Where the secret is, with `after = "token"`.
    #[serde(default)]
    #[schemars(example = &"{query:hub.verify_token}")]
    pub token: Option<String>,
    /// Characters of every value that goes into the answer, as in `"A-Za-z0-9._-"`; with others it is refused. Needed
    /// where the answer is signed with the secret of the webhooks: otherwise anyone could have a webhook signed.
    #[serde(default)]
    pub guard: Option<String>,
    /// Status of the answer.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 200, max = 299))]
    pub status: u16,
    /// Content type of the answer; empty: none.
    #[serde(default = "plain")]
    pub content_type: String,
    /// Headers of the answer: texts with places.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of the answer: a text with places, escaped as in a JSON string where the content type is one of JSON.
    /// Beside places there are `{hmac-sha256-hex:PLACE}`, `{hmac-sha256-base64:PLACE}` and `{hmac-sha1-hex:PLACE}` with
    /// the secret as the key, and `{sha256-hex:PLACE}`; several places with `+` between them, `secret` is one.
    #[serde(default)]
    #[schemars(example = &"{/challenge}")]
    pub body: String,
}

/// What the sender of a handshake has to prove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// What any webhook has to.
    #[default]
    Authentication,
    /// That it knows the secret, which is at `token`.
    Token,
    /// Nothing.
    Nothing,
}

const fn two_hundred() -> u16 {
    200
}

fn plain() -> String {
    "text/plain".to_owned()
}
