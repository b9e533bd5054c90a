#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

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

fn questions(rules: &str, functions: &[&str], types: &[&str]) -> Result<Vec<String>, String> {
    let (target, endpoint) = target(rules, "vapi");
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let found = question_subjects(&target, &endpoint, &owned(functions), &owned(types));
    let found = found.map_err(|failure| failure.text)?;
    Ok(found.into_iter().map(|(subject, _)| subject).collect())
}

const CRM: &str =
    "[[endpoint.tool]]\nnames = [\"book_*\", \"find\"]\nsubject = \"crm.{function}\"\n";

#[test]
fn all_that_the_provider_asks() {
    assert_eq!(questions("", &[], &[]).unwrap(), ["vapi.tool.*", "vapi.ask.>"]);
    assert_eq!(questions(CRM, &[], &[]).unwrap(), ["crm.*", "vapi.tool.*", "vapi.ask.>"]);
    let (target, endpoint) = target("", "github");
    assert!(question_subjects(&target, &endpoint, &[], &[]).is_ok_and(|found| found.is_empty()));
}

#[test]
fn what_is_named() {
    assert_eq!(questions(CRM, &["get.weather"], &[]).unwrap(), ["vapi.tool.get%2Eweather"]);
    assert_eq!(questions(CRM, &["book_*"], &[]).unwrap(), ["crm.*"]);
    assert_eq!(questions(CRM, &["fi*"], &[]).unwrap(), ["crm.find"]);
    assert_eq!(questions("", &[], &["assistant-request"]).unwrap(), ["vapi.ask.assistant-request"]);
    assert_eq!(questions("", &[], &["voice-*"]).unwrap(), ["vapi.ask.voice-request"]);
    assert_eq!(questions("", &[], &["call.*"]).unwrap()[1], "vapi.ask.call.>");
}

#[test]
fn what_nats_can_not_tell_apart_is_refused() {
    assert!(questions("", &["get_*"], &[]).unwrap_err().contains("no functions are known"));
    // Its subject is that of all other functions too.
    let shared = "[[endpoint.tool]]\nnames = [\"get_*\"]\ntimeout = \"2s\"\n";
    assert!(questions(shared, &["get_*"], &[]).is_err());
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
