//! What the sender gets: of an event, and of what is refused.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::Time;

/// `[provider.NAME.acknowledge]`: what the sender of an event gets.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledge {
    /// Status of an event that its brokers hold.
    #[schemars(range(min = 200, max = 299))]
    pub stored: u16,
    /// Status of an event that waits on disk.
    #[schemars(range(min = 200, max = 299))]
    pub spooled: u16,
    /// Content type of the body; empty: none.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// How long the brokers may take before the event goes to the disk: less than the sender waits. Unset: their own
    /// `ack_timeout`.
    pub within: Option<Time>,
}

impl Default for Acknowledge {
    fn default() -> Self {
        Self {
            stored: 200,
            spooled: 202,
            content_type: "application/json".to_owned(),
            body: "{}".to_owned(),
            within: None,
        }
    }
}

/// `[provider.NAME.refuse]`: statuses of refusals, where the usual ones make the provider give up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Refuse {
    /// Instead of 401: authentication is missing or wrong.
    #[schemars(range(min = 400, max = 599))]
    pub unauthorized: Option<u16>,
    /// Instead of 400: the body is not what it should be.
    #[schemars(range(min = 400, max = 599))]
    pub malformed: Option<u16>,
    /// Instead of 413.
    #[schemars(range(min = 400, max = 599))]
    pub too_large: Option<u16>,
    /// Instead of 415.
    #[schemars(range(min = 400, max = 599))]
    pub encoding: Option<u16>,
    /// Instead of 429.
    #[schemars(range(min = 400, max = 599))]
    pub rate_limited: Option<u16>,
    /// Instead of 503.
    #[schemars(range(min = 400, max = 599))]
    pub unavailable: Option<u16>,
}
