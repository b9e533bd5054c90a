//! The streams that hold the events, and what is read of each.

use async_nats::Client;
use async_nats::jetstream::stream::RetentionPolicy;

use super::Plan;
use crate::nats::streams::{all, context};
use crate::template::{covers, overlaps};

/// Why events can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no stream for them.
    #[error("no stream takes {}", listed(.0))]
    NoStream(Vec<String>),
    /// A consumer of this name does something else.
    #[error("the consumer `{consumer}` of the stream `{stream}` has other settings: {difference}")]
    Differs {
        /// Its stream.
        stream: String,
        /// Its name.
        consumer: String,
        /// What it has, and what is needed.
        difference: String,
    },
    /// The stream deletes what was acknowledged, so that a consumer must be named, and nothing may be given up.
    #[error("the stream `{0}` deletes what was acknowledged")]
    Deletes(String),
    /// Dead letters can't be kept there.
    #[error("dead letters can't go to `{subject}`: {reason}")]
    DeadLetters {
        /// The subject.
        subject: String,
        /// Why not.
        reason: String,
    },
    /// It may be over in a moment.
    #[error("{0}")]
    Other(String),
}

impl Error {
    pub(super) fn other(text: impl ToString) -> Self {
        Self::Other(text.to_string())
    }

    /// Whether it stays as it is until somebody changes something.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

fn listed(subjects: &[String]) -> String {
    let subjects: Vec<_> = subjects.iter().map(|subject| format!("`{subject}`")).collect();
    subjects.join(", ")
}

/// A stream, and what is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// Tells it from another one of the same name.
    pub(super) created: i128,
    pub(super) last_sequence: u64,
    /// Each acknowledged message is deleted: from a queue of work, or when nobody else wants it.
    pub(super) is_queue: bool,
    pub(super) filters: Vec<String>,
}

/// The streams of a plan.
pub(super) async fn find(client: &Client, plan: &Plan) -> Result<Vec<Found>, Error> {
    let streams = all(&context(client, plan.domain.as_deref())).await.map_err(Error::other)?;
    let mut found = Vec::new();
    let mut is_stored = false;
    for info in streams {
        let of = |patterns: &[String]| {
            let pairs =
                info.config.subjects.iter().flat_map(|taken| {
                    patterns.iter().filter_map(move |pattern| both(taken, pattern))
                });
            pairs.collect::<Vec<_>>()
        };
        let mut filters = of(&plan.subjects);
        is_stored |= !filters.is_empty();
        filters.extend(of(&plan.optional));
        let filters = apart(filters);
        if filters.is_empty() {
            continue;
        }
        let is_kept = info.config.retention == RetentionPolicy::Limits;
        if !is_kept && (plan.durable.is_none() || plan.dead_letters.is_none()) {
            return Err(Error::Deletes(info.config.name));
        }
        found.push(Found {
            name: info.config.name,
            created: info.created.unix_timestamp_nanos(),
            last_sequence: info.state.last_sequence,
            is_queue: info.config.retention == RetentionPolicy::WorkQueue,
            filters,
        });
    }
    if is_stored { Ok(found) } else { Err(Error::NoStream(plan.subjects.clone())) }
}

/// The pattern of what matches both.
fn both(a: &str, b: &str) -> Option<String> {
    if !overlaps(a, b) {
        return None;
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    let mut tokens = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (Some(">"), Some(token)) => {
                tokens.push(token);
                tokens.extend(right);
                break;
            }
            (Some(token), Some(">")) => {
                tokens.push(token);
                tokens.extend(left);
                break;
            }
            (Some("*"), Some(token)) | (Some(token), Some(_)) => tokens.push(token),
            _ => break,
        }
    }
    Some(tokens.join("."))
}

/// Those that no other one covers: the server takes no two that overlap.
fn apart(mut patterns: Vec<String>) -> Vec<String> {
    patterns.sort_unstable();
    patterns.dedup();
    let is_covered =
        |pattern: &String| patterns.iter().any(|other| other != pattern && covers(other, pattern));
    let kept = patterns.iter().filter(|pattern| !is_covered(pattern));
    kept.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_both_take() {
        for (a, b, expected) in [
            ("vapi.>", "vapi.events.>", Some("vapi.events.>")),
            ("vapi.events.hang", "vapi.events.>", Some("vapi.events.hang")),
            ("*.events.*", "vapi.events.>", Some("vapi.events.*")),
            ("*.b", "a.*", Some("a.b")),
            ("a.b", "a.b", Some("a.b")),
            (">", "a.*", Some("a.*")),
            ("shop.>", "vapi.events.>", None),
        ] {
            assert_eq!(both(a, b).as_deref(), expected, "{a} {b}");
            assert_eq!(both(b, a).as_deref(), expected, "{b} {a}");
        }
    }

    #[test]
    fn patterns_that_are_covered_are_left_out() {
        let all = ["a.>", "a.b", "c.*", "c.d", "a.>", "e"].map(str::to_owned).to_vec();
        assert_eq!(apart(all), ["a.>", "c.*", "e"]);
    }
}
