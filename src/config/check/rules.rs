//! Rules in a row, of which the first that matches decides: whether each can ever decide anything.

use super::{Checks, shown};
use crate::config::facts::Facts;
use crate::config::load::tree::Node;
use crate::template::glob;
use crate::template::nearest;

/// The patterns of one rule, and where they stand.
pub(super) struct Patterns<'a> {
    pub(super) patterns: &'a [String],
    pub(super) node: Node<'a>,
}

/// What the patterns are held against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Events,
    Questions,
    Functions,
}

pub(super) fn check(
    checks: &mut Checks<'_, '_, '_>,
    facts: &Facts,
    rules: &[Patterns<'_>],
    subject: Subject,
) {
    let word = if subject == Subject::Functions { "names" } else { "types" };
    for (at, rule) in rules.iter().enumerate() {
        if rule.patterns.is_empty() {
            checks.error(
                rule.node,
                format!("`{word}` is empty: the rule could never decide anything"),
                "write at least one, or `[\"*\"]` for all",
            );
        }
        for (index, pattern) in rule.patterns.iter().enumerate() {
            let node = rule.node.at(index);
            if pattern.is_empty() {
                checks.error(
                    node,
                    format!("an item of `{word}` is empty"),
                    "write a name, or `\"*\"` for all",
                );
                continue;
            }
            let earlier = rules[..at].iter().find(|earlier| {
                !earlier.node.is_broken()
                    && earlier.patterns.iter().any(|wide| glob::covers(wide, pattern))
            });
            if let Some(earlier) = earlier {
                let line = checks.report.line(earlier.node.start());
                checks.warning(
                    node,
                    format!(
                        "`{}` never gets here: the rule on line {line} takes it before",
                        shown(node, pattern)
                    ),
                    "the first rule that matches decides; put the narrow ones first",
                );
            }
            match subject {
                Subject::Events => event(checks, facts, node, pattern),
                Subject::Questions => question(checks, facts, node, pattern),
                Subject::Functions => {}
            }
        }
    }
    if subject == Subject::Events {
        variants(checks, facts, rules);
    }
}

/// Problems variants of a type, such as `transcript[transcriptType="final"]`, that no rule takes although one takes the
/// type itself.
fn variants(checks: &mut Checks<'_, '_, '_>, facts: &Facts, rules: &[Patterns<'_>]) {
    let taken = |kind: &str| {
        rules.iter().flat_map(|rule| rule.patterns).any(|pattern| glob::matches(pattern, kind))
    };
    for variant in &facts.events {
        let Some((kind, _)) = variant.split_once('[') else { continue };
        if taken(variant) {
            continue;
        }
        let named = rules.iter().find_map(|rule| {
            let at = rule.patterns.iter().position(|pattern| pattern == kind)?;
            Some(rule.node.at(at))
        });
        if let Some(node) = named {
            checks.warning(
                node,
                format!("`{kind}` doesn't match the type `{variant}`, which no rule takes: it goes where all other events go"),
                format!("write `\"{kind}*\"` for both, or add a rule for `{}`", variant.replace('"', "\\\"")),
            );
        }
    }
}

fn event(checks: &mut Checks<'_, '_, '_>, facts: &Facts, node: Node<'_>, pattern: &str) {
    let Facts { provider, events, calls, .. } = facts;
    if matches_any(pattern, events.iter().map(String::as_str)) {
        return;
    }
    let text = shown(node, pattern);
    if matches_any(pattern, calls.iter().map(String::as_str)) {
        checks.warning(
            node,
            format!("`{text}` calls tools; rules for events don't touch it"),
            "use `[[endpoint.tool]]`; its `copy_to` stores the webhook as well",
        );
    } else if matches_any(pattern, facts.asked()) {
        checks.warning(
            node,
            format!("`{text}` is a question; rules for events don't touch it"),
            "use `[[endpoint.question]]`; its `copy_to` stores the webhook as well",
        );
    } else if let Some(near) = nearest(pattern, events.iter().map(String::as_str)) {
        // A type that nobody knows may still be sent one day; a misspelt one never is.
        checks.warning(
            node,
            format!("{provider} has no event of the type `{text}`"),
            format!("did you mean `{near}`?"),
        );
    }
}

fn question(checks: &mut Checks<'_, '_, '_>, facts: &Facts, node: Node<'_>, pattern: &str) {
    let Facts { provider, events, calls, .. } = facts;
    if matches_any(pattern, facts.asked()) {
        return;
    }
    let text = shown(node, pattern);
    if matches_any(pattern, calls.iter().map(String::as_str)) {
        checks.warning(
            node,
            format!("`{text}` is not asked as a whole, but each of its calls by function"),
            "use `[[endpoint.tool]]` with `names`",
        );
    } else if matches_any(pattern, events.iter().map(String::as_str)) {
        checks.warning(
            node,
            format!("`{text}` is not a question: {provider} doesn't wait for an answer"),
            "use `[[endpoint.event]]`",
        );
    } else {
        let hint = match nearest(pattern, facts.asked()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if facts.questions.is_empty() => {
                "it asks none at all: take the rule out".to_owned()
            }
            None => {
                let all: Vec<_> = facts.asked().map(|kind| format!("`{kind}`")).collect();
                format!("the questions are {}", all.join(", "))
            }
        };
        checks.warning(node, format!("{provider} asks no question of the type `{text}`"), hint);
    }
}

fn matches_any<'a>(pattern: &str, mut kinds: impl Iterator<Item = &'a str>) -> bool {
    // Both may hold wildcards.
    kinds.any(|kind| glob::matches(pattern, kind) || glob::matches(kind, pattern))
}
