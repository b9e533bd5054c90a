//! Events that were given up: stored on a subject of their own before they are acknowledged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::streams::{Error, Found};
use crate::forward::report::Reporter;
use crate::nats::backoff::Backoff;
use crate::nats::header::{encoded, insert};
use crate::nats::stream_lookup::{StreamLookup, StreamOf};
use crate::nats::streams::context;
use crate::template::overlaps;

/// Time for one attempt to store one.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where dead letters go.
pub(super) struct DeadLetters {
    subject: String,
    domain: Option<String>,
}

/// An event as it is stored.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
}

/// An event that was given up.
pub(super) struct Letter<'a> {
    pub(super) original: Original,
    /// Where it is stored.
    pub(super) stream: &'a str,
    pub(super) sequence: u64,
    /// The status of the last answer.
    pub(super) status: Option<u16>,
    pub(super) reason: &'a str,
}

impl fmt::Display for Letter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, sequence, reason, .. } = self;
        write!(f, "stream {stream}, sequence {sequence}: {reason}")
    }
}

impl DeadLetters {
    pub(super) fn new(subject: String, domain: Option<String>) -> Self {
        Self { subject, domain }
    }

    /// Whether they can be kept, and don't come back as events.
    pub(super) async fn check(&self, client: &Client, found: &[Found]) -> Result<(), Error> {
        let refused = |reason: String| Error::DeadLetters { subject: self.subject.clone(), reason };
        let is_read =
            |found: &&Found| found.filters.iter().any(|filter| overlaps(filter, &self.subject));
        if let Some(found) = found.iter().find(is_read) {
            return Err(refused(format!(
                "they would be read again as events of the stream `{}`",
                found.name
            )));
        }
        let lookup = StreamLookup::new(self.domain.as_deref());
        match lookup.of(client, &self.subject, Instant::now() + STORE_TIMEOUT).await {
            StreamOf::None => Err(refused("no stream takes it".to_owned())),
            _ => Ok(()),
        }
    }

    /// Store one, for as long as it takes.
    pub(super) async fn keep(
        &self,
        client: impl Fn() -> Option<Arc<Client>>,
        letter: &Letter<'_>,
        reporter: &dyn Reporter,
    ) {
        let mut backoff = Backoff::default();
        let mut is_said = false;
        loop {
            let stored = match client() {
                Some(client) => self.store(&client, letter).await,
                None => Err("there is no connection to NATS".to_owned()),
            };
            let Err(reason) = stored else { break };
            if !std::mem::replace(&mut is_said, true) {
                reporter.say(format!("a dead letter can't be stored, trying on: {reason}"));
            }
            sleep(backoff.next_delay()).await;
        }
        reporter.given_up(&letter.to_string(), Some(&self.subject));
    }

    async fn store(&self, client: &Client, letter: &Letter<'_>) -> Result<(), String> {
        let context = context(client, self.domain.as_deref());
        let storing = async {
            let headers = headers(letter);
            let (subject, body) = (self.subject.clone(), letter.original.payload.clone());
            context.publish_with_headers(subject, headers, body).await?.await
        };
        match timeout(STORE_TIMEOUT, storing).await {
            Ok(stored) => stored.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err("no acknowledgement in time".to_owned()),
        }
    }
}

/// What it came with, where it stands, and why it was given up.
#[expect(clippy::disallowed_methods, reason = "what is appended came as headers")]
fn headers(letter: &Letter<'_>) -> HeaderMap {
    let Letter { original, stream, sequence, status, reason } = letter;
    let mut headers = HeaderMap::new();
    for (name, values) in original.headers.iter().flat_map(HeaderMap::iter) {
        // Those of JetStream would be obeyed once more.
        let is_own = AsRef::<str>::as_ref(name).to_ascii_lowercase().starts_with("nats-");
        for value in values.iter().filter(|_| !is_own) {
            headers.append(name.clone(), value.clone());
        }
    }
    let mut put = |name, value: &str| insert(&mut headers, name, encoded(value));
    put("Hookbus-Reason", reason);
    put("Hookbus-Stream", stream);
    put("Hookbus-Sequence", &sequence.to_string());
    if let Some(status) = status {
        put("Hookbus-Status", &status.to_string());
    }
    // Stored once, however often an acknowledgement is lost.
    put("Nats-Msg-Id", &format!("hookbus-forward/{stream}/{sequence}"));
    headers
}
