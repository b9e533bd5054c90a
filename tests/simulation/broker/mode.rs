//! What a broker does at the moment.

/// With everything that it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Fine,
    /// It takes its time, sometimes more than there is.
    Slow,
    /// There is no connection.
    Down,
    /// Nothing comes back; what was sent may arrive when nobody waits any more.
    Frozen,
    /// It stores, and its acknowledgements are lost.
    Mute,
    /// It has no room.
    Full,
    /// For a moment it looks as if no name existed.
    Election,
}

/// With one subject or topic, which doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameFault {
    /// It says so.
    Certain,
    /// It looks like an election until somebody asks.
    Unsure,
}
