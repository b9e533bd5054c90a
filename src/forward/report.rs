//! What is told of each request.

use std::time::Duration;

use super::about::About;
use super::request::Request;

/// One request and what came of it.
#[derive(Debug)]
pub struct Report<'a> {
    /// What it was about.
    pub about: &'a About,
    /// What was posted.
    pub request: &'a Request,
    /// The status of the server's answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong, in a word, where the status doesn't say it; else empty.
    pub outcome: &'static str,
    /// The body of the answer, as far as it was read.
    pub answer: &'a [u8],
    /// What went wrong, or what is done next.
    pub note: Option<String>,
    /// How long the answer took.
    pub took: Duration,
}

/// Hears of each request.
pub trait Reporter: Send + Sync {
    /// A request was made.
    fn request(&self, report: &Report<'_>);

    /// A request would have been made.
    fn dry(&self, about: &About, request: &Request);

    /// An event was given up, and kept there as a dead letter, or not at all.
    fn given_up(&self, what: &str, kept: Option<&str>);

    /// Something else that its user should know.
    fn say(&self, text: String);
}
