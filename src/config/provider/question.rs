//! What a provider asks, and what workers get of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Time;

/// `[[provider.NAME.question]]`: types whose sender waits for an answer.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Types, exact or with `*` as a wildcard.
    #[schemars(example = ["command.*"])]
    pub types: Vec<String>,
    /// Time from the request head to the answer unless a rule says otherwise: what the sender waits, less a reserve.
    pub timeout: Time,
    /// How long the sender waits, where that is known.
    #[serde(default)]
    pub limit: Option<Time>,
    /// What workers get.
    #[serde(default)]
    pub payload: Payload,
    /// Several questions in one webhook: one for each element of a list in the body.
    #[serde(default)]
    pub each: Option<Each>,
    /// Content types of answers. The first that fits counts, where the worker doesn't say one of them
    /// (`Hookbus-Content-Type`); one of JSON fits JSON only.
    #[serde(default = "json")]
    pub content_types: Vec<String>,
    /// Statuses that a worker may choose (`Hookbus-Status`); the first is the usual one.
    #[serde(default = "ok")]
    pub statuses: Vec<u16>,
    /// Headers that a worker may set (`Hookbus-Header-NAME`).
    #[serde(default)]
    #[schemars(example = ["stripe-version"])]
    pub headers: Vec<String>,
    /// Whether an empty reply is an answer.
    #[serde(default)]
    pub may_be_empty: bool,
    /// Answer when no worker gives one and no rule has a fallback: any value; a text is taken as it is where the content
    /// type isn't one of JSON.
    #[serde(default)]
    pub fallback: Option<serde_json::Value>,
}

/// `each` of a question: one is asked for each element of a list, and a worker gets that element. Each has the whole time,
/// and the fallback is that of each; without one, an element without an answer leaves the webhook without one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// Where the list is in the body: 64 elements at most. One that isn't there is an empty one.
    #[schemars(example = &"{/calls}")]
    pub of: String,
    /// A member of every element: the answers become one object, and this is the name of each. Unset: they become an
    /// array, in the order of the elements.
    #[serde(default)]
    #[schemars(example = &"{/id}")]
    pub by: Option<String>,
    /// The member of the reply that holds the answers. Unset: the reply is that array or object.
    #[serde(default)]
    #[schemars(example = &"results")]
    pub inside: Option<String>,
}

/// What workers get of a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// The body as it came.
    #[default]
    Body,
    /// One JSON object of the fields of the query and the form; a field that comes several times is a list.
    Fields,
}

fn json() -> Vec<String> {
    vec!["application/json".to_owned()]
}

fn ok() -> Vec<u16> {
    vec![200]
}
