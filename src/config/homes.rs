//! The subjects and topics that events come to, by the types that are known: each of them needs a home at its broker.

use std::collections::BTreeSet;

use super::{Config, Endpoint};
use crate::template::{Destination, Template, Variable, Vars, glob};

/// What the events of an endpoint come to at one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// For types that are known, or that a rule names; none where a name depends on more than the type.
    pub known: BTreeSet<String>,
    /// Events of other types may come too.
    pub is_open: bool,
}

impl Names {
    /// For the events and copies of an endpoint that go to the destination of this text.
    pub fn new(config: &Config, endpoint: &Endpoint, text: &str) -> Self {
        let mut names = Self::default();
        let Ok(destination) = Destination::parse(text) else { return names };
        let kinds = Kinds::new(config, endpoint, text);
        names.is_open = kinds.is_open;
        let depends_on_more = |variable| destination.template().uses(variable);
        if [Variable::Key, Variable::Function].into_iter().any(depends_on_more) {
            return names;
        }
        names.known.extend(kinds.known.iter().map(|kind| {
            let vars = Vars { endpoint: &endpoint.name, kind, key: None, function: None };
            render(&destination, &vars)
        }));
        names
    }

    /// Both.
    pub fn merge(&mut self, other: Self) {
        self.known.extend(other.known);
        self.is_open |= other.is_open;
    }
}

fn render(destination: &Destination, vars: &Vars<'_>) -> String {
    let render = match destination {
        Destination::Kafka(_) => Template::render_topic,
        Destination::Nats(_) | Destination::NatsCore(_) => Template::render_subject,
    };
    render(destination.template(), vars)
}

/// The types of which events go to one destination.
#[derive(Default)]
struct Kinds<'a> {
    known: BTreeSet<&'a str>,
    is_open: bool,
}

impl<'a> Kinds<'a> {
    fn new(config: &'a Config, endpoint: &'a Endpoint, text: &str) -> Self {
        let mut kinds = Self::default();
        // The first rule whose types match decides.
        let written = endpoint.events.iter().flat_map(|rule| &rule.types).map(String::as_str);
        let events = endpoint.facts.events.iter().map(String::as_str);
        for kind in events.chain(written.filter(|kind| !kind.contains('*'))) {
            let is_meant = |pattern: &String| glob::matches(pattern, kind);
            let rule = endpoint.events.iter().find(|rule| rule.types.iter().any(is_meant));
            let goes_there = match rule {
                Some(rule) => rule.to.iter().any(|to| to == text),
                None => config.event_destination() == text,
            };
            if goes_there {
                kinds.known.insert(kind);
            }
        }
        let mut takes_all = false;
        for rule in &endpoint.events {
            let is_open = rule.types.iter().any(|pattern| pattern.contains('*'));
            kinds.is_open |= is_open && !takes_all && rule.to.iter().any(|to| to == text);
            takes_all |= rule.types.iter().any(|pattern| pattern == "*");
        }
        kinds.is_open |= !takes_all && config.event_destination() == text;
        for rule in &endpoint.questions {
            if rule.copy_to.iter().any(|to| to == text) {
                let is_meant =
                    |kind: &str| rule.types.iter().any(|pattern| glob::matches(pattern, kind));
                let asked = endpoint.facts.asked().filter(|kind| is_meant(kind));
                let (open, whole): (Vec<_>, Vec<_>) = asked.partition(|kind| kind.contains('*'));
                kinds.is_open |= !open.is_empty();
                kinds.known.extend(whole);
            }
        }
        if endpoint.tools.iter().any(|rule| rule.copy_to.iter().any(|to| to == text)) {
            // Others are older forms of the first, which hardly anybody sees.
            kinds.known.extend(endpoint.facts.calls.first().map(String::as_str));
        }
        // Audits have types of their own.
        let is_audit = |audit: &super::Audit| audit.to.iter().any(|to| to == text);
        kinds.is_open |= endpoint.audit.as_ref().is_some_and(is_audit);
        kinds
    }
}

#[cfg(test)]
mod tests;
