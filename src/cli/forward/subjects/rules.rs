//! What a pattern of names comes to, by the rules of an endpoint: NATS has no patterns within a name.

use std::collections::BTreeSet;

use crate::cli::nats_target::ANY;
use crate::config::Endpoint;
use crate::template::{Template, Vars, glob, overlaps};

/// The rules of questions of one sort: the first that fits counts, else the fallback.
pub(super) struct Rules<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) rules: &'a [(&'a [String], &'a str)],
    pub(super) fallback: &'static str,
}

/// Where the names that fit a pattern are asked.
#[derive(Default)]
pub(super) struct Places {
    /// Names that the rules write out.
    pub(super) names: BTreeSet<String>,
    /// Patterns of subjects that hold nothing else.
    pub(super) whole: BTreeSet<String>,
    /// Patterns of subjects that hold other names too.
    pub(super) shared: BTreeSet<String>,
}

impl Rules<'_> {
    /// The subject of a type.
    pub(super) fn subject(&self, kind: &str) -> String {
        let rule = self
            .rules
            .iter()
            .find(|(patterns, _)| patterns.iter().any(|pattern| glob::matches(pattern, kind)));
        let subject = rule.map_or(self.fallback, |(_, subject)| subject);
        let vars = Vars { endpoint: &self.endpoint.name, kind, key: None, function: None };
        Template::subject(subject).map(|subject| subject.render_subject(&vars)).unwrap_or_default()
    }

    /// Where all that fits this pattern is asked.
    pub(super) fn places(&self, wanted: &str) -> Places {
        let rest = [ANY.to_owned()];
        let all: Vec<(&[String], String)> = (self.rules.iter().copied())
            .chain([(&rest[..], self.fallback)])
            .filter_map(|(names, subject)| Some((names, self.pattern(subject)?)))
            .collect();
        let is_wanted = |names: &[String]| names.iter().all(|name| glob::covers(wanted, name));
        let mut places = Places::default();
        for (names, subject) in &all {
            let fitting = names.iter().filter(|name| glob::overlaps(wanted, name));
            let (open, written): (Vec<_>, Vec<_>) = fitting.partition(|name| name.contains(ANY));
            places.names.extend(written.into_iter().cloned());
            if open.is_empty() {
                continue;
            }
            let mut beside = all.iter().filter(|(_, other)| overlaps(other, subject));
            let is_whole = beside.all(|(names, _)| is_wanted(names));
            let into = if is_whole { &mut places.whole } else { &mut places.shared };
            into.insert(subject.clone());
            // Nothing that fits comes to the rules behind it.
            if open.iter().any(|name| glob::covers(name, wanted)) {
                break;
            }
        }
        places
    }

    fn pattern(&self, subject: &str) -> Option<String> {
        Some(Template::subject(subject).ok()?.pattern(&self.endpoint.name))
    }
}
