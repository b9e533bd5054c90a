//! Where the events and the questions of an endpoint are, by its rules.

use std::collections::BTreeSet;

use crate::cli::Failure;
use crate::cli::nats_target::{ANY, NatsTarget};
use crate::config::{self, Config, Endpoint};
use crate::template::{Destination, Template, Vars, glob, overlaps};
use crate::worker::Target;

/// Patterns of the subjects that events are stored on.
pub(super) struct EventSubjects {
    pub(super) subjects: Vec<String>,
    /// Those of jobs, which not everybody stores.
    pub(super) optional: Vec<String>,
}

/// Where the events of an endpoint are stored in JetStream.
pub(super) fn event_subjects(
    config: &Config,
    endpoint: &Endpoint,
) -> Result<EventSubjects, Failure> {
    let stored = |text: &str| match Destination::parse(text).ok()? {
        Destination::Nats(template) => Some(template.pattern(&endpoint.name)),
        _ => None,
    };
    // Without a configuration there is NATS, as `hookbus dev` has it.
    let has_nats = config.nats.is_some() || config.kafka.is_none();
    let takes_all = |rule: &config::EventRule| rule.types.iter().any(|types| types == ANY);
    let is_open = has_nats && !endpoint.events.iter().any(takes_all);
    let written = endpoint.events.iter().flat_map(|rule| &rule.to).filter_map(|text| stored(text));
    let by_default = is_open.then(|| stored(config::EVENT_SUBJECT)).flatten();
    let subjects: BTreeSet<String> = written.chain(by_default).collect();
    if subjects.is_empty() {
        let what = format!("no event of the endpoint `{}` goes to JetStream", endpoint.name);
        return Err(Failure::wrong(what).hint(
            "--from kafka:TOPIC reads a topic, --subject other subjects; --only questions reads no events",
        ));
    }
    let jobs = (has_nats && endpoint.facts.has_jobs()).then(|| stored(config::JOB_SUBJECT));
    let optional = jobs.flatten().into_iter().collect();
    Ok(EventSubjects { subjects: subjects.into_iter().collect(), optional })
}

/// Where the questions of an endpoint are asked, and what is asked there; each subject once. Without any name all.
pub(super) fn question_subjects(
    target: &NatsTarget,
    endpoint: &Endpoint,
    functions: &[String],
    types: &[String],
) -> Result<Vec<(String, Target)>, Failure> {
    let is_all = functions.is_empty() && types.is_empty();
    let any = [ANY.to_owned()];
    let facts = &endpoint.facts;
    let functions = if is_all && !facts.calls.is_empty() { &any } else { functions };
    let types = if is_all && !facts.questions.is_empty() { &any } else { types };
    let mut found: Vec<(String, Target)> = Vec::new();
    let mut add = |subject: String, asked| {
        if !found.iter().any(|(known, _)| *known == subject) {
            found.push((subject, asked));
        }
    };
    let tools: Vec<_> =
        endpoint.tools.iter().map(|rule| (rule.names.as_slice(), rule.subject.as_str())).collect();
    for function in functions {
        if !function.contains('*') {
            add(target.subject(function), Target::Function(function.as_str().into()));
            continue;
        }
        let rules = Rules { endpoint, rules: &tools, fallback: config::TOOL_SUBJECT };
        let of_rules = rules.patterns(function);
        for name in &of_rules.names {
            add(target.subject(name), Target::Function(name.as_str().into()));
        }
        for subject in of_rules.subjects.iter().cloned() {
            add(subject, Target::AnyFunction);
        }
        if of_rules.is_empty() {
            return Err(unknown("--functions", function, "functions", "crm.{function}"));
        }
    }
    let questions: Vec<_> = endpoint
        .questions
        .iter()
        .map(|rule| (rule.types.as_slice(), rule.subject.as_str()))
        .collect();
    for kind in types {
        let rules = Rules { endpoint, rules: &questions, fallback: config::ASK_SUBJECT };
        if !kind.contains('*') {
            add(rules.subject(kind), Target::Other);
            continue;
        }
        let mut of_rules = rules.patterns(kind);
        // The parts of a type are parts of its subject.
        if let Some(first) = kind.strip_suffix(".*").filter(|first| !first.contains('*')) {
            of_rules.subjects.insert(format!("{}.>", rules.subject(first)));
        }
        let known = facts.asked().filter(|known| glob::matches(kind, known));
        of_rules.names.extend(known.filter(|known| !known.contains('*')).map(str::to_owned));
        if of_rules.is_empty() {
            return Err(unknown("--types", kind, "types", "crm.{type}"));
        }
        if kind != ANY {
            of_rules.names.iter().for_each(|name| add(rules.subject(name), Target::Other));
        }
        of_rules.subjects.iter().for_each(|subject| add(subject.clone(), Target::Other));
    }
    Ok(found)
}

fn unknown(flag: &str, pattern: &str, what: &str, subject: &str) -> Failure {
    Failure::wrong(format_args!("{flag}: no {what} are known that fit `{pattern}`")).hint(format_args!(
        "NATS has no patterns within a name: write whole names, or '*' alone for all; or give them a subject of their own \
         in the configuration, as in subject = \"{subject}\""
    ))
}

/// The rules of questions of one sort: the first that fits counts, else the fallback.
struct Rules<'a> {
    endpoint: &'a Endpoint,
    rules: &'a [(&'a [String], &'a str)],
    fallback: &'static str,
}

/// What a pattern of names comes to.
#[derive(Default)]
struct OfRules {
    names: BTreeSet<String>,
    subjects: BTreeSet<String>,
}

impl OfRules {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.subjects.is_empty()
    }
}

impl Rules<'_> {
    /// The subject of a type.
    fn subject(&self, kind: &str) -> String {
        let fits =
            |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, kind));
        let rule = self.rules.iter().find(|(patterns, _)| fits(patterns));
        let subject = rule.map_or(self.fallback, |(_, subject)| subject);
        let vars = Vars { endpoint: &self.endpoint.name, kind, key: None, function: None };
        Template::subject(subject).map(|subject| subject.render_subject(&vars)).unwrap_or_default()
    }

    /// Names that the rules write out and that fit, and the subjects of rules that only hold what fits.
    fn patterns(&self, wanted: &str) -> OfRules {
        let pattern = |subject: &str| {
            Template::subject(subject).map(|subject| subject.pattern(&self.endpoint.name)).ok()
        };
        let mut found = OfRules::default();
        let all: Vec<_> =
            self.rules.iter().map(|(_, subject)| *subject).chain([self.fallback]).collect();
        if wanted == ANY {
            found.subjects.extend(all.into_iter().filter_map(pattern));
            return found;
        }
        for (place, (patterns, subject)) in self.rules.iter().enumerate() {
            let fitting = patterns.iter().filter(|name| glob::covers(wanted, name));
            let (open, whole): (Vec<_>, Vec<_>) = fitting.partition(|name| name.contains('*'));
            found.names.extend(whole.into_iter().cloned());
            let Some(mine) = pattern(subject).filter(|_| !open.is_empty()) else { continue };
            let is_all_wanted =
                open.len() == patterns.iter().filter(|name| name.contains('*')).count();
            let others = all.iter().enumerate().filter(|(other, _)| *other != place);
            let is_alone = others
                .filter_map(|(_, subject)| pattern(subject))
                .all(|other| !overlaps(&other, &mine));
            if is_all_wanted && is_alone {
                found.subjects.insert(mine);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
