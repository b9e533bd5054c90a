//! Trying a signature, as often as the work for one request allows.

use std::cell::Cell;
use std::time::SystemTime;

use http::request::Parts;

use crate::auth::signature::scheme;
use crate::config::scheme::Scheme;
use crate::config::secret::Secret;
use crate::config::units::Time;

/// Bytes that are signed for one request, all trials together: a few hundredths of a second.
const MAX_BYTES: usize = 16 << 20;
/// What a trial costs beside the body.
const FIXED_BYTES: usize = 4 << 10;

/// How much may still be tried.
#[derive(Debug)]
pub(super) struct Trials(Cell<usize>);

impl Default for Trials {
    fn default() -> Self {
        Self(Cell::new(MAX_BYTES))
    }
}

impl Trials {
    /// Whether a signature fits at some time; `false` too where too much was tried before.
    pub(super) fn fits(
        &self,
        settings: &Scheme,
        secrets: &[Secret],
        url: Option<&str>,
        head: &Parts,
        body: &[u8],
    ) -> bool {
        let cost = (body.len() + FIXED_BYTES).saturating_mul(secrets.len().max(1));
        let Some(left) = self.0.get().checked_sub(cost) else { return false };
        self.0.set(left);
        let scheme = scheme::Scheme::new(&timeless(settings), secrets, url);
        let now = SystemTime::now();
        let proof = scheme.head(head, now).and_then(|signed| signed.verify(head, body));
        proof.is_ok_and(|_| scheme.has_keys())
    }
}

/// The same scheme where every time is near enough.
pub(super) fn timeless(settings: &Scheme) -> Scheme {
    Scheme { tolerance: Time::seconds(u64::MAX), ..settings.clone() }
}
