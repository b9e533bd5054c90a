//! What the configuration asks of the sources, which are further up.

use std::sync::Arc;

use super::Endpoint;
use super::facts::Facts;

/// The sources that there are beside those that a file describes.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// What the one of this name says of itself.
    pub facts: fn(&str) -> Option<Arc<Facts>>,
    /// Their names.
    pub names: fn() -> Vec<&'static str>,
    /// Why the provider of an endpoint couldn't read a fallback, judged as a worker's reply is.
    pub judge: Judge,
}

/// Says why a provider can't read a fallback.
pub type Judge = fn(&Endpoint, QuestionKind<'_>, &serde_json::Value) -> Result<(), &'static str>;

/// What a fallback answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind<'a> {
    /// A question of this type.
    Type(&'a str),
    /// A call of a function.
    Function,
}
