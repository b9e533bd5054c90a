//! NATS as operators run it: logins, leaf nodes, permissions, and servers that misbehave.

mod leaf;
mod least;
mod limit;
mod login;
mod permissions;
mod replies;
mod stall;
mod storm;
mod streams;

use crate::support::{Bridge, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// Waits until both connections are there.
async fn connected(bridge: &Bridge) {
    eventually("a connection to NATS", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        (ready.status == 200 && ready.text().contains("nats: connected\n")).then_some(())
    })
    .await;
}
