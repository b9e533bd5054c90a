//! Whether some stream takes a subject.
//!
//! A publish that nobody answers says only that no stream takes it now: during an election that looks the same. The API of
//! JetStream knows which streams there are, also while one of them has no leader.

use std::time::Duration;

use async_nats::{Client, StatusCode};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How many subjects are asked for at the same time: the server goes through all streams for each.
const MAX_LOOKUPS: usize = 8;

/// How long the server isn't asked after it said nothing: this user may not be permitted to ask.
const SILENCE_PAUSE: Duration = Duration::from_secs(60);

/// The error code of an account that has no JetStream.
const NOT_ENABLED: u32 = 10_039;

/// What the server says of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOf {
    /// A stream takes it.
    Stream,
    /// There is none that does.
    None,
    /// There is no JetStream.
    NoJetStream,
    /// It can't be told.
    Unknown,
}

/// Asks the server of one JetStream domain.
pub struct StreamLookup {
    /// The subject that is asked on.
    api: String,
    permits: Semaphore,
    /// The server isn't asked before then.
    silent_until: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Names {
    /// `null` where there are none.
    #[serde(default)]
    streams: Option<Vec<IgnoredAny>>,
    total: Option<u64>,
    error: Option<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    err_code: u32,
}

impl StreamLookup {
    /// Of this domain, or of the server's own.
    pub fn new(domain: Option<&str>) -> Self {
        let prefix = domain.map_or_else(|| "$JS.API".to_owned(), |name| format!("$JS.{name}.API"));
        Self {
            api: format!("{prefix}.STREAM.NAMES"),
            permits: Semaphore::new(MAX_LOOKUPS),
            silent_until: Mutex::default(),
        }
    }

    /// Ask for a subject without wildcards, until `deadline`.
    pub async fn of(&self, client: &Client, subject: &str, deadline: Instant) -> StreamOf {
        if self.silent_until.lock().is_some_and(|until| Instant::now() < until) {
            return StreamOf::Unknown;
        }
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return StreamOf::Unknown;
        };
        let asked = timeout_at(deadline, self.ask(client, subject)).await;
        let is_inbox_denied = asked.is_err().then(|| Instant::now() + SILENCE_PAUSE);
        *self.silent_until.lock() = is_inbox_denied;
        asked.ok().flatten().unwrap_or(StreamOf::Unknown)
    }

    /// With a subscription of its own: what the client keeps of its own requests stays when they aren't answered.
    async fn ask(&self, client: &Client, subject: &str) -> Option<StreamOf> {
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.ok()?;
        let question = serde_json::json!({ "subject": subject }).to_string();
        client.publish_with_reply(self.api.clone(), inbox, question.into()).await.ok()?;
        while let Some(answer) = answers.next().await {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                return Some(StreamOf::NoJetStream);
            }
            // Others who listen to everything may answer too.
            if let Some(found) = read(&answer.payload) {
                return Some(found);
            }
        }
        None
    }
}

fn read(payload: &[u8]) -> Option<StreamOf> {
    let names: Names = serde_json::from_slice(payload).ok()?;
    match names {
        Names { error: Some(error), .. } if error.err_code == NOT_ENABLED => {
            Some(StreamOf::NoJetStream)
        }
        Names { error: Some(_), .. } => Some(StreamOf::Unknown),
        Names { total: Some(_), streams, .. } => {
            let is_there = streams.is_some_and(|streams| !streams.is_empty());
            Some(if is_there { StreamOf::Stream } else { StreamOf::None })
        }
        Names { total: None, .. } => None,
    }
}

#[cfg(test)]
mod tests;
