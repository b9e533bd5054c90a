//! What the configuration has to know about a provider: which types ask, which tell, how long it waits, and how it
//! signs. Each source says it of itself.

use super::scheme::Scheme;
use super::units::Time;

/// What is known of a provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its name, as it is written in a sentence.
    pub provider: &'static str,
    /// Types whose sender only tells.
    pub events: &'static [&'static str],
    /// Types whose sender waits for an answer to the whole.
    pub questions: &'static [Asked],
    /// Types that call functions; each call is a question of its own, by `[[endpoint.tool]]`.
    pub calls: &'static [&'static str],
    /// How long a call of a function may take when no rule says otherwise.
    pub call_timeout: Option<Time>,
    /// The header in which it sends a secret, where it has a usual one.
    pub secret_header: Option<&'static str>,
    /// How it signs, in one of these ways; none where its users choose that.
    pub signatures: Vec<Scheme>,
    /// Headers that the source reads, and that the signature doesn't cover.
    pub unsigned: &'static [Unsigned],
}

/// A type whose sender waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// The type.
    pub name: &'static str,
    /// How long an answer may take when no rule says otherwise.
    pub timeout: Time,
    /// How long the provider waits, where that is known and shorter than what may be configured.
    pub patience: Option<Time>,
}

/// A header that is read although no signature covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsigned {
    /// Its name, in lower case.
    pub header: &'static str,
    /// What it says, as in "the type".
    pub what: &'static str,
    /// Nothing works without it: an endpoint must trust it.
    pub is_needed: bool,
}

impl Facts {
    /// How long a question of this type may take when no rule says otherwise.
    pub fn timeout(&self, kind: &str) -> Option<Time> {
        let asked = self.questions.iter().find(|asked| asked.name == kind);
        asked.map(|asked| asked.timeout).or(self.call_timeout)
    }

    /// The types that are asked as a whole.
    pub fn asked(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.questions.iter().map(|asked| asked.name)
    }
}
