#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use super::*;
use crate::cli::forward::endpoint;
use crate::config::Nats;
use crate::settings;

fn target(rules: &str, source: &str) -> (NatsTarget, Endpoint) {
    let auth = "[[endpoint.auth]]\nkind = \"none\"";
    let name = "[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"";
    let text = format!("[nats]\n{name}\nsource = \"{source}\"\n{auth}\n{rules}");
    let loaded = settings::parse("f", &text, |_| None);
    let config = loaded.config.ok_or(loaded.problems).unwrap();
    let nats = Nats::default();
    let target = NatsTarget::new(config, &nats, "vapi").map_err(|failure| failure.text).unwrap();
    let endpoint = endpoint(&target).map_err(|failure| failure.text).unwrap();
    (target, endpoint)
}

fn all(rules: &str, functions: &[&str], types: &[&str]) -> Result<Vec<Subscription>, String> {
    let (target, endpoint) = target(rules, "vapi");
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let found = super::questions(&target, &endpoint, &owned(functions), &owned(types), "q");
    found.map_err(|failure| failure.text)
}

fn questions(rules: &str, functions: &[&str], types: &[&str]) -> Result<Vec<String>, String> {
    Ok(all(rules, functions, types)?.into_iter().map(|found| found.subject).collect())
}

/// What is picked out of a subject: its patterns, the names that are asked elsewhere, its group.
fn picked(rules: &str, functions: &[&str]) -> Vec<(String, Vec<String>, Vec<String>, String)> {
    let found = all(rules, functions, &[]).unwrap();
    let picked = found.into_iter().filter_map(|found| match (found.target, found.group) {
        (Target::Functions(selection), Some(group)) => {
            let except = selection.except.iter().map(ToString::to_string).collect();
            Some((found.subject, selection.patterns.clone(), except, group))
        }
        (_, group) => group.map(|group| panic!("{group}")),
    });
    picked.collect()
}

const CRM: &str =
    "[[endpoint.tool]]\nnames = [\"book_*\", \"find\"]\nsubject = \"crm.{function}\"\n";

const BOOK: &str = "[[endpoint.tool]]\nnames = [\"book_*\"]\nsubject = \"crm.{function}\"\n";

#[test]
fn all_that_the_provider_asks() {
    assert_eq!(questions("", &[], &[]).unwrap(), ["vapi.tool.*", "vapi.ask.>"]);
    assert_eq!(questions(CRM, &[], &[]).unwrap(), ["crm.*", "vapi.tool.*", "vapi.ask.>"]);
    let (target, endpoint) = target("", "github");
    let found = super::questions(&target, &endpoint, &[], &[], "q");
    assert!(found.is_ok_and(|found| found.is_empty()));
}

#[test]
fn what_is_named() {
    assert_eq!(questions(CRM, &["get.weather"], &[]).unwrap(), ["vapi.tool.get%2Eweather"]);
    assert_eq!(questions(BOOK, &["book_*"], &[]).unwrap(), ["crm.*"]);
    assert_eq!(questions(BOOK, &["book_*", "book_table"], &[]).unwrap(), ["crm.*"]);
    assert_eq!(questions("", &[], &["assistant-request"]).unwrap(), ["vapi.ask.assistant-request"]);
    assert_eq!(questions("", &[], &["voice-*"]).unwrap(), ["vapi.ask.voice-request"]);
    assert_eq!(questions("", &[], &["call.*"]).unwrap(), ["vapi.ask.call.>"]);
    assert!(questions("", &[], &["nothing-*"]).unwrap_err().contains("no types are known"));
}

#[test]
fn functions_without_a_subject_of_their_own_are_picked() {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let pick = |subject: &str, patterns: &[&str], except: &[&str], group: &str| {
        (subject.to_owned(), owned(patterns), owned(except), group.to_owned())
    };
    let expected = [pick("vapi.tool.*", &["get_*"], &[], "q.get_%2A")];
    assert_eq!(picked("", &["get_*"]), expected);
    // A rule that gives no subject of its own changes nothing, and what is named is asked in the usual group.
    let limited = "[[endpoint.tool]]\nnames = [\"get_*\", \"get_time\"]\ntimeout = \"2s\"\n";
    let expected = [pick("vapi.tool.*", &["get_*"], &["get_time"], "q.get_%2A")];
    assert_eq!(picked(limited, &["get_*"]), expected);
    let subjects = questions(limited, &["get_*"], &[]).unwrap();
    assert_eq!(subjects, ["vapi.tool.get_time", "vapi.tool.*"]);
    // Several patterns are one selection.
    let expected = [pick("vapi.tool.*", &["a*", "b*"], &["ab"], "q.a%2A%2Cb%2A")];
    assert_eq!(picked("", &["b*", "a*", "ab"]), expected);
    // A rule that holds other functions too, and one that holds a part of those that are wanted.
    let expected = [pick("crm.*", &["book_*"], &[], "q.book_%2A")];
    assert_eq!(picked(CRM, &["book_*"]), expected);
    let expected = [
        pick("crm.*", &["b*t*"], &[], "q.b%2At%2A"),
        pick("vapi.tool.*", &["b*t*"], &[], "q.b%2At%2A"),
    ];
    assert_eq!(picked(BOOK, &["b*t*"]), expected);
    assert_eq!(questions(BOOK, &["b*"], &[]).unwrap(), ["crm.*", "vapi.tool.*"]);
}

#[test]
fn events_are_where_the_rules_store_them() {
    let events = |rules: &str| {
        let (target, endpoint) = target(rules, "vapi");
        let found = event_subjects(&target.config, &endpoint).map_err(|failure| failure.text)?;
        Ok::<_, String>((found.subjects, found.optional))
    };
    let jobs = ["vapi.jobs.*".to_owned()];
    let (subjects, optional) = events("").unwrap();
    assert_eq!((&subjects[..], &optional[..]), (&["vapi.events.>".to_owned()][..], &jobs[..]));
    let rule =
        |types: &str, to: &str| format!("[[endpoint.event]]\ntypes = [{types}]\nto = [{to}]\n");
    let reports = rule("\"end-of-call-report\"", "\"nats:calls.{key}.{type}\"");
    assert_eq!(events(&reports).unwrap().0, ["calls.*.>", "vapi.events.>"]);
    let all = rule("\"*\"", "\"nats:all.{type}\"");
    assert_eq!(events(&all).unwrap().0, ["all.>"]);
    assert!(events(&rule("\"*\"", "")).unwrap_err().contains("goes to JetStream"));
}
