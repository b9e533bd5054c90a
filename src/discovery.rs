//! Who answers: which workers NATS micro shows (ADR-32), beside what is configured or was asked lately.
//!
//! Every instance of a service answers to `$SRV.INFO` and `$SRV.STATS`; what comes within half a second counts, up to
//! a bounded number and size. A worker that is a plain subscription can't be seen: nothing is said of it, and nobody
//! is called to find out.
//!
//! What services say comes from outside: texts are cut, and what can't be read is counted.

mod collect;
mod function;
mod report;
mod service;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use self::collect::{Collected, Discovered, REPLY_TIMEOUT, discover};
pub use self::function::{Function, Functions};
pub use self::report::{Answering, Overview, Worker};
use crate::config::{self, Config};
use crate::live_tail::RecentQuestion;
use crate::nats::{Error, Settings};

/// How long an answer is used again.
const CACHE_TIME: Duration = Duration::from_secs(1);

type SharedResult = Result<Arc<Discovered>, Arc<Error>>;

/// Asks for the workers, once at a time.
pub struct Workers {
    nats: Option<config::Nats>,
    functions: ArcSwap<Functions>,
    /// What came of it last, good or bad. Held while NATS is asked.
    last: Mutex<Option<(Instant, SharedResult)>>,
}

/// Why workers could not be asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unasked {
    /// There is no NATS.
    #[error("without [nats] no question is asked, so there are no workers")]
    NoNats,
    /// It can't be reached.
    #[error("NATS can't be asked for workers: {0}")]
    NotConnected(Arc<Error>),
}

impl Workers {
    /// For the functions of this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            nats: config.nats.clone(),
            functions: ArcSwap::from_pointee(Functions::new(config)),
            last: Mutex::default(),
        }
    }

    /// Take over the functions of another configuration.
    pub fn configure(&self, config: &Config) {
        self.functions.store(Arc::new(Functions::new(config)));
    }

    /// Who answers what is configured, and what was asked lately.
    pub async fn report(&self, recent: &[RecentQuestion]) -> Result<Overview, Unasked> {
        let found = self.found().await?;
        let functions = self.functions.load().with(recent);
        Ok(Overview::new(functions, &found))
    }

    async fn found(&self) -> Result<Arc<Discovered>, Unasked> {
        let nats = self.nats.as_ref().ok_or(Unasked::NoNats)?;
        let mut last = self.last.lock().await;
        let outcome = match &*last {
            Some((when, outcome)) if when.elapsed() < CACHE_TIME => outcome.clone(),
            _ => {
                let outcome = ask(nats).await.map(Arc::new).map_err(Arc::new);
                *last = Some((Instant::now(), outcome.clone()));
                outcome
            }
        };
        outcome.map_err(Unasked::NotConnected)
    }
}

/// Over a connection of its own: what strangers answer, and how much of it, is no burden to questions and events.
async fn ask(nats: &config::Nats) -> Result<Discovered, Error> {
    let client = Settings::new(nats)?.connect(Arc::default()).await?;
    Ok(discover(&client, &nats.inbox_prefix).await)
}
