//! Questions and events on the same subjects.
//!
//! A JetStream stream acknowledges whatever it stores. If it stores a question, its acknowledgement
//! arrives before the worker's answer and is taken for it.

use std::collections::HashSet;

use super::nats::pattern_error;
use super::{Checks, shown};
use crate::config::load::tree::Node;
use crate::config::{ASK_SUBJECT, JOB_SUBJECT, TOOL_SUBJECT};
use crate::template::{Destination, Template, glob, overlaps};

/// A subject that the bridge publishes to.
struct Used<'a> {
    pattern: String,
    /// The template that it comes from.
    text: &'a str,
    endpoint: &'a str,
    node: Node<'a>,
    /// By a rule, and not by default.
    is_written: bool,
    /// Not stored: `nats-core:`.
    is_core: bool,
}

pub(super) fn check(checks: &mut Checks<'_, '_, '_>) {
    let Some(nats) = &checks.config.nats else {
        return;
    };
    let root = checks.root;
    let (questions, events) = collect(checks);
    let mut said = HashSet::new();
    for question in &questions {
        let Some(event) = events.iter().find(|event| overlaps(&event.pattern, &question.pattern))
        else {
            continue;
        };
        let (place, other) =
            if question.is_written { (question, event) } else { (event, question) };
        if !said.insert(place.node.start()) {
            continue;
        }
        let consequence = if event.is_core {
            "workers would get events as questions"
        } else {
            "the stream of the events would answer the questions"
        };
        checks.error(
            place.node,
            format!(
                "`{}` overlaps `{}` of endpoint `{}`: {consequence}",
                shown(place.node, place.text),
                other.text_shown(),
                other.endpoint
            ),
            "keep them apart, as in `{endpoint}.events.{type}` and `{endpoint}.ask.{type}`",
        );
    }

    let inbox = format!("{}.>", nats.inbox_prefix);
    for (at, stream) in nats.streams.iter().enumerate() {
        let node = root.get("nats").get("stream").at(at);
        for (index, subject) in stream.subjects.iter().enumerate() {
            let node = node.get("subjects").at(index);
            if pattern_error(subject).is_some() {
                continue;
            }
            let captured = questions.iter().find(|question| overlaps(&question.pattern, subject));
            let what = match captured {
                Some(question) => format!(
                    "the questions on `{}` of endpoint `{}`",
                    question.text_shown(),
                    question.endpoint
                ),
                None if overlaps(&inbox, subject) => "the replies of workers".to_owned(),
                None => continue,
            };
            checks.error(
                node,
                format!(
                    "`{}` would store {what}: the stream would answer before the worker",
                    shown(node, subject)
                ),
                "name the subjects of events only, such as \"shop.events.>\" and \"shop.jobs.>\"",
            );
        }
    }
}

impl Used<'_> {
    fn text_shown(&self) -> String {
        if self.is_written { shown(self.node, self.text) } else { self.text.to_owned() }
    }
}

/// The subjects of questions, and those of events.
fn collect<'a>(checks: &Checks<'a, '_, '_>) -> (Vec<Used<'a>>, Vec<Used<'a>>) {
    let (mut questions, mut events) = (Vec::new(), Vec::new());
    for (at, endpoint) in checks.config.endpoints.iter().enumerate() {
        let node = checks.root.get("endpoint").at(at);
        if node.get("name").is_broken() {
            continue;
        }
        let used = |text: &'a str, name: &'a str, node: Node<'a>, is_written| {
            let template = Template::subject(name).ok().filter(|_| !node.is_broken())?;
            Some(Used {
                pattern: template.pattern(&endpoint.name),
                text,
                endpoint: &endpoint.name,
                node,
                is_written,
                is_core: false,
            })
        };
        let stored = |text: &'a str, node: Node<'a>, is_written| {
            let name = match Destination::parse(text).ok()? {
                Destination::Kafka(_) => return None,
                Destination::Nats(_) | Destination::NatsCore(_) => text.split_once(':')?.1,
            };
            let is_core = text.starts_with("nats-core:");
            Some(Used { is_core, ..used(text, name, node, is_written)? })
        };

        for (at, rule) in endpoint.questions.iter().enumerate() {
            let node = node.get("question").at(at).get("subject");
            questions.extend(used(&rule.subject, &rule.subject, node, node.is_written()));
        }
        for (at, rule) in endpoint.tools.iter().enumerate() {
            let node = node.get("tool").at(at).get("subject");
            questions.extend(used(&rule.subject, &rule.subject, node, node.is_written()));
        }
        if leaves_some(endpoint.questions.iter().flat_map(|rule| &rule.types)) {
            questions.extend(used(ASK_SUBJECT, ASK_SUBJECT, node, false));
        }
        if leaves_some(endpoint.tools.iter().flat_map(|rule| &rule.names)) {
            questions.extend(used(TOOL_SUBJECT, TOOL_SUBJECT, node, false));
        }

        for (at, rule) in endpoint.events.iter().enumerate() {
            let node = node.get("event").at(at).get("to");
            events.extend(
                rule.to.iter().enumerate().filter_map(|(at, text)| stored(text, node.at(at), true)),
            );
        }
        let question_copies = endpoint.questions.iter().map(|rule| &rule.copy_to).enumerate();
        let tool_copies = endpoint.tools.iter().map(|rule| &rule.copy_to).enumerate();
        let copies = question_copies
            .map(|copy| ("question", copy))
            .chain(tool_copies.map(|copy| ("tool", copy)));
        for (key, (at, texts)) in copies {
            let node = node.get(key).at(at).get("copy_to");
            events.extend(
                texts.iter().enumerate().filter_map(|(at, text)| stored(text, node.at(at), true)),
            );
        }
        if leaves_some(endpoint.events.iter().flat_map(|rule| &rule.types)) {
            events.extend(stored(checks.config.event_destination(), node, false));
        }
        events.extend(stored(JOB_SUBJECT, node, false));
    }
    (questions, events)
}

/// Whether there are types or names that none of these takes.
fn leaves_some<'a>(mut patterns: impl Iterator<Item = &'a String>) -> bool {
    !patterns.any(|pattern| glob::covers(pattern, "*"))
}
