//! Does a worker do what the bridge and its callers need? Checked from outside, over NATS.

mod checks;
mod client;
mod instances;
mod report;

pub use self::checks::{Plan, check};
pub use self::client::{Client, Worker};
pub use self::report::Report;
