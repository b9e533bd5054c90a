//! How fast bytes are read that may be worth nothing.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One share in this time: 64 MiB/s, of all that keep to the same pace together. A larger one in proportion.
const INTERVAL: Duration = Duration::from_millis(1);

/// A steady pace for many: one share after the other, never all at once, so that those who don't keep to it find the
/// processor free in between.
#[derive(Debug, Default)]
pub struct Pacer(Mutex<Option<Instant>>);

impl Pacer {
    /// The bytes of one share.
    pub const SHARE: usize = 64 << 10;

    /// A pace without users yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// A share was read: the next one may be read then.
    pub fn next(&self) -> Instant {
        let now = Instant::now();
        let mut next = self.0.lock();
        let turn = next.map_or(now, |next| next.max(now)) + INTERVAL;
        *next = Some(turn);
        turn
    }
}
