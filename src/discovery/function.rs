//! What there should be workers for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{self, Config};
use crate::live_tail::RecentQuestion;
use crate::template::{Template, Vars, glob, overlaps};

/// A function, or a type of question, and the subject that it is asked on.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Which endpoint's; and its name, or as configured a pattern with `*`.
    pub asked: RecentQuestion,
    /// The subject. `*` stands for any run of characters.
    pub subject: String,
}

impl Function {
    /// Whether an endpoint of a service on this subject gets some of it.
    pub fn is_answered_on(&self, subject: &str) -> bool {
        if !subject.contains(['*', '>']) {
            return glob::matches(&self.subject, subject);
        }
        let wild =
            |token: &str| if token.contains('*') { "*".to_owned() } else { token.to_owned() };
        let tokens: Vec<_> = self.subject.split('.').map(wild).collect();
        overlaps(&tokens.join("."), subject)
            || !self.asked.is_function && self.is_answered_on_many(&tokens, subject)
    }

    /// A type may be several tokens, and so may `*` in one.
    fn is_answered_on_many(&self, tokens: &[String], subject: &str) -> bool {
        let Some(first) = tokens.iter().position(|token| token == "*") else { return false };
        overlaps(&[&tokens[..first].join("."), ">"].join("."), subject)
    }
}

/// The rules by which subjects are found, and what they name.
#[derive(Debug, Default)]
pub struct Functions {
    rules: Vec<Rule>,
    configured: Vec<Function>,
    /// The types that the sources know to ask.
    known: Vec<RecentQuestion>,
}

#[derive(Debug)]
struct Rule {
    endpoint: Arc<str>,
    is_function: bool,
    patterns: Vec<String>,
    subject: Template,
}

impl Functions {
    /// Those that a configuration names.
    pub fn new(config: &Config) -> Self {
        let mut rules = Vec::new();
        let mut rule = |endpoint: &Arc<str>, is_function, patterns: &[String], subject: &str| {
            // What isn't a subject is no configuration that was checked.
            if let Ok(subject) = Template::subject(subject) {
                let (endpoint, patterns) = (endpoint.clone(), patterns.to_vec());
                rules.push(Rule { endpoint, is_function, patterns, subject });
            }
        };
        let any = ["*".to_owned()];
        let (mut configured, mut known) = (Vec::new(), Vec::new());
        for endpoint in &config.endpoints {
            let name: Arc<str> = endpoint.name.as_str().into();
            known.extend(endpoint.facts.asked().map(|kind| RecentQuestion {
                endpoint: name.clone(),
                is_function: false,
                name: kind.into(),
            }));
            for tool in &endpoint.tools {
                rule(&name, true, &tool.names, &tool.subject);
                configured.extend(tool.names.iter().map(|text| (name.clone(), true, text)));
            }
            for question in &endpoint.questions {
                rule(&name, false, &question.types, &question.subject);
                configured.extend(question.types.iter().map(|text| (name.clone(), false, text)));
            }
            rule(&name, true, &any, config::TOOL_SUBJECT);
            rule(&name, false, &any, config::ASK_SUBJECT);
        }
        let functions = Self { rules, known, configured: Vec::new() };
        let named = configured.into_iter().filter_map(|(endpoint, is_function, name)| {
            functions.function(RecentQuestion { endpoint, is_function, name: name.as_str().into() })
        });
        let configured = named.collect();
        Self { configured, ..functions }
    }

    /// Those that are configured.
    pub fn configured(&self) -> &[Function] {
        &self.configured
    }

    /// Subjects that questions are asked on: of what is configured by its name, and of what else may come, which stands
    /// for all that a pattern covers.
    pub fn subjects(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        // Whatever the characters are that `*` stands for.
        let whole = |function: &Function| function.subject.replace('*', "x");
        let (patterns, named): (Vec<_>, Vec<_>) =
            self.configured.iter().partition(|function| function.asked.name.contains('*'));
        let named: BTreeSet<_> = named.into_iter().map(whole).collect();
        let known = self.known.iter().filter_map(|asked| self.function(asked.clone()));
        let others: BTreeSet<_> =
            patterns.into_iter().map(whole).chain(known.map(|known| whole(&known))).collect();
        let others = others.difference(&named).cloned().collect();
        (named, others)
    }

    /// Those that are configured, and then what was asked besides.
    pub(super) fn with(&self, recent: &[RecentQuestion]) -> Vec<Function> {
        let is_configured = |asked: &RecentQuestion| {
            self.configured.iter().any(|function| function.asked == *asked)
        };
        let asked = recent.iter().filter(|asked| !is_configured(asked));
        let asked = asked.filter_map(|asked| self.function(asked.clone()));
        self.configured.iter().cloned().chain(asked).collect()
    }

    /// By the first rule that fits, as the bridge does it.
    fn function(&self, asked: RecentQuestion) -> Option<Function> {
        let rule = self.rules.iter().find(|rule| {
            rule.endpoint == asked.endpoint
                && rule.is_function == asked.is_function
                && rule.patterns.iter().any(|pattern| glob::covers(pattern, &asked.name))
        })?;
        let (kind, function) =
            if asked.is_function { ("", Some(&*asked.name)) } else { (&*asked.name, None) };
        let vars = Vars { endpoint: &asked.endpoint, kind, key: None, function };
        Some(Function { subject: rule.subject.subject_glob(&vars), asked })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::source;

    fn functions() -> Functions {
        let config = r#"
            [[endpoint]]
            name = "vapi"
            path = "/vapi"
            source = "vapi"
            [[endpoint.tool]]
            names = ["get_weather", "set_*"]
            [[endpoint.tool]]
            names = ["book"]
            subject = "desk.{key}.book"
            [[endpoint.question]]
            types = ["chat.*", "assistant-request"]
        "#;
        let mut config: Config = toml::from_str(config).unwrap();
        config.endpoints[0].facts = source::facts("vapi").unwrap();
        Functions::new(&config)
    }

    #[test]
    fn subjects_are_those_that_are_asked_on() {
        let functions = functions();
        let subjects: Vec<_> = functions.configured().iter().map(|one| &*one.subject).collect();
        let expected = [
            "vapi.tool.get_weather",
            "vapi.tool.set_*",
            "desk.*.book",
            "vapi.ask.chat.*",
            "vapi.ask.assistant-request",
        ];
        assert_eq!(subjects, expected);
        let asked = |endpoint: &str, name: &str| RecentQuestion {
            endpoint: endpoint.into(),
            is_function: true,
            name: name.into(),
        };
        let recent = [
            asked("vapi", "book"),
            asked("vapi", "set_x"),
            asked("gone", "x"),
            asked("vapi", "a b"),
        ];
        let all = functions.with(&recent);
        let more: Vec<_> = all[expected.len()..].iter().map(|one| &*one.subject).collect();
        assert_eq!(more, ["vapi.tool.set_x", "vapi.tool.a%20b"]);
    }

    #[test]
    fn subjects_to_be_asked_on_are_whole() {
        let (named, others) = functions().subjects();
        let named: Vec<_> = named.iter().map(String::as_str).collect();
        assert_eq!(named, ["desk.x.book", "vapi.ask.assistant-request", "vapi.tool.get_weather"]);
        for other in ["vapi.tool.set_x", "vapi.ask.chat.x", "vapi.ask.voice-request"] {
            assert!(others.contains(other), "{other} in {others:?}");
        }
        assert!(!others.contains("vapi.ask.assistant-request"));
    }

    #[test]
    fn who_answers_is_told_by_the_subject() {
        let functions = functions();
        let answered = |subject: &str| -> Vec<usize> {
            let all = functions.configured().iter().enumerate();
            all.filter(|(_, one)| one.is_answered_on(subject)).map(|(at, _)| at).collect()
        };
        assert_eq!(answered("vapi.tool.get_weather"), [0]);
        assert_eq!(answered("vapi.tool.set_alarm"), [1]);
        assert_eq!(answered("vapi.tool.*"), [0, 1]);
        assert_eq!(answered("vapi.>"), [0, 1, 3, 4]);
        assert_eq!(answered("desk.7.book"), [2]);
        assert_eq!(answered("desk.*.*"), [2]);
        assert_eq!(answered("vapi.ask.chat.x.y"), [3]);
        assert_eq!(answered("vapi.ask.*.*.*"), [3]);
        assert_eq!(answered("vapi.tool"), [0; 0]);
    }
}
