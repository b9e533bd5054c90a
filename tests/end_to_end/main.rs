//! The built binary with real brokers and real clients. One crate of many modules, so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic"
)]

mod admin;
mod answer;
mod answers;
mod auth;
mod bad_input;
mod cli;
mod conform;
mod connect;
mod console;
mod deploy;
mod dlq;
mod docs;
mod events;
mod examples;
mod fixtures;
mod forward;
mod github;
mod http;
mod kafka;
mod layers;
mod nats;
mod log;
mod metrics;
mod outage;
mod providers;
mod reload;
mod spool;
mod start;
mod status;
#[allow(dead_code, unused_imports, reason = "what one test file needs stands ready for the next")]
#[path = "../support/mod.rs"]
mod support;
mod tail;
mod telemetry;
mod tls;
mod tools;
mod top;
mod vapi;
mod workers;
