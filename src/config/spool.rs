//! `[spool]`: the queues on disk.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Size, Time};

/// `[spool]`: the queues on disk, for events that a destination doesn't acknowledge in time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Whether there is one. Without it, an event that isn't acknowledged in time is refused with a 503.
    pub enabled: bool,
    /// Directory of the queues, relative to the working directory; created when it is missing, and used by one process
    /// at a time.
    pub dir: PathBuf,
    /// Bytes that all queues may take together; when they are full, senders get a 503.
    pub max_bytes: Size,
    /// How long writing and syncing an event may take before the sender gets a 503.
    pub sync_timeout: Time,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: PathBuf::from("hookbus-spool"),
            max_bytes: Size::mib(10 << 10),
            sync_timeout: Time::seconds(3),
        }
    }
}
