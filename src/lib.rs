//! hookbus: webhooks to message queues, and answers back.
#![warn(missing_docs)]

pub mod config;
pub mod template;
pub mod json;
pub mod message;
