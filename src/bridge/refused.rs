//! Why senders are refused: for the operator, in the log, the metrics and the live tail. The senders aren't told.
//!
//! Looking for the likely cause takes time, and anybody can be refused as often as he likes: it is done once a second
//! for an endpoint, a few times a second for all of them together, and never for a large body. In between, what was found
//! last stands for all that are refused for the same reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Bridge, Endpoint};
use crate::auth::Cause;
use crate::auth::diagnosis::{Diagnosis, Reason, diagnose};
use crate::config;
use crate::message::Refusal;

/// How often an endpoint's refusals are looked into.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often those of any endpoint are.
const ANY_INTERVAL: Duration = Duration::from_millis(200);
/// How often an endpoint's refusals are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Larger bodies are not looked into, in bytes.
const MAX_BODY: usize = 1 << 20;

/// What is known of refusals.
#[derive(Default)]
pub struct Diagnoses {
    /// The endpoints as they are configured.
    configured: ArcSwap<Vec<Arc<config::Endpoint>>>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    looked: Option<Instant>,
    /// By the name of the endpoint; there is no more than is configured.
    of: HashMap<Arc<str>, OfEndpoint>,
}

#[derive(Default)]
struct OfEndpoint {
    looked: Option<Instant>,
    logged: Option<Instant>,
    /// Refused since that was logged.
    unlogged: u64,
    found: Option<(Cause, Arc<Diagnosis>)>,
}

/// A refusal, and for those who follow, why.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) why: Option<Arc<Diagnosis>>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, why: None }
    }
}

impl Diagnoses {
    /// From now on these are the endpoints.
    pub fn configure(&self, endpoints: &[config::Endpoint]) {
        let names = |name: &Arc<str>| endpoints.iter().any(|endpoint| *endpoint.name == **name);
        // What was found may be mended now.
        self.recent.lock().of.retain(|name, of| {
            (of.looked, of.found) = (None, None);
            names(name)
        });
        self.configured.store(Arc::new(endpoints.iter().cloned().map(Arc::new).collect()));
    }

    /// What is known of a refusal, and whether it is time to look into it.
    fn recall(
        &self,
        name: &Arc<str>,
        cause: Cause,
        is_small: bool,
    ) -> (Option<Arc<Diagnosis>>, bool) {
        let now = Instant::now();
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| now - last >= every);
        let mut recent = self.recent.lock();
        let is_free = is_due(recent.looked, ANY_INTERVAL);
        let of = recent.of.entry(name.clone()).or_default();
        of.unlogged += 1;
        if is_small && is_free && is_due(of.looked, LOOK_INTERVAL) {
            of.looked = Some(now);
            recent.looked = Some(now);
            return (None, true);
        }
        let found = of.found.as_ref().filter(|(known, _)| *known == cause);
        (found.map(|(_, found)| found.clone()), false)
    }

    /// Look into a refusal, off the threads that serve others.
    async fn look(&self, name: &str, head: &Parts, body: Bytes) -> Option<Arc<Diagnosis>> {
        let (all, head) = (self.configured.load_full(), head.clone());
        let endpoint = all.iter().find(|endpoint| endpoint.name == name)?.clone();
        let looking = spawn_blocking(move || {
            let others: Vec<&config::Endpoint> = all.iter().map(|other| &**other).collect();
            diagnose(&endpoint, &others, &head, &body, SystemTime::now())
        });
        // It could only fail by a panic, which is logged.
        looking.await.ok().flatten().map(Arc::new)
    }

    /// Keep what was found. Returns how many were refused since that was logged last, where it is time for a line.
    fn keep(&self, name: &Arc<str>, cause: Cause, found: &Arc<Diagnosis>) -> Option<u64> {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        let of = recent.of.entry(name.clone()).or_default();
        of.found = Some((cause, found.clone()));
        let is_due = of.logged.is_none_or(|last| now - last >= LOG_INTERVAL);
        is_due.then(|| {
            of.logged = Some(now);
            std::mem::take(&mut of.unlogged)
        })
    }
}

impl Bridge {
    /// The refusal of a sender for this cause: counted, and explained to the operator. `body` is what was received, which
    /// is nothing where the head was enough.
    pub(super) async fn unauthorized(
        &self,
        endpoint: &Endpoint,
        cause: Cause,
        head: &Parts,
        body: &Bytes,
    ) -> Refused {
        let why = match cause {
            // These say all that there is to know.
            Cause::Address | Cause::Repeated | Cause::Full | Cause::Undecided => None,
            _ => self.explained(&endpoint.name, cause, head, body).await,
        };
        // That something doesn't fit may have many causes; the other causes are what they are.
        let likely = why.as_ref().filter(|_| cause == Cause::Mismatch);
        let reason = likely.map_or(cause.as_str(), |why| why.reason.as_str());
        self.metrics.unauthorized(&endpoint.name, reason);
        Refused { refusal: cause.refusal(), why }
    }

    async fn explained(
        &self,
        name: &Arc<str>,
        cause: Cause,
        head: &Parts,
        body: &Bytes,
    ) -> Option<Arc<Diagnosis>> {
        let (known, is_due) = self.diagnoses.recall(name, cause, body.len() <= MAX_BODY);
        if !is_due {
            return known;
        }
        let found = self.diagnoses.look(name, head, body.clone()).await?;
        // Only the issuer of a token could tell.
        if found.reason == Reason::Undecided {
            return None;
        }
        if let Some(refused) = self.diagnoses.keep(name, cause, &found) {
            let Diagnosis { reason, what, hint } = &*found;
            let reason = reason.as_str();
            warn!(endpoint = %name, refused, reason, hint, "a webhook is refused: {what}");
        }
        Some(found)
    }
}
