//! What a request is about, for filters and for people.

/// Whether the sender of the webhook tells or asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It tells.
    Event,
    /// It asks.
    Question,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Whether somebody waits for the answer.
    pub kind: Kind,
    /// Id of the webhook.
    pub id: String,
    /// Its type.
    pub name: String,
    /// Its key.
    pub key: Option<String>,
    /// The function that is called.
    pub function: Option<String>,
}
