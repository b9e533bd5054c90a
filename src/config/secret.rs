//! Values that never show up in a log, an error or a debug print.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A secret: its `Debug` form is `***`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Take a value as a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value. Every use of this is a place that may leak it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text is this secret, in a time that tells nothing but its length.
    pub fn is(&self, text: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), text.as_bytes());
        let differs =
            own.iter().zip(other).fold(0, |differs, (own, other)| differs | (own ^ other));
        !own.is_empty() && own.len() == other.len() && differs == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows() {
        let debug = format!("{:?}", Some(Secret::new("hunter2")));
        assert_eq!(debug, "Some(***)");
    }
}
