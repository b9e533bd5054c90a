//! `[provider.NAME]`: whether a description can be used, and is safe to use.

mod handshake;
mod signature;

use std::collections::BTreeMap;

use super::{Checks, shown};
use crate::config::load::tree::Node;
use crate::config::piece::{Piece, pieces};
use crate::config::provider::{Asking, BodyKind, Each, Method, Payload, Provider, Texts, is_json};
use crate::template::glob;

/// The part of a request that a text may name places in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of it.
    Request,
    /// The head alone.
    Head,
}

pub(super) fn check(checks: &mut Checks<'_, '_, '_>) {
    let config = checks.config;
    for (name, provider) in &config.providers {
        let node = checks.root.get("provider").get(name);
        self::name(checks, name, node);
        prefix(checks, provider, node.get("event_prefix"));
        methods(checks, provider, node);
        kinds(checks, provider, node);
        texts(checks, provider, node.get("id"), &provider.id);
        texts(checks, provider, node.get("key"), &provider.key);
        signature::check(checks, provider, node);
        for (at, asking) in provider.questions.iter().enumerate() {
            question(checks, provider, asking, node.get("question").at(at));
        }
        acknowledge(checks, provider, node.get("acknowledge"));
        refuse(checks, provider, node.get("refuse"));
        for (at, settings) in provider.handshakes.iter().enumerate() {
            handshake::check(checks, provider, settings, node.get("handshake").at(at));
        }
    }
}

fn name(checks: &mut Checks<'_, '_, '_>, name: &str, node: Node<'_>) {
    let is_right = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if name.is_empty() || !name.bytes().all(is_right) {
        let text = shown(node, name);
        checks.error(
            node,
            format!("`{text}` can't be the name of a provider"),
            "names hold lower-case letters, digits and `-`",
        );
    }
}

fn prefix(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    let prefix = provider.event_prefix.trim_end_matches('.');
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if prefix.is_empty() || !prefix.bytes().all(is_right) {
        checks.error(
            node,
            "`event_prefix` is no domain name",
            "write the provider's, reversed, such as \"com.example\"",
        );
    }
}

fn methods(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    let list = node.get("methods");
    if provider.methods.is_empty() && provider.handshakes.is_empty() {
        checks.error(list, "`methods` is empty: nothing would be taken", "write [\"POST\"]");
    }
    let is_handshakes = |method: &Method| matches!(method, Method::Options | Method::Head);
    if let Some(at) = provider.methods.iter().position(is_handshakes) {
        checks.error(
            list.at(at),
            "webhooks don't come with this method",
            "a `[[provider.NAME.handshake]]` with it answers such a request",
        );
    }
}

/// Whether every webhook gets a type.
fn kinds(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    texts(checks, provider, node.get("type"), &provider.r#type);
    for (at, rule) in provider.type_rules.iter().enumerate() {
        let node = node.get("type_rule").at(at);
        text(checks, provider, node.get("type"), &rule.r#type, Scope::Request);
        let conditions = (&rule.when, &*rule.present, &*rule.absent);
        self::conditions(checks, provider, node, conditions, Scope::Request);
    }
    if provider.r#type.all().is_empty() && provider.type_rules.is_empty() {
        checks.error(
            node,
            "there is no `type`: nothing would say what a webhook is",
            "write where it stands, such as \"{/type}\", or a word that stands for all",
        );
    }
    for (at, kind) in provider.known_types.iter().enumerate() {
        if kind.is_empty() || kind.contains('*') {
            let node = node.get("known_types").at(at);
            checks.error(node, "a known type is a whole one", "take the wildcard out");
        }
    }
}

fn texts(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>, texts: &Texts) {
    match texts {
        Texts::One(one) => text(checks, provider, node, one, Scope::Request),
        Texts::FirstOf(all) => {
            for (at, one) in all.iter().enumerate() {
                text(checks, provider, node.at(at), one, Scope::Request);
            }
        }
    }
}

/// Problems what is wrong with a text with places.
fn text(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    node: Node<'_>,
    text: &str,
    scope: Scope,
) {
    if text.is_empty() {
        checks.error(node, "an empty text says nothing", "write a place such as \"{/type}\"");
        return;
    }
    match pieces(text) {
        Ok(pieces) => pieces.iter().for_each(|piece| place(checks, provider, node, piece, scope)),
        Err(unknown) => no_place(checks, node, &unknown),
    }
}

fn no_place(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, unknown: &str) {
    let unknown = shown(node, unknown);
    checks.error(
        node,
        format!("`{unknown}` is no place"),
        "there are {/pointer}, {header:NAME}, {query:NAME}, {form:NAME}, {form:NAME#/pointer}, {path} and {member-other-than:NAME}",
    );
}

/// Problems a place that holds no value where it stands.
fn place(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    node: Node<'_>,
    piece: &Piece,
    scope: Scope,
) {
    let (is_of_json, is_of_form) = match piece {
        Piece::Pointer(_) | Piece::MemberOtherThan(_) => (true, false),
        Piece::Form(_) | Piece::FormPointer(..) => (false, true),
        Piece::Text(_) | Piece::Header(_) | Piece::Query(_) | Piece::Path => return,
        _ => {
            let what = format!("`{piece}` holds no single value");
            checks.error(node, what, "it may be used only in what is signed");
            return;
        }
    };
    if let Piece::Pointer(keys) | Piece::FormPointer(_, keys) = piece
        && keys.iter().any(|key| key == "*")
    {
        let what = format!("`{piece}` stands for many values");
        checks.error(
            node,
            what,
            "name one element, such as `0`; only a token may be in all of them",
        );
    }
    if scope == Scope::Head {
        let what = format!("`{piece}` is in the body, which isn't read for unknown senders");
        checks.error(
            node,
            what,
            "name places of the query and headers, or set `after = \"authentication\"`",
        );
        return;
    }
    let has = match provider.body {
        BodyKind::Json => is_of_json,
        BodyKind::Form => is_of_form,
        BodyKind::JsonOrForm | BodyKind::Any => true,
        BodyKind::Bytes => false,
    };
    if !has {
        let body = match provider.body {
            BodyKind::Json => "json",
            BodyKind::Form => "form",
            _ => "bytes",
        };
        checks.error(
            node,
            format!("`{piece}` doesn't exist in a body of `body = \"{body}\"`"),
            match is_of_form {
                true => "set `body = \"form\"` or \"json-or-form\"",
                false => "set `body = \"json\"` or \"json-or-form\"",
            },
        );
    }
}

/// `when`, `present` and `absent`.
type Conditions<'a> = (&'a BTreeMap<String, String>, &'a [String], &'a [String]);

fn conditions(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    node: Node<'_>,
    (when, present, absent): Conditions<'_>,
    scope: Scope,
) {
    for at in when.keys() {
        text(checks, provider, node.get("when"), at, scope);
    }
    for (key, list) in [("present", present), ("absent", absent)] {
        for (at, one) in list.iter().enumerate() {
            text(checks, provider, node.get(key).at(at), one, scope);
        }
    }
}

fn question(checks: &mut Checks<'_, '_, '_>, provider: &Provider, asking: &Asking, node: Node<'_>) {
    if asking.types.is_empty() {
        checks.error(
            node.get("types"),
            "`types` is empty: nothing would be asked",
            "write [\"*\"] for all",
        );
    }
    checks.not_zero(node, "timeout", asking.timeout);
    if let Some(limit) = asking.limit.filter(|limit| *limit <= asking.timeout) {
        checks.error(
            node.get("timeout"),
            format!(
                "the sender waits {limit}: an answer after {} would come too late",
                asking.timeout
            ),
            "set less than `limit`, with room for the way there and back",
        );
    }
    if asking.content_types.is_empty() {
        checks.error(
            node.get("content_types"),
            "`content_types` is empty: no reply would be one",
            "write [\"application/json\"]",
        );
    }
    for (at, content_type) in asking.content_types.iter().enumerate() {
        if !content_type.contains('/') || http::HeaderValue::from_str(content_type).is_err() {
            checks.error(
                node.get("content_types").at(at),
                "that is no content type",
                "write one such as \"text/xml\"",
            );
        }
    }
    if asking.statuses.is_empty() {
        checks.error(
            node.get("statuses"),
            "`statuses` is empty: no reply could be sent",
            "write [200]",
        );
    }
    for (at, status) in asking.statuses.iter().enumerate() {
        if !(200..=599).contains(status) || (300..400).contains(status) {
            let node = node.get("statuses").at(at);
            checks.error(
                node,
                format!("{status} is no status of an answer"),
                "write one of 200 to 299, or of 400 to 599",
            );
        }
    }
    for (at, name) in asking.headers.iter().enumerate() {
        header(checks, node.get("headers").at(at), name);
    }
    if let Some(settings) = &asking.each {
        each(checks, provider, asking, settings, node);
    }
    let kinds = provider
        .known_types
        .iter()
        .chain(provider.r#type.all())
        .chain(provider.type_rules.iter().map(|rule| &rule.r#type));
    let is_open = kinds.clone().any(|kind| kind.contains('{'));
    for (at, pattern) in asking.types.iter().enumerate() {
        if !is_open && !kinds.clone().any(|kind| glob::matches(pattern, kind)) {
            let node = node.get("types").at(at);
            checks.error(
                node,
                format!("no webhook has the type `{}`", shown(node, pattern)),
                "name one that `type` makes",
            );
        }
    }
}

/// Several questions of one webhook: whether their answers can become one.
fn each(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    asking: &Asking,
    each: &Each,
    node: Node<'_>,
) {
    let at = node.get("each");
    for (key, written) in [("of", Some(&each.of)), ("by", each.by.as_ref())] {
        let Some(written) = written else { continue };
        match pieces(written).as_deref() {
            Ok([piece @ Piece::Pointer(_)]) => {
                place(checks, provider, at.get(key), piece, Scope::Request);
            }
            Err(unknown) => no_place(checks, at.get(key), unknown),
            Ok(_) => checks.error(
                at.get(key),
                "that is no member of a JSON body",
                "name one, such as \"{/calls}\"",
            ),
        }
    }
    if asking.payload == Payload::Fields {
        checks.error(
            node.get("payload"),
            "with `each` a worker gets an element, and no fields",
            "take one of them out",
        );
    }
    if let Some(other) = asking.content_types.iter().position(|kind| !is_json(kind)) {
        checks.error(
            node.get("content_types").at(other),
            "answers of several workers become one only as JSON",
            "leave only \"application/json\" or one that ends with \"+json\"",
        );
    }
    let chosen = [
        ("statuses", asking.statuses.len() > 1),
        ("headers", !asking.headers.is_empty()),
        ("may_be_empty", asking.may_be_empty),
    ];
    for (key, _) in chosen.into_iter().filter(|(_, is_chosen)| *is_chosen) {
        checks.error(
            node.get(key),
            "with `each` several workers answer, and none of them decides about the reply",
            "leave it out",
        );
    }
}

fn acknowledge(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    if let Some(within) = provider.acknowledge.within {
        checks.not_zero(node, "within", within);
    }
}

fn refuse(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    let refuse = &provider.refuse;
    for (key, status) in [
        ("unauthorized", refuse.unauthorized),
        ("malformed", refuse.malformed),
        ("too_large", refuse.too_large),
        ("encoding", refuse.encoding),
        ("rate_limited", refuse.rate_limited),
        ("unavailable", refuse.unavailable),
    ] {
        if let Some(status @ (408 | 410)) = status {
            checks.error(
                node.get(key),
                format!("{status} makes senders give up or ask again at once"),
                "write another one, such as 503",
            );
        }
    }
}

fn header(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, name: &str) {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        let text = shown(node, name);
        checks.error(
            node,
            format!("`{text}` can't be the name of a header"),
            "write a name such as `x-signature`",
        );
    }
}
