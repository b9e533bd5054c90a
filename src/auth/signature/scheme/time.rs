//! The time of signing: where it stands, and how near it has to be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::auth::Cause;
use crate::config::piece::Piece;
use crate::config::scheme::TimeUnit;

/// A larger number is one of milliseconds: in seconds it would be the year 5138.
const MIN_MILLISECONDS: u64 = 100_000_000_000;

/// The time of signing.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) at: Piece,
    pub(super) unit: TimeUnit,
    pub(super) tolerance: Duration,
}

impl Timed {
    /// Whether the head shows it.
    pub(super) fn is_in_head(&self) -> bool {
        is_in_head(&self.at)
    }

    /// The time since 1970, if it is near enough.
    pub(super) fn check(&self, text: &str, now: SystemTime) -> Result<Duration, Cause> {
        let time = match self.unit {
            TimeUnit::Rfc3339 => {
                let time = humantime::parse_rfc3339(text).map_err(|_| Cause::Malformed)?;
                time.duration_since(UNIX_EPOCH).map_err(|_| Cause::TooOld)?
            }
            unit => {
                // Not `+5`, nor anything else that a parser might let through.
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Cause::Malformed);
                }
                let number: u64 = text.parse().map_err(|_| Cause::FromFuture)?;
                let is_milliseconds = match unit {
                    TimeUnit::Milliseconds => true,
                    TimeUnit::Seconds => false,
                    _ => number >= MIN_MILLISECONDS,
                };
                match is_milliseconds {
                    true => Duration::from_millis(number),
                    false => Duration::from_secs(number),
                }
            }
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        match now.abs_diff(time) <= self.tolerance {
            true => Ok(time),
            false if time < now => Err(Cause::TooOld),
            false => Err(Cause::FromFuture),
        }
    }
}

/// Whether a time that stands there is known before the body is.
pub(super) fn is_in_head(at: &Piece) -> bool {
    matches!(at, Piece::Header(_) | Piece::Pair(_) | Piece::Time)
}
