//! Providers: what their webhooks mean, and what their answers look like.
//!
//! A source is plain functions over bytes; it does no I/O.

pub mod vapi;

use std::sync::Arc;
use std::time::Duration;

use crate::config::SourceName;
use crate::message::{Answer, Classified, Form, Questions, Refusal, Reply, Webhook};

/// One provider's dialect.
pub trait Source: Send + Sync {
    /// Read what a webhook is: in one pass, without a tree.
    fn classify(&self, webhook: &Webhook) -> Result<Classified, Refusal>;

    /// What the CloudEvents type begins with.
    fn event_prefix(&self) -> &'static str;

    /// Time for a question of this type unless a rule says otherwise.
    fn time_limit(&self, label: &str) -> Duration;

    /// The fallback of a question of this type unless a rule has one, as JSON.
    fn fallback(&self, label: &str) -> Option<&'static str>;

    /// Whether a worker's reply can be sent on; where not, why.
    fn check(&self, form: Form, reply: &[u8]) -> Result<(), &'static str>;

    /// The one reply to all questions of a webhook; `answers` are in their order, and `unasked` says what the
    /// calls in excess get, where there are any. It may be needed until the reply is written.
    fn reply(
        &self,
        questions: &Questions,
        answers: Vec<Answer>,
        unasked: Option<Unasked>,
    ) -> Result<Reply, Refusal>;
}

/// What a call gets that is not asked, by its function and whether it is one that nobody waits for.
pub type Unasked = Arc<dyn Fn(&str, bool) -> Answer + Send + Sync>;

/// The source of an endpoint.
pub fn of(name: SourceName) -> Box<dyn Source> {
    match name {
        SourceName::Vapi => Box::new(vapi::Vapi),
    }
}
