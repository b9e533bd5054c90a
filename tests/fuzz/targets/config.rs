//! Any text as a configuration: it is taken, or there is an error that says where; what is taken can be used, and no
//! variable's value stands in what is said.

#![no_main]

use hookbus::auth::{Auth, Issuers};
use hookbus::config::{Config, Severity};
use hookbus::settings;
use hookbus::template::{Destination, Template};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "s3cr3t-0f-th3-3nv1r0nm3nt";

fuzz_target!(|text: &str| {
    // Some variables are set and some aren't.
    let variable = |name: &str| name.len().is_multiple_of(2).then(|| SECRET.to_owned());
    let loaded = settings::parse("hookbus.toml", text, variable);
    let lines = text.split('\n').count();
    for problem in &loaded.problems {
        let said = format!("{problem} {:?}", problem.hint);
        assert!(problem.line <= lines, "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    let has_errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_errors);
    if let Some(config) = loaded.config {
        build(&config);
    }
});

/// As far as a start goes without a listener or a broker.
fn build(config: &Config) {
    for endpoint in &config.endpoints {
        Auth::new(endpoint, &[], &Issuers::default());
        let copies = endpoint.questions.iter().flat_map(|rule| &rule.copy_to);
        let copies = copies.chain(endpoint.tools.iter().flat_map(|rule| &rule.copy_to));
        for text in endpoint.events.iter().flat_map(|rule| &rule.to).chain(copies) {
            Destination::parse(text).expect("a destination that was checked");
        }
        let subjects = endpoint.questions.iter().map(|rule| &rule.subject);
        for text in subjects.chain(endpoint.tools.iter().map(|rule| &rule.subject)) {
            Template::subject(text).expect("a subject that was checked");
        }
    }
}
