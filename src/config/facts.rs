//! What the configuration has to know about a provider: which types ask, which tell, how long it waits, and how it
//! signs. Each source says it of itself.

mod described;

use std::sync::Arc;

use super::piece::Piece;
use super::provider::Provider;
use super::units::Time;
use crate::template::glob;

/// What is known of a provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its name, as it is written in a sentence.
    pub provider: String,
    /// Types whose sender only tells.
    pub events: Vec<String>,
    /// Types whose sender waits for an answer to the whole.
    pub questions: Vec<Asked>,
    /// Types that call functions; each call is a question of its own, by `[[endpoint.tool]]`.
    pub calls: Vec<String>,
    /// How long a call of a function may take when no rule says otherwise.
    pub call_timeout: Option<Time>,
    /// The header in which it sends a secret, where it has a usual one.
    pub secret_header: Option<&'static str>,
    /// All that there is to know, where it is described and not coded.
    pub description: Option<Arc<Provider>>,
    /// Places that decide where a webhook goes: believed where a signature covers them.
    pub routing: Vec<Routing>,
}

/// A type whose sender waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The type; may hold `*` as a wildcard.
    pub name: String,
    /// How long an answer may take when no rule says otherwise.
    pub timeout: Time,
    /// How long the provider waits, where that is known and shorter than what may be configured.
    pub patience: Option<Time>,
}

/// A place that decides where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The place.
    pub piece: Piece,
    /// What it says, as in "the type".
    pub what: &'static str,
    /// Nothing works without it: where it isn't signed, an endpoint must trust it.
    pub is_needed: bool,
}

impl Facts {
    /// How long a question of this type may take when no rule says otherwise.
    pub fn timeout(&self, kind: &str) -> Option<Time> {
        let asked = self.questions.iter().find(|asked| glob::matches(&asked.name, kind));
        asked.map(|asked| asked.timeout).or(self.call_timeout)
    }

    /// Whether there are jobs: calls of functions whose sender doesn't wait.
    pub fn has_jobs(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The types that are asked as a whole.
    pub fn asked(&self) -> impl Iterator<Item = &str> + Clone {
        self.questions.iter().map(|asked| asked.name.as_str())
    }
}
