//! Why a webhook is not served.

use std::borrow::Cow;
use std::time::Duration;

use super::Outcome;

/// What cannot be served, and why. Only `receive` makes a status of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No endpoint has this path.
    #[error("no endpoint has this path{}", meant(.near.as_deref()))]
    NoSuchPath {
        /// The path of one that it may have been meant for.
        near: Option<String>,
    },
    /// Another method than those of this path.
    #[error("this path takes {allowed}")]
    Method {
        /// Those that it takes, as in the header `Allow`.
        allowed: Cow<'static, str>,
    },
    /// It isn't told, or told twice, whom the request is for.
    #[error("exactly one Host header is needed")]
    Host,
    /// The sender is not who it should be; nothing more is said.
    #[error("authentication is missing or wrong")]
    Unauthorized,
    /// The keys that verify the sender cannot be fetched.
    #[error("who sent this can't be verified right now")]
    Undecided,
    /// The body is not a webhook of this source.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The body is larger than `http.max_body`.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// `http.max_body`, in bytes.
        limit: usize,
    },
    /// A `Content-Encoding` that isn't read here.
    #[error("this content encoding is not supported")]
    Encoding,
    /// Its endpoint takes no more in such a time.
    #[error("too many events in a short time")]
    TooFast {
        /// When the next one is welcome.
        wait: Duration,
    },
    /// A limit was reached.
    #[error("too much at the same time: {0}")]
    Overloaded(&'static str),
    /// The body came too slowly, or ended early.
    #[error("the body did not arrive {0}")]
    Incomplete(&'static str),
    /// No destination could store it within its time.
    #[error("the event could not be stored: {0}")]
    NotStored(&'static str),
    /// A question without an answer and without a fallback.
    #[error("{}", .0.sentence())]
    Unanswered(Outcome),
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; `{near}` has one, and must be written exactly so"))
        .unwrap_or_default()
}

impl Refusal {
    /// The reasons for which an endpoint may refuse.
    pub const REASONS: [&'static str; 16] = [
        "unauthorized",
        "undecided",
        "malformed",
        "method",
        "too-large",
        "encoding",
        "rate-limited",
        "overloaded",
        "incomplete",
        "not-stored",
        "timeout",
        "no-responders",
        "not-permitted",
        "worker-error",
        "bad-reply",
        "disconnected",
    ];

    /// The metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchPath { .. } => "no-such-path",
            Self::Method { .. } => "method",
            Self::Host => "host",
            Self::Unauthorized => "unauthorized",
            Self::Undecided => "undecided",
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too-large",
            Self::Encoding => "encoding",
            Self::TooFast { .. } => "rate-limited",
            Self::Overloaded(_) => "overloaded",
            Self::Incomplete(_) => "incomplete",
            Self::NotStored(_) => "not-stored",
            Self::Unanswered(outcome) => outcome.as_str(),
        }
    }
}
