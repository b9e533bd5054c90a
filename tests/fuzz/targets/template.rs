//! Any values in any template: a subject or topic that a broker takes, and one that the template's own pattern covers.
//! In a subject two values that differ stay different.

#![no_main]

use hookbus::template::{Template, Vars, covers};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const ENDPOINT: &str = "vapi";
const VALUE_LIMIT: usize = 128;
const SUBJECT_LIMIT: usize = 2_048;
const TOPIC_LIMIT: usize = 249;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    template: &'a str,
    values: Values<'a>,
    others: Values<'a>,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
struct Values<'a> {
    kind: &'a str,
    key: Option<&'a str>,
    function: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn vars(self) -> Vars<'a> {
        Vars { endpoint: ENDPOINT, kind: self.kind, key: self.key, function: self.function }
    }
}

fuzz_target!(|input: Input<'_>| {
    for text in [input.template, "{endpoint}.{type}.{key}.{function}", "a.{key}-{type}"] {
        if let Ok(template) = Template::subject(text) {
            let subject = template.render_subject(&input.values.vars());
            check_subject(&subject);
            let pattern = template.pattern(ENDPOINT);
            assert!(covers(&pattern, &subject), "{pattern} doesn't cover {subject}");
        }
        if let Ok(template) = Template::topic(text) {
            check_topic(&template.render_topic(&input.values.vars()));
        }
    }
    for text in ["a.{type}", "a.{key}", "a.{function}", "{endpoint}.{type}.b"] {
        let template = Template::subject(text).expect("it is a template");
        let [one, other] = [input.values, input.others].map(|values| {
            let value = match text {
                "a.{key}" => values.key.unwrap_or_default(),
                "a.{function}" => values.function.unwrap_or_default(),
                _ => values.kind,
            };
            (value, template.render_subject(&values.vars()))
        });
        assert_eq!(one.0 == other.0, one.1 == other.1, "{one:?} {other:?}");
        assert!(one.1.len() <= VALUE_LIMIT + "vapi..b".len());
    }
});

fn check_subject(subject: &str) {
    assert!(subject.len() <= SUBJECT_LIMIT);
    assert!(subject.split('.').all(|token| !token.is_empty()), "{subject}");
    assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>'));
    assert!(!subject.starts_with('$') && !subject.starts_with("_INBOX"), "{subject}");
}

fn check_topic(topic: &str) {
    assert!((1..=TOPIC_LIMIT).contains(&topic.len()), "{topic}");
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!(topic.bytes().all(is_legal) && topic != "." && topic != "..", "{topic}");
}
