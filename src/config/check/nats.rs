//! `[nats]` and its streams.

use super::{Checks, shown, tls};
use crate::config::address::login;
use crate::config::load::tree::Node;
use crate::config::{Nats, Stream};
use crate::template::overlaps;

pub(super) fn check(checks: &mut Checks<'_, '_, '_>, nats: &Nats, node: Node<'_>) {
    let servers = node.get("servers");
    if nats.servers.is_empty() {
        checks.error(
            servers,
            "`servers` is empty",
            "write at least one, such as `servers = [\"nats://127.0.0.1:4222\"]`",
        );
    }
    for (at, server) in nats.servers.iter().enumerate() {
        let address = server.parse::<async_nats::ServerAddr>();
        let is_right = address.as_ref().is_ok_and(|address| {
            !address.host().is_empty() && matches!(address.scheme(), "nats" | "tls")
        });
        // Neither is shown: an address may hold a password.
        if !is_right {
            checks.error(
                servers.at(at),
                "this is not the address of a NATS server",
                "write `nats://HOST:4222`, or `tls://HOST:4222`",
            );
        } else if address.is_ok_and(|address| login(&address).is_none()) {
            checks.error(
                servers.at(at),
                "the login in this address is not UTF-8 once its `%XX` are decoded",
                "write a `%` of a password as `%25`, or use `user` and `password`",
            );
        }
    }
    pair(checks, node, ("user", nats.user.is_some()), ("password", nats.password.is_some()));
    pair(checks, node, ("tls_cert", nats.tls_cert.is_some()), ("tls_key", nats.tls_key.is_some()));
    tls::nats(checks, node, nats);
    if nats.nkey.as_ref().is_some_and(|seed| nkeys::KeyPair::from_seed(seed.expose()).is_err()) {
        checks.error(
            node.get("nkey"),
            "`nkey` is not the seed of an nkey",
            "seeds of users begin with `SU`; `nk -gen user` makes one",
        );
    }
    if pattern_error(&nats.inbox_prefix).is_some() || nats.inbox_prefix.contains(['*', '>']) {
        let at = node.get("inbox_prefix");
        checks.error(
            at,
            format!("`{}` can't be the beginning of a subject", shown(at, &nats.inbox_prefix)),
            "write words with dots between them, such as `_INBOX_hookbus`",
        );
    }
    if let Some(domain) = &nats.domain
        && is_no_name(domain)
    {
        let at = node.get("domain");
        checks.error(
            at,
            format!("`{}` can't be a JetStream domain", shown(at, domain)),
            "write the `domain` of the server's `jetstream` block: one word of visible ASCII characters without `.`, `*`, `>`, `/` and `\\`",
        );
    }
    checks.not_zero(node, "ack_timeout", nats.ack_timeout);
    streams(checks, nats, node.get("stream"));
}

/// Problems one of two keys that make sense together only.
fn pair(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, one: (&str, bool), other: (&str, bool)) {
    let (there, absent) = match (one.1, other.1) {
        (true, false) => (one.0, other.0),
        (false, true) => (other.0, one.0),
        _ => return,
    };
    if !node.get(absent).is_broken() {
        checks.error(
            node.get(there),
            format!("`{there}` without `{absent}`"),
            format!("add `{absent}`"),
        );
    }
}

/// Whether this can't be the name of a stream, or of a domain.
fn is_no_name(text: &str) -> bool {
    let is_wrong = |c: char| !c.is_ascii_graphic() || ".*>/\\".contains(c);
    text.is_empty() || text.len() > 255 || text.contains(is_wrong)
}

fn streams(checks: &mut Checks<'_, '_, '_>, nats: &Nats, list: Node<'_>) {
    for (at, stream) in nats.streams.iter().enumerate() {
        let node = list.at(at);
        let name = node.get("name");
        if is_no_name(&stream.name) {
            checks.error(
                name,
                format!("`{}` can't be the name of a stream", shown(name, &stream.name)),
                "names hold visible ASCII characters other than `.`, `*`, `>`, `/` and `\\`",
            );
        }
        let earlier = nats.streams[..at].iter().position(|earlier| earlier.name == stream.name);
        if let Some(earlier) = earlier.filter(|earlier| !list.at(*earlier).get("name").is_broken())
        {
            let line = checks.report.line(list.at(earlier).get("name").start());
            checks.error(
                name,
                format!(
                    "the stream on line {line} has the name `{}` already",
                    shown(name, &stream.name)
                ),
                "make one stream of them, with all the subjects",
            );
        }
        subjects(checks, stream, node.get("subjects"));
        others(checks, nats, at, list);
        if let Some(age) =
            stream.max_age.filter(|age| !age.get().is_zero() && *age < *stream.duplicate_window)
        {
            let window = node.get("duplicate_window");
            let place = if window.is_written() { window } else { node.get("max_age") };
            if !node.get("max_age").is_broken() {
                checks.error(
                    place,
                    format!("`duplicate_window` ({}) is longer than `max_age` ({age}), which NATS refuses", *stream.duplicate_window),
                    format!("set `duplicate_window = \"{age}\"` or less"),
                );
            }
        }
    }
}

fn subjects(checks: &mut Checks<'_, '_, '_>, stream: &Stream, list: Node<'_>) {
    if stream.subjects.is_empty() {
        checks.error(
            list,
            "`subjects` is empty: the stream would store nothing",
            "write the subjects of events, such as `subjects = [\"shop.events.>\", \"shop.jobs.>\"]`",
        );
    }
    for (at, subject) in stream.subjects.iter().enumerate() {
        let node = list.at(at);
        if let Some(what) = pattern_error(subject) {
            checks.error(
                node,
                format!("`{}` can't be a subject: {what}", shown(node, subject)),
                "subjects are words with dots between them; `*` matches one word, `>` at the end the rest",
            );
        }
    }
}

/// Problems subjects that two streams, or one stream twice, would store.
fn others(checks: &mut Checks<'_, '_, '_>, nats: &Nats, at: usize, list: Node<'_>) {
    let Some(stream) = nats.streams.get(at) else {
        return;
    };
    for (index, subject) in stream.subjects.iter().enumerate() {
        let node = list.at(at).get("subjects").at(index);
        let before = nats.streams[..=at].iter().enumerate().flat_map(|(at, stream)| {
            stream.subjects.iter().enumerate().map(move |(index, subject)| (at, index, subject))
        });
        let clash = before.take_while(|place| (place.0, place.1) != (at, index)).find(
            |(at, index, other)| {
                let other_node = list.at(*at).get("subjects").at(*index);
                !other_node.is_broken()
                    && pattern_error(other).is_none()
                    && pattern_error(subject).is_none()
                    && overlaps(subject, other)
            },
        );
        if let Some((other_at, other_index, other)) = clash {
            let other_node = list.at(other_at).get("subjects").at(other_index);
            let line = checks.report.line(other_node.start());
            checks.error(
                node,
                format!(
                    "`{}` overlaps `{}` on line {line}, which NATS refuses",
                    shown(node, subject),
                    shown(other_node, other)
                ),
                "every subject belongs to one stream, and is listed there once",
            );
        }
    }
}

/// What is wrong with a subject that may hold wildcards.
pub(super) fn pattern_error(pattern: &str) -> Option<&'static str> {
    let tokens: Vec<&str> = pattern.split('.').collect();
    if tokens.iter().any(|token| token.is_empty()) {
        return Some("a part between the dots is empty");
    }
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it holds something other than visible ASCII characters");
    }
    let (last, first) = tokens.split_last()?;
    if first.iter().any(|token| token.contains('>')) || (last.contains('>') && *last != ">") {
        return Some("`>` can only be the whole last part");
    }
    if tokens.iter().any(|token| token.contains('*') && *token != "*") {
        return Some("`*` can only be a whole part");
    }
    None
}
