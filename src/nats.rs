//! The NATS connections: addresses, credentials, TLS, and what a broken one means.
//!
//! A [`Connection`] is one logical connection that holds at most one client at a time. The
//! client keeps its queue of commands across its own reconnects, so that a question
//! could be sent long after its deadline. Therefore a client is never allowed to
//! reconnect: it ends with its connection, and takes its queue with it; a new one is built then.
//! A server that doesn't answer pings for three seconds counts as gone.
//!
//! Left out: who is asked and who stores (see `ask` and `sink`).

mod denied;
pub mod header;
pub mod stream_lookup;
mod connection;
pub mod backoff;
pub mod permissions;
mod settings;
mod notices;
pub mod streams;
mod send_window;

pub use self::connection::{Connection, Receive, Unsent};
pub use self::notices::{Notices, Refusal};
pub use self::send_window::Release;
pub use self::settings::{Error, Settings};

/// Name of this broker in health and metrics.
pub const BROKER: &str = "nats";
