//! Endpoints: names, paths, who may post, and their rules.

use std::collections::HashMap;

use super::rules::{self, Patterns, Subject};
use super::{Checks, auth, shown};
use crate::config::load::tree::Node;
use crate::config::sources::QuestionKind;
use crate::config::units::Time;
use crate::config::{Context, Endpoint};
use crate::template::{Destination, Template, Variable, glob, nearest};

/// Longest window: answers are kept in memory, and the oldest go when it is full.
const MAX_WINDOW: Time = Time::seconds(86_400);
/// Members of a tool call's own payload.
const OWN_MEMBERS: [&str; 3] = ["id", "name", "arguments"];

pub(super) fn check(checks: &mut Checks<'_, '_, '_>) {
    let config = checks.config;
    let mut names = HashMap::new();
    let mut paths = HashMap::new();
    health(checks);
    for (at, endpoint) in config.endpoints.iter().enumerate() {
        let node = checks.root.get("endpoint").at(at);
        name(checks, endpoint, node.get("name"));
        path(checks, &endpoint.path, node.get("path"));
        slash(checks, &endpoint.path, node.get("path"));
        once(checks, &mut names, "name", &endpoint.name, node);
        once(checks, &mut paths, "path", &endpoint.path, node);
        source(checks, endpoint, node.get("source"));
        auth::check(checks, endpoint, node);
        events(checks, endpoint, node);
        questions(checks, endpoint, node);
        tools(checks, endpoint, node);
        answer_window(checks, endpoint, node);
        ack_within(checks, endpoint, node);
        if let Some(audit) = &endpoint.audit {
            destinations(checks, node.get("audit").get("to"), &audit.to, true);
        }
        if endpoint.rate_burst.is_some() && endpoint.rate_limit.is_none() {
            checks.warning(
                node.get("rate_burst"),
                "`rate_burst` is without effect where there is no `rate_limit`",
                "add `rate_limit`, such as \"100/s\", or take it out",
            );
        }
    }
}

/// Whether no event of this endpoint is stored anywhere, on purpose.
pub(super) fn drops_everything(endpoint: &Endpoint) -> bool {
    let covers_all =
        endpoint.events.iter().flat_map(|rule| &rule.types).any(|kind| glob::covers(kind, "*"));
    covers_all && endpoint.events.iter().all(|rule| rule.to.is_empty())
}

fn name(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let is_right = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if endpoint.name.is_empty() || !endpoint.name.bytes().all(is_right) {
        checks.error(
            node,
            format!("`{}` can't be the name of an endpoint", shown(node, &endpoint.name)),
            "names hold lower-case letters, digits and `-`, since they become part of subjects and metrics",
        );
    } else if endpoint.name.len() > 64 {
        checks.error(node, "the name is longer than 64 characters", "shorten it");
    }
}

fn source(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let config = checks.config;
    let described = config.providers.keys().map(String::as_str);
    let all: Vec<&str> = described.chain(checks.sources.iter().copied()).collect();
    if all.contains(&endpoint.source.as_str()) {
        return;
    }
    let hint = match nearest(&endpoint.source, all.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`hookbus providers list` shows those that are built in; `[provider.NAME]` describes another one".to_owned(),
    };
    let text = shown(node, &endpoint.source);
    checks.error(node, format!("there is no provider `{text}`"), hint);
}

/// Whether the path of `http.health` is one, and no endpoint's.
fn health(checks: &mut Checks<'_, '_, '_>) {
    let config = checks.config;
    let Some(health) = &config.http.health else { return };
    let node = checks.root.get("http").get("health");
    path(checks, health, node);
    if let Some(endpoint) = config.endpoints.iter().find(|endpoint| endpoint.path == *health) {
        checks.error(
            node,
            format!(
                "`health` is the path of endpoint `{}` too: `{}`",
                endpoint.name,
                shown(node, health)
            ),
            "give it a path of its own, such as \"/healthz\"",
        );
    }
}

/// Hint at a slash at the end, which senders easily leave out; unless the path without it is served as well.
fn slash(checks: &mut Checks<'_, '_, '_>, path: &str, node: Node<'_>) {
    let Some(without) = path.strip_suffix('/').filter(|without| without.starts_with('/')) else {
        return;
    };
    if !checks.config.endpoints.iter().any(|other| other.path == without) {
        checks.warning(
            node,
            format!("the path `{}` ends with `/`, and is served only so", shown(node, path)),
            match node.written() {
                Some(_) => "a sender whose URL doesn't end with `/` gets a 404; take it out, unless that of yours does".to_owned(),
                None => format!("a sender that posts to `{without}` gets a 404; write `path = \"{without}\"`, unless the URL of yours ends with `/` too"),
            },
        );
    }
}

fn path(checks: &mut Checks<'_, '_, '_>, path: &str, node: Node<'_>) {
    let text = shown(node, path);
    let wrong = |c: char| !c.is_ascii_graphic() || "{}*:?#\\\"<>".contains(c);
    if !path.starts_with('/') {
        let hint = if node.written().is_none() && !path.is_empty() && !path.contains("://") {
            format!("write `path = \"/{text}\"`")
        } else {
            "write the path alone, such as `path = \"/shop\"`".to_owned()
        };
        checks.error(node, format!("the path `{text}` doesn't begin with `/`"), hint);
    } else if let Some(found) = path.chars().find(|c| wrong(*c)) {
        let found = if node.written().is_some() {
            "such a character".to_owned()
        } else {
            format!("{found:?}")
        };
        checks.error(
            node,
            format!("the path `{text}` can't hold {found}"),
            "paths are taken as they are, without variables, queries or spaces",
        );
    } else if path.contains("//") {
        checks.error(node, format!("the path `{text}` holds `//`"), "write one `/`");
    }
}

/// Problems what an earlier endpoint has already.
fn once<'a>(
    checks: &mut Checks<'_, '_, '_>,
    seen: &mut HashMap<&'a str, usize>,
    key: &str,
    value: &'a str,
    endpoint: Node<'_>,
) {
    let node = endpoint.get(key);
    if node.is_broken() {
        return;
    }
    match seen.get(value) {
        Some(before) => {
            let line = checks.report.line(*before);
            checks.error(
                node,
                format!(
                    "the endpoint on line {line} has the {key} `{}` already",
                    shown(node, value)
                ),
                format!("give each endpoint a {key} of its own"),
            );
        }
        None => {
            seen.insert(value, node.start());
        }
    }
}

fn events(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let list = node.get("event");
    let rules: Vec<_> = endpoint
        .events
        .iter()
        .enumerate()
        .map(|(at, rule)| Patterns { patterns: &rule.types, node: list.at(at).get("types") })
        .collect();
    rules::check(checks, &endpoint.facts, &rules, Subject::Events);
    for (at, rule) in endpoint.events.iter().enumerate() {
        destinations(checks, list.at(at).get("to"), &rule.to, false);
    }
}

fn questions(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let list = node.get("question");
    let rules: Vec<_> = endpoint
        .questions
        .iter()
        .enumerate()
        .map(|(at, rule)| Patterns { patterns: &rule.types, node: list.at(at).get("types") })
        .collect();
    rules::check(checks, &endpoint.facts, &rules, Subject::Questions);
    for (at, rule) in endpoint.questions.iter().enumerate() {
        let node = list.at(at);
        subject(checks, node.get("subject"), &rule.subject, false);
        let asked = endpoint.facts.questions.iter();
        let asked = asked.filter(|asked| rule.types.iter().any(|p| glob::matches(p, &asked.name)));
        let default = asked.map(|asked| asked.timeout).max();
        timeouts(checks, node, rule.timeout.or(default), rule.timeout, rule.no_responders_grace);
        destinations(checks, node.get("copy_to"), &rule.copy_to, false);
        checks.not_zero(node, "chunk_timeout", rule.chunk_timeout);
    }
    fallbacks(checks, endpoint, list);
    for asked in &endpoint.facts.questions {
        let (kind, Some(patience)) = (&asked.name, asked.patience) else { continue };
        let decides = |types: &[String]| types.iter().any(|pattern| glob::matches(pattern, kind));
        let Some(at) = endpoint.questions.iter().position(|rule| decides(&rule.types)) else {
            continue;
        };
        let timeout = endpoint.questions.get(at).and_then(|rule| rule.timeout);
        if let Some(timeout) = timeout.filter(|timeout| *timeout >= patience) {
            checks.warning(
                list.at(at).get("timeout"),
                format!(
                    "{} doesn't wait {timeout} for the answer to `{kind}`",
                    endpoint.facts.provider
                ),
                format!(
                    "set less than {} s, with room for the way there and back; the default is {}",
                    patience.get().as_secs_f64(),
                    asked.timeout
                ),
            );
        }
    }
}

/// Problems fallbacks that the provider couldn't read.
fn fallbacks(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, list: Node<'_>) {
    let provider = &endpoint.facts.provider;
    for kind in endpoint.facts.asked() {
        let decides = |types: &[String]| types.iter().any(|pattern| glob::matches(pattern, kind));
        let Some(at) = endpoint.questions.iter().position(|rule| decides(&rule.types)) else {
            continue;
        };
        if let Some(fallback) = &endpoint.questions[at].fallback
            && let Err(reason) = (checks.judge)(endpoint, QuestionKind::Type(kind), fallback)
        {
            checks.warning(
                list.at(at).get("fallback"),
                format!("{provider} can't read this fallback as the answer to `{kind}`: {reason}"),
                "write what a worker would reply; with the same reply of a worker the answer would be `bad-reply`",
            );
        }
    }
}

fn tools(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let list = node.get("tool");
    let rules: Vec<_> = endpoint
        .tools
        .iter()
        .enumerate()
        .map(|(at, rule)| Patterns { patterns: &rule.names, node: list.at(at).get("names") })
        .collect();
    rules::check(checks, &endpoint.facts, &rules, Subject::Functions);
    for (at, rule) in endpoint.tools.iter().enumerate() {
        let node = list.at(at);
        subject(checks, node.get("subject"), &rule.subject, true);
        let whole = rule.timeout.or(endpoint.facts.call_timeout);
        timeouts(checks, node, whole, rule.timeout, rule.no_responders_grace);
        destinations(checks, node.get("copy_to"), &rule.copy_to, true);
        if let Some(fallback) = &rule.fallback
            && let Err(reason) = (checks.judge)(endpoint, QuestionKind::Function, fallback)
        {
            checks.warning(
                node.get("fallback"),
                format!(
                    "{} can't use this fallback as a result: {reason}",
                    endpoint.facts.provider
                ),
                "write what is to be said, or take it out: then the call gets an error",
            );
        }
        if let Context::Members(members) = &rule.context {
            for (at, member) in members.iter().enumerate() {
                if OWN_MEMBERS.contains(&member.as_str()) {
                    checks.error(
                        node.get("context").at(at),
                        format!("`{member}` is a member of the tool call itself"),
                        "name other members of the message, such as `call` or `customer`",
                    );
                }
            }
        }
    }
}

/// Problems a window that no memory will hold.
fn answer_window(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    if endpoint.answer_window > MAX_WINDOW {
        checks.warning(
            node.get("answer_window"),
            format!(
                "answers are kept in memory: after `answer_window` ({}) few will still be there",
                endpoint.answer_window
            ),
            "senders retry within minutes; set \"2m\"",
        );
    }
}

/// Problems a time that changes nothing, or that nothing could keep.
fn ack_within(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let Some(within) = endpoint.ack_within else { return };
    checks.not_zero(node, "ack_within", within);
    let nats = checks.config.nats.as_ref().map(|nats| nats.ack_timeout);
    let kafka = checks.config.kafka.as_ref().map(|kafka| kafka.ack_timeout);
    let node = node.get("ack_within");
    if nats.into_iter().chain(kafka).all(|timeout| within >= timeout) {
        checks.warning(
            node,
            format!("brokers have less than `ack_within` ({within}) anyway: it is without effect"),
            "set less than `ack_timeout`, or take it out",
        );
    }
    if !checks.config.spool.enabled {
        checks.warning(
            node,
            "there is no disk that events could go to: what brokers don't acknowledge by then is refused",
            "take `enabled = false` out of `[spool]`, or set more",
        );
    }
}

fn timeouts(
    checks: &mut Checks<'_, '_, '_>,
    node: Node<'_>,
    whole: Option<Time>,
    timeout: Option<Time>,
    grace: Time,
) {
    if let Some(timeout) = timeout {
        checks.not_zero(node, "timeout", timeout);
    }
    let Some(whole) = whole else { return };
    if grace > whole && !whole.get().is_zero() && !node.get("timeout").is_broken() {
        checks.warning(
            node.get("no_responders_grace"),
            format!("`no_responders_grace` ({grace}) is longer than the whole question may take ({whole})"),
            "the timeout ends it; set less",
        );
    }
}

fn subject(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, text: &str, has_function: bool) {
    match Template::subject(text) {
        Ok(template) => function(checks, node, text, &template, has_function),
        Err(error) => checks.template_error(node, error),
    }
}

fn destinations(
    checks: &mut Checks<'_, '_, '_>,
    list: Node<'_>,
    texts: &[String],
    has_function: bool,
) {
    for (at, text) in texts.iter().enumerate() {
        let node = list.at(at);
        if texts[..at].contains(text) {
            checks.warning(
                node,
                format!("`{}` is listed twice", shown(node, text)),
                "take one out",
            );
        }
        let destination = match Destination::parse(text) {
            Ok(destination) => destination,
            Err(error) => {
                checks.template_error(node, error);
                continue;
            }
        };
        function(checks, node, text, destination.template(), has_function);
        broker(checks, node, text, &destination);
    }
}

/// Problems `{function}` where there is none.
fn function(
    checks: &mut Checks<'_, '_, '_>,
    node: Node<'_>,
    text: &str,
    template: &Template,
    has_function: bool,
) {
    if has_function || !template.uses(Variable::Function) || node.is_broken() {
        return;
    }
    let offset = text.find("{function}").unwrap_or_default();
    let at = node.inside(checks.report.text(), offset);
    checks.report.error(
        at,
        "`{function}` is known for tool calls only",
        "use `{endpoint}`, `{type}` or `{key}`",
    );
}

/// Problems a destination whose broker has no table.
fn broker(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, text: &str, destination: &Destination) {
    let config = checks.config;
    let (is_there, table, address) = match destination {
        Destination::Kafka(_) => {
            (config.kafka.is_some(), "kafka", "brokers = [\"127.0.0.1:9092\"]")
        }
        _ => (config.nats.is_some(), "nats", "servers = [\"nats://127.0.0.1:4222\"]"),
    };
    if !is_there && !checks.root.get(table).is_broken() {
        checks.error(
            node,
            format!("`{}` needs a `[{table}]` table", shown(node, text)),
            format!("add `[{table}]` with `{address}`"),
        );
    }
}
