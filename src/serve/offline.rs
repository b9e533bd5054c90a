//! What publishes, without anything that receives: for `hookbus dlq` and `hookbus spool` while no bridge runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::brokers::Brokers;
use super::{Error, STARTUP_TIMEOUT};
use crate::config::Config;
use crate::publish::dead_letters::SpoolTasks;
use crate::route::Routes;
use crate::telemetry::health::Health;

/// A spool that no bridge has open, and the tasks on it.
pub struct Offline {
    /// What can be asked for.
    pub spool_tasks: SpoolTasks,
    brokers: Brokers,
    health: Arc<Health>,
    background: JoinSet<()>,
}

impl Offline {
    /// Open the spool, and begin to connect to the brokers.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let health = Arc::new(Health::default());
        let mut background = JoinSet::new();
        let brokers = Brokers::build(config, &health, &Arc::default(), &mut background)?;
        let draft = brokers.destinations.draft();
        for endpoint in &config.endpoints {
            // That they are routed to is what makes destinations configured ones.
            let (event, job) = config.default_destinations();
            Routes::new(endpoint, event, job, &draft)
                .map_err(|error| Error::Config(format!("endpoint `{}`: {error}", endpoint.name)))?;
        }
        brokers.destinations.adopt(draft, config.http.max_events);
        let spool_tasks = SpoolTasks::new(brokers.destinations.clone());
        Ok(Self { spool_tasks, brokers, health, background })
    }

    /// Wait until every broker is connected, but not for long.
    pub async fn connected(&self) {
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while !self.health.all_connected() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Leave the spool as it should be.
    pub async fn close(mut self) {
        self.spool_tasks.stop();
        self.spool_tasks.idle().await;
        if let Some(spool) = self.brokers.destinations.spool().cloned() {
            // It waits for the disk; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        }
        self.background.shutdown().await;
    }
}
