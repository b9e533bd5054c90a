//! Whether the streams of the server do what the configuration requires of them.

use async_nats::jetstream::stream::{
    Config as Stream, DiscardPolicy, PersistenceMode, StorageType,
};

use super::findings::{Finding, Findings};
use super::uncovered::{self, Lack};
use super::{COVER, RequiredStreams};
use crate::template::{covers, overlaps};

impl RequiredStreams {
    /// Whether events go to this stream.
    pub(super) fn uses(&self, stream: &Stream) -> bool {
        self.stored.iter().chain(&self.jobs).any(|(pattern, _)| takes(stream, pattern))
    }

    /// Streams whose acknowledgements are worth nothing, or less than they seem.
    pub(super) fn judge_acks(
        &self,
        streams: &[Stream],
        consumers: &[(String, Vec<String>)],
        findings: &mut Findings,
    ) {
        for stream in streams.iter().filter(|stream| self.uses(stream)) {
            let name = &stream.name;
            if stream.no_ack {
                findings.refused.push(Finding::new(
                    format!("stream `{name}` takes events and acknowledges nothing (no_ack): each would be stored again and again"),
                    "turn its acknowledgements on, or give it other subjects",
                ));
            }
            if stream.persist_mode == Some(PersistenceMode::Async) {
                findings.warnings.push(Finding::new(
                    format!("stream `{name}` acknowledges what it hasn't written yet (persist_mode async)"),
                    "use the default, if an acknowledged event has to outlive a crash of the server",
                ));
            }
            let Some((_, wanted)) = consumers.iter().find(|(known, _)| known == name) else {
                continue;
            };
            for (pattern, destination) in &self.stored {
                let is_wanted = wanted.iter().any(|wanted| overlaps(wanted, pattern));
                if takes(stream, pattern) && !is_wanted {
                    findings.unkept.push(Finding::new(
                        format!("stream `{name}` keeps only what a consumer wants (retention interest), and none wants `{pattern}`: events for `{destination}` are acknowledged and gone"),
                        "create the consumer first, or use another retention",
                    ));
                }
            }
        }
    }

    pub(super) fn judge(&self, streams: &[Stream], findings: &mut Findings) {
        let subjects = || {
            streams
                .iter()
                .flat_map(|stream| stream.subjects.iter().map(move |subject| (stream, subject)))
        };
        for (pattern, purpose) in &self.free {
            for (stream, subject) in subjects().filter(|(_, subject)| overlaps(subject, pattern)) {
                findings.refused.push(Finding::new(
                    format!(
                        "stream `{}` stores `{subject}`, which takes in `{pattern}` ({purpose}): it would answer in place of a worker",
                        stream.name
                    ),
                    "give the stream other subjects",
                ));
            }
        }
        let is_taken = |name: &str| subjects().any(|(_, subject)| covers(subject, name));
        for pair in &self.stored {
            let (pattern, destination) = pair;
            let sealed = streams.iter().find(|stream| stream.sealed && takes(stream, pattern));
            if let Some(Stream { name, .. }) = sealed {
                findings.uncovered.push(Finding::new(
                    format!("stream `{name}` is sealed, and stores nothing more of `{pattern}`, where `{destination}` goes"),
                    "give it other subjects, and create another stream for these",
                ));
                continue;
            }
            if is_taken(pattern) {
                continue;
            }
            let names = self.names.get(pair).cloned().unwrap_or_default();
            match uncovered::lack(pattern, destination, &names, is_taken) {
                Some(Lack::Now(finding)) => findings.uncovered.push(finding),
                Some(Lack::Perhaps(finding)) => findings.warnings.push(finding),
                None => {}
            }
        }
        for (pattern, destination) in &self.jobs {
            if !subjects().any(|(_, subject)| covers(subject, pattern)) {
                findings.warnings.push(Finding::new(
                    format!("no stream stores `{pattern}`, where asynchronous tool calls go (`{destination}`)"),
                    COVER,
                ));
            }
        }
        let used = self.stored.iter().chain(&self.jobs);
        for stream in streams {
            let is_used = used.clone().any(|(pattern, _)| {
                stream.subjects.iter().any(|subject| overlaps(subject, pattern))
            });
            if !is_used {
                continue;
            }
            let is_limited = stream.max_bytes > 0
                || stream.max_messages > 0
                || stream.max_messages_per_subject > 0;
            let mut warn = |what: &str, hint| {
                let problem = format!("stream `{}` {what}", stream.name);
                findings.warnings.push(Finding::new(problem, hint));
            };
            if stream.discard == DiscardPolicy::Old && is_limited {
                warn(
                    "deletes its oldest messages when it is full (discard old)",
                    "let it discard new ones: then it refuses what it can't keep, and the sender is told",
                );
            }
            if stream.num_replicas <= 1 && !self.is_alone {
                warn(
                    "has a single copy",
                    "with 3 replicas on a cluster it outlives the loss of a server",
                );
            }
            if stream.storage == StorageType::Memory {
                warn("is kept in memory, and is gone with its server", "use file storage");
            }
            let is_less = |limit| usize::try_from(limit).is_ok_and(|limit| limit < self.max_body);
            if stream.max_message_size > 0 && is_less(stream.max_message_size) {
                warn(
                    &format!(
                        "takes no message over {} bytes, but `http.max_body` is {}",
                        stream.max_message_size, self.max_body
                    ),
                    "raise the stream's limit, or lower `http.max_body`",
                );
            }
        }
    }
}

/// Whether a stream stores something of a pattern.
fn takes(stream: &Stream, pattern: &str) -> bool {
    stream.subjects.iter().any(|subject| overlaps(subject, pattern))
}
