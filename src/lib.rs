//! hookbus: webhooks to message queues, and answers back.
#![warn(missing_docs)]

pub mod json;
pub mod config;
pub mod message;
