//! The rules as they can be shown.

use std::sync::Arc;

use serde::Serialize;

use super::{AskRule, AskRules, Routes};
use crate::publish::Destination;

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleText {
    /// The types or names that it is for; `*` where it is for all others.
    patterns: Vec<String>,
    /// What stores it; for questions, a copy.
    to: Vec<Arc<str>>,
    /// The subject of questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The configured time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    /// There is an answer where no worker gives one.
    has_fallback: bool,
}

fn patterns(of: &[String]) -> Vec<String> {
    if of.is_empty() { vec!["*".to_owned()] } else { of.to_vec() }
}

fn texts<'a>(to: impl IntoIterator<Item = &'a Arc<Destination>>) -> Vec<Arc<str>> {
    to.into_iter().map(|to| to.text().clone()).collect()
}

impl RuleText {
    fn event(patterns: Vec<String>, to: Vec<Arc<str>>) -> Self {
        Self { patterns, to, subject: None, timeout: None, has_fallback: false }
    }

    fn ask(rule: &AskRule) -> Self {
        Self {
            patterns: patterns(&rule.patterns),
            to: texts(&rule.copy_to),
            subject: Some(rule.subject.to_string()),
            timeout: rule.timeout.map(|time| time.as_millis() as u64),
            has_fallback: rule.fallback.is_some(),
        }
    }
}

impl Routes {
    /// Those of events, of questions, and of functions, in the order in which they are tried.
    pub fn texts(&self) -> (Vec<RuleText>, Vec<RuleText>, Vec<RuleText>) {
        let events = self.events.iter();
        let events = events.map(|rule| RuleText::event(patterns(&rule.types), texts(&rule.to)));
        let other = RuleText::event(patterns(&[]), texts(&self.default_event));
        let asks = |rules: &AskRules| rules.0.iter().map(RuleText::ask).collect();
        (events.chain([other]).collect(), asks(&self.questions), asks(&self.functions))
    }
}
