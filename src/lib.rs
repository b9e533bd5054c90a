//! hookbus receives webhooks and hands them to message queues.
//!
//! One webhook takes one walk:
//!
//! ```text
//! receive → authenticate → classify → route → publish | ask → reply
//! ```
//!
//! An HTTP request becomes a [`message::Webhook`]. Its endpoint authenticates it, its source
//! classifies it: an event (the sender is telling) or questions (the sender is waiting). An
//! event goes to its destinations, and a [`message::Receipt`] says who holds it. Questions are
//! asked together over NATS, each with its own deadline and fallback; the source merges the
//! answers into one [`message::Reply`]. What cannot be served is a [`message::Refusal`].
//!
//! Invariants:
//!
//! - A 2xx to an event means that every destination's broker acknowledged it, or that the spool synced it.
//! - Each question is answered before the sender's limit.
//! - Nothing is handed to NATS after its deadline, or while there is no connection.
//! - The body that arrives is the body that leaves.
//! - A source does no I/O. A sink knows no provider.
//! - A `Refusal` becomes a status code only in `receive`.
//! - Nothing waits without a limit: no queue, no map and no task outlives the configured bounds.
//! - No secret and no body reaches a log.
//!
//! The modules stand in the order in which a webhook meets them; a module may import only what
//! stands below it.

pub mod cli;
pub mod forward;
pub mod worker;
pub mod conformance;
pub mod serve;
pub mod admin;
pub mod discovery;
pub mod server;
pub mod receive;
pub mod bridge;
pub mod body;
pub mod limit;
pub mod auth;
pub mod ask;
pub mod answer_cache;
pub mod route;
pub mod settings;
pub mod source;
pub mod places;
pub mod publish;
pub mod sink;
pub mod spool;
pub mod inbox;
pub mod nats;
pub mod live_tail;
pub mod telemetry;
pub mod config;
pub mod http_client;
pub mod tls;
pub mod template;
pub mod message;
pub mod trace;
pub mod json;
