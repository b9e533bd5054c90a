//! Which webhooks a subscriber wants to see.

use form_urlencoded::Serializer;

use super::line::Webhook;
use crate::template::glob::fits;

/// What a line has to be like: it has to fit every part that says something. A part is a list of exact texts, or
/// patterns with `*`, of which one has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of endpoints.
    pub endpoints: Vec<String>,
    /// Types as received.
    pub types: Vec<String>,
    /// Keys.
    pub keys: Vec<String>,
    /// Outcomes, or the reasons for them.
    pub outcomes: Vec<String>,
    /// Only those that somebody should look at.
    pub errors: bool,
    /// With their bodies.
    pub bodies: bool,
}

impl Filter {
    /// Read it from the query of an address. What isn't known is an error: it could be a misspelt part, without which
    /// more would be shown.
    pub fn read(query: &str) -> Result<Self, String> {
        Self::read_with(query, |_, _| Ok(false))
    }

    /// The same of a query with other parameters beside it. `other` says whether it knows one.
    pub fn read_with(
        query: &str,
        mut other: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let flag = || {
                let error = |_| format!("`{name}` is true or false, and not `{value}`");
                value.parse().map_err(error)
            };
            match &*name {
                "endpoint" => filter.endpoints.push(value.into_owned()),
                "type" => filter.types.push(value.into_owned()),
                "key" => filter.keys.push(value.into_owned()),
                "outcome" => filter.outcomes.push(value.into_owned()),
                "errors" => filter.errors = flag()?,
                "bodies" => filter.bodies = flag()?,
                _ if other(&name, &value)? => {}
                _ => return Err(format!("unknown parameter `{name}`")),
            }
        }
        Ok(filter)
    }

    /// Write it as the query of an address.
    pub fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        let parts = [
            ("endpoint", &self.endpoints),
            ("type", &self.types),
            ("key", &self.keys),
            ("outcome", &self.outcomes),
        ];
        for (name, patterns) in parts {
            for pattern in patterns {
                query.append_pair(name, pattern);
            }
        }
        for (name, flag) in [("errors", self.errors), ("bodies", self.bodies)] {
            if flag {
                query.append_pair(name, "true");
            }
        }
        query.finish()
    }

    /// Whether a line is wanted.
    pub fn matches(&self, line: &Webhook) -> bool {
        let reason = line.reason.as_deref().filter(|_| !self.outcomes.is_empty());
        (!self.errors || line.is_error())
            && fits(&self.endpoints, &line.endpoint)
            && has(&self.types, line.r#type.as_deref())
            && has(&self.keys, line.key.as_deref())
            && (fits(&self.outcomes, &line.outcome)
                || reason.is_some_and(|reason| fits(&self.outcomes, reason)))
    }
}

/// The same for what a line may lack.
fn has(patterns: &[String], text: Option<&str>) -> bool {
    text.map_or(patterns.is_empty(), |text| fits(patterns, text))
}

#[cfg(test)]
mod tests;
