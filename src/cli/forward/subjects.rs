//! Where the events and the questions of an endpoint are, by its rules.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::rules::Rules;
use crate::cli::Failure;
use crate::cli::nats_target::{ANY, NatsTarget};
use crate::config::{self, Config, Endpoint};
use crate::template::{Destination, Template, Vars, covers, glob};
use crate::worker::{Selection, Subscription, Target};

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

/// Where the questions of an endpoint are asked; each subject once. Without any name all.
pub(super) fn questions(
    target: &NatsTarget,
    endpoint: &Endpoint,
    functions: &[String],
    types: &[String],
    queue: &str,
) -> Result<Vec<Subscription>, Failure> {
    let is_all = functions.is_empty() && types.is_empty();
    let any = [ANY.to_owned()];
    let facts = &endpoint.facts;
    let functions = if is_all && !facts.calls.is_empty() { &any } else { functions };
    let types = if is_all && !facts.questions.is_empty() { &any } else { types };
    let mut found = of_functions(target, endpoint, functions, queue);
    for subject in of_types(endpoint, types)? {
        add(&mut found, subject, Target::Other);
    }
    Ok(found)
}

fn add(found: &mut Vec<Subscription>, subject: String, target: Target) {
    if !found.iter().any(|known| known.subject == subject) {
        found.push(Subscription { subject, target, group: None });
    }
}

/// Functions by name and by pattern. What fits a pattern and shares its subject with others is picked out of all that is
/// asked there, in a queue group that holds only those who pick the same: from a group with others a question that
/// isn't wanted here would be taken away.
fn of_functions(
    target: &NatsTarget,
    endpoint: &Endpoint,
    functions: &[String],
    queue: &str,
) -> Vec<Subscription> {
    let tools: Vec<_> =
        endpoint.tools.iter().map(|rule| (rule.names.as_slice(), rule.subject.as_str())).collect();
    let rules = Rules { endpoint, rules: &tools, fallback: config::TOOL_SUBJECT };
    let mut found = Vec::new();
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut shared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for function in functions {
        if !function.contains(ANY) {
            names.push(function.as_str().into());
            continue;
        }
        let places = rules.places(function);
        names.extend(places.names.iter().map(|name| name.as_str().into()));
        for subject in places.whole {
            add(&mut found, subject, Target::AnyFunction);
        }
        for subject in places.shared {
            shared.entry(subject).or_default().insert(function.clone());
        }
    }
    for name in &names {
        let subject = target.subject(name);
        if !found.iter().any(|known| covers(&known.subject, &subject)) {
            add(&mut found, subject, Target::Function(name.clone()));
        }
    }
    for (subject, patterns) in shared {
        let patterns: Vec<String> = patterns.into_iter().collect();
        let group = Some(group_of(queue, &patterns));
        if !found.iter().any(|known| known.subject == subject) {
            let target = Target::Functions(Selection { patterns, except: names.clone() }.into());
            found.push(Subscription { subject, target, group });
        }
    }
    found
}

/// The queue group of those who pick the functions that fit these patterns.
fn group_of(queue: &str, patterns: &[String]) -> String {
    let function = patterns.join(",");
    let vars = Vars { endpoint: "", kind: "", key: None, function: Some(&function) };
    let group = Template::subject(&format!("{queue}.{{function}}"));
    group.map(|group| group.render_subject(&vars)).unwrap_or_default()
}

fn of_types(endpoint: &Endpoint, types: &[String]) -> Result<Vec<String>, Failure> {
    let questions: Vec<_> = endpoint
        .questions
        .iter()
        .map(|rule| (rule.types.as_slice(), rule.subject.as_str()))
        .collect();
    let rules = Rules { endpoint, rules: &questions, fallback: config::ASK_SUBJECT };
    let mut found = Vec::new();
    for kind in types {
        if !kind.contains(ANY) {
            found.push(rules.subject(kind));
            continue;
        }
        let mut places = rules.places(kind);
        // The parts of a type are parts of its subject.
        if let Some(first) = kind.strip_suffix(".*").filter(|first| !first.contains(ANY)) {
            places.whole.insert(format!("{}.>", rules.subject(first)));
        }
        let known = endpoint.facts.asked().filter(|known| glob::matches(kind, known));
        places.names.extend(known.filter(|known| !known.contains(ANY)).map(str::to_owned));
        if places.names.is_empty() && places.whole.is_empty() {
            return Err(unknown(kind));
        }
        let names = places.names.iter().map(|name| rules.subject(name));
        let is_apart = |name: &String| !places.whole.iter().any(|whole| covers(whole, name));
        found.extend(names.filter(is_apart));
        found.extend(places.whole.iter().cloned());
    }
    Ok(found)
}

fn unknown(kind: &str) -> Failure {
    Failure::wrong(format_args!("--types: no types are known that fit `{kind}`")).hint(
        "NATS has no patterns within a name: write whole names, or '*' alone for all; or give them a subject of their own \
         in the configuration, as in subject = \"crm.{type}\"",
    )
}

#[cfg(test)]
mod tests;
