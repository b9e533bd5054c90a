//! Posts events and questions to an HTTP server, and brings its answers back: a server that was written for webhooks is
//! a consumer and a worker as it is.
//!
//! - An event is acknowledged after a 2xx, and not before. Of one key the next is posted when the one before is done
//!   with; one that fails holds its key, and is tried again in place.
//! - A question goes out with its deadline and is cut off there; whatever isn't an answer becomes an error that says why.
//! - Nothing is kept: what isn't done with at the end goes back to its broker.
//!
//! `questions` answers as a [`worker`](crate::worker), `jetstream` and `kafka` read events, `delivery` posts an event until it is
//! done with, `lanes` keeps the order. `request` makes what is posted, `http` posts it, and `metrics` counts it.

mod about;
mod delivery;
mod filter;
mod http;
pub mod jetstream;
pub mod kafka;
mod lanes;
pub mod metrics;
mod questions;
mod report;
mod request;
mod stop;

pub use self::about::{About, Kind};
pub use self::delivery::{Delivery, Limits};
pub use self::filter::{Condition, Filter};
pub use self::http::Server;
pub use self::questions::Questions;
pub use self::report::{Report, Reporter};
pub use self::request::{Dialect, Request};
pub use self::stop::Stop;
