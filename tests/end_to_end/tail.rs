//! `hookbus tail` and `GET /tail`: what comes in, one line a webhook, and nobody is held up by who watches.

mod bodies;
pub(crate) mod follower;
mod lines;
mod readers;
mod stray;

use crate::support::bridge::Setup;
use crate::support::{Bridge, endpoint, ports};

/// A bridge whose broker isn't there, since nothing goes to it.
fn bridge_of(config: &str) -> Setup {
    Bridge::config(config).nats_at(&format!("nats://127.0.0.1:{}", ports::free()))
}

/// An endpoint that takes everything, and keeps nothing.
fn dropping(more: &str) -> String {
    format!("{more}\n{}", endpoint("hook").events_to(&[]))
}
