//! Requests that reach no endpoint: senders that were told a wrong path or method. Nobody else would ever hear of them.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use http::request::Parts;
use tracing::debug;

use super::{Bridge, Done};
use crate::message::{Client, Refusal};

/// The name of the endpoint that wasn't reached.
static NOWHERE: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

impl Bridge {
    /// The end of a request that reached no endpoint: counted, logged, and shown to those who follow.
    pub fn stray(&self, head: &Parts, client: &Client, refusal: Refusal) -> Done {
        let started = Instant::now();
        let (method, path) = (&head.method, head.uri.path());
        debug!(%method, path, reason = refusal.reason(), "a request reached no endpoint");
        self.metrics.refused(&NOWHERE, refusal.reason(), started.elapsed(), None);
        let mut tap = self.live_tail.record(&NOWHERE, &client.hang_up);
        if let Some(tap) = &mut tap {
            tap.asked(&format!("{method} {path}").into());
        }
        let mut done = Done::refused(None, refusal);
        done.keep(tap);
        done
    }
}
