//! What publishes, without anything that receives: for `hookbus dlq` and `hookbus spool` while no bridge runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::outlets::Outlets;
use super::{Error, START};
use crate::config::Config;
use crate::publish::replay::Replays;
use crate::route::Routes;
use crate::telemetry::health::Health;

/// The replays of a spool that no bridge has open.
pub struct Offline {
    /// What can be asked for.
    pub replays: Replays,
    outlets: Outlets,
    health: Arc<Health>,
    background: JoinSet<()>,
}

impl Offline {
    /// Open the spool, and begin to connect to the brokers.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let health = Arc::new(Health::default());
        let mut background = JoinSet::new();
        let outlets = Outlets::build(config, &health, &Arc::default(), &mut background)?;
        let draft = outlets.destinations.draft();
        for endpoint in &config.endpoints {
            // That they are routed to is what makes destinations configured ones.
            let (event, job) = config.default_destinations();
            Routes::new(endpoint, event, job, &draft)
                .map_err(|error| Error::Config(format!("endpoint `{}`: {error}", endpoint.name)))?;
        }
        outlets.destinations.adopt(draft, config.http.max_events);
        let replays = Replays::new(outlets.destinations.clone());
        Ok(Self { replays, outlets, health, background })
    }

    /// Wait until every broker is connected, but not for long.
    pub async fn connected(&self) {
        let deadline = Instant::now() + START;
        while !self.health.all_connected() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Leave the spool as it should be.
    pub async fn close(mut self) {
        self.replays.stop();
        self.replays.idle().await;
        if let Some(shelf) = self.outlets.destinations.shelf().cloned() {
            // It waits for the disk; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || shelf.close()).await;
        }
        self.background.shutdown().await;
    }
}
