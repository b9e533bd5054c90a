//! What there should be workers for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{self, Config};
use crate::live_tail::RecentQuestion;
use crate::template::{Template, Vars, glob, nearest, overlaps};

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

    /// Whether a worker on this subject probably means this one: one token is written a little differently, or what
    /// stands between the endpoint and the name.
    fn is_nearly(&self, subject: &str) -> bool {
        let (own, other): (Vec<_>, Vec<_>) =
            (self.subject.split('.').collect(), subject.split('.').collect());
        if own.len() == other.len() {
            let mut different = own.iter().zip(&other).filter(|(own, other)| own != other);
            return match (different.next(), different.next()) {
                (Some((own, other)), None) => nearest(other, [*own]).is_some(),
                _ => false,
            };
        }
        let ends = |tokens: &[&str]| {
            tokens
                .first()
                .zip(tokens.last())
                .map(|(one, last)| (one.to_lowercase(), last.to_lowercase()))
        };
        ends(&own) == ends(&other)
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

    /// The subject that a worker probably means that listens on this one, on which nothing is asked.
    pub fn near_miss(&self, subject: &str) -> Option<String> {
        if subject.contains(['*', '>']) {
            return None;
        }
        // Functions that no rule names are asked by their names too.
        let last = subject.rsplit('.').next().unwrap_or_default();
        let any = self.rules.iter().filter(|rule| rule.is_function).map(|rule| RecentQuestion {
            endpoint: rule.endpoint.clone(),
            is_function: true,
            name: last.into(),
        });
        let asked = any.chain(self.known.iter().cloned());
        let all = self.configured.iter().cloned().chain(asked.filter_map(|it| self.function(it)));
        let mut near = None;
        for function in all.filter(|function| !function.subject.contains('*')) {
            if function.subject == subject {
                return None;
            }
            if near.is_none() && function.is_nearly(subject) {
                near = Some(function.subject);
            }
        }
        near
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
mod tests;
