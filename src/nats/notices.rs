//! What a client says of its connection while it lasts: that it is over, and what the server refuses.

use std::collections::VecDeque;
use std::fmt;

use async_nats::{Event, ServerError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

/// Refusals that wait to be looked at. The client itself holds no more than 128 back.
const MAX_WAITING: usize = 256;

/// What was heard of one connection.
#[derive(Debug, Default)]
pub struct Notices {
    /// Somebody takes the refusals; else the log says them.
    is_watched: bool,
    gone: Notify,
    refused: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    refusals: VecDeque<Refusal>,
    /// The last error of the server that was about no subject.
    error: Option<String>,
}

/// What the server doesn't permit: its words name the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// To publish to this subject.
    Publish(String),
    /// To subscribe to this subject.
    Subscribe(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(subject) => write!(f, "publish to `{subject}`"),
            Self::Subscribe(subject) => write!(f, "subscribe to `{subject}`"),
        }
    }
}

impl Notices {
    /// For somebody who takes refusals and errors.
    pub fn watched() -> Self {
        Self { is_watched: true, ..Self::default() }
    }

    /// Wait until the connection is over.
    pub async fn gone(&self) {
        self.gone.notified().await;
    }

    /// The next refusal.
    pub async fn refusal(&self) -> Refusal {
        loop {
            if let Some(refusal) = self.state.lock().refusals.pop_front() {
                return refusal;
            }
            // A permit is stored for what came since.
            self.refused.notified().await;
        }
    }

    /// What the server said last, other than that something is not permitted: often why it ended the connection.
    pub fn error(&self) -> Option<String> {
        self.state.lock().error.clone()
    }

    /// What the client tells.
    pub(super) fn take(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => self.gone.notify_one(),
            Event::ServerError(error) if !self.is_watched => {
                // Such as a subject that this user may not use: nothing else would ever say so.
                warn!(%error, "the NATS server refuses something");
            }
            Event::ServerError(ServerError::Other(text)) => match Refusal::parse(&text) {
                Some(refusal) => {
                    let refusals = &mut self.state.lock().refusals;
                    if refusals.len() < MAX_WAITING {
                        refusals.push_back(refusal);
                    }
                    self.refused.notify_one();
                }
                None => self.state.lock().error = Some(text),
            },
            Event::ServerError(error) => self.state.lock().error = Some(error.to_string()),
            _ => {}
        }
    }
}

impl Refusal {
    /// nats-server (`client.go`): `Permissions Violation for Publish to "a.b"`, and
    /// `Permissions Violation for Subscription to "a.*"`, which may go on with ` using queue "q"`.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("Permissions Violation for ")?;
        if let Some(subject) = rest.strip_prefix("Publish to ") {
            Some(Self::Publish(unquoted(subject)?))
        } else {
            Some(Self::Subscribe(unquoted(rest.strip_prefix("Subscription to ")?)?))
        }
    }
}

/// The text that Go's `%q` has put in quotes. Subjects of ours hold visible ASCII, of which two characters are escaped.
fn unquoted(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(out),
            '\\' => out.push(characters.next()?),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_subject() {
        let publish = |subject: &str| Some(Refusal::Publish(subject.to_owned()));
        let subscribe = |subject: &str| Some(Refusal::Subscribe(subject.to_owned()));
        for (text, refusal) in [
            (r#"Permissions Violation for Publish to "a.b""#, publish("a.b")),
            (r#"Permissions Violation for Publish to "a.%22\"\\b""#, publish(r#"a.%22"\b"#)),
            (r#"Permissions Violation for Subscription to "i.*""#, subscribe("i.*")),
            (r#"Permissions Violation for Subscription to "a" using queue "q""#, subscribe("a")),
            (r#"Permissions Violation for Publish with Reply of "r""#, None),
            (r#"Permissions Violation for Publish to "a"#, None),
            ("Permissions Violation for Publish to ", None),
            ("Maximum Connections Exceeded", None),
        ] {
            assert_eq!(Refusal::parse(text), refusal, "{text}");
        }
    }
}
