//! Webhooks as providers post them: for `hookbus send`, tests and benches.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::provider::Method;

/// A recorded webhook, with invented values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How it is asked for, such as `tool-calls` or `tool-calls--parallel3`: the type, and for variants of it two dashes
    /// and a word.
    pub name: Cow<'static, str>,
    /// What it is, in a few words.
    pub about: Cow<'static, str>,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// The query, without its question mark.
    #[serde(default)]
    pub query: Cow<'static, str>,
    /// The content type.
    #[serde(default = "json")]
    pub content_type: Cow<'static, str>,
    /// Headers that say something about it. `{uuid}` in a value is another id for each request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, byte for byte.
    #[serde(default)]
    pub body: Cow<'static, str>,
}

const fn json() -> Cow<'static, str> {
    Cow::Borrowed("application/json")
}
