//! Answers to handshakes: whether they can be given, and give nothing away.

use serde::de::IgnoredAny;

use super::super::{Checks, shown};
use super::{Scope, conditions, header, place, text};
use crate::config::load::tree::Node;
use crate::config::piece::{Piece, pieces_in_json};
use crate::config::provider::{After, Handshake, Method, Provider, is_json};

pub(super) fn check(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    handshake: &Handshake,
    node: Node<'_>,
) {
    let scope = match handshake.after {
        After::Authentication => Scope::Request,
        After::Token | After::Nothing => Scope::Head,
    };
    let Handshake { when, present, absent, only, .. } = handshake;
    conditions(checks, provider, node, (when, present, absent), scope);
    let has_conditions = !when.is_empty() || !present.is_empty() || !only.is_empty();
    let is_webhooks = provider.methods.contains(&handshake.method);
    if !has_conditions && is_webhooks {
        checks.error(
            node,
            "without conditions every webhook would be a handshake",
            "say in `when`, `present` or `only` what tells it from a webhook",
        );
    }
    if !only.is_empty() && (scope == Scope::Head || handshake.method == Method::Get) {
        checks.error(
            node.get("only"),
            "`only` looks at the body, which isn't read here",
            "set `after = \"authentication\"`, or name places in `present`",
        );
    }
    token(checks, provider, handshake, node);
    let mut is_signed = false;
    let mut answer = |checks: &mut Checks<'_, '_, '_>, node: Node<'_>, written: &str| {
        match pieces_in_json(written) {
            Ok(pieces) => {
                for piece in &pieces {
                    is_signed |= part(checks, provider, node, piece, scope);
                }
            }
            Err(unknown) => {
                let unknown = shown(node, &unknown);
                checks.error(
                    node,
                    format!("`{unknown}` is no place"),
                    "there are {query:NAME}, {header:NAME}, {/pointer} and hashes such as {hmac-sha256-hex:PLACE}",
                );
            }
        }
    };
    answer(checks, node.get("body"), &handshake.body);
    if is_json(&handshake.content_type) && !stays_json(&handshake.body) {
        checks.error(
            node.get("body"),
            "with its places filled in, the answer isn't JSON",
            "put each place in quotes, as in '{\"challenge\":\"{/challenge}\"}'",
        );
    }
    for (name, written) in &handshake.headers {
        header(checks, node.get("headers"), name);
        answer(checks, node.get("headers"), written);
    }
    if is_signed && handshake.guard.is_none() {
        checks.error(
            node,
            "it signs whatever is sent, with the key of the webhooks: anyone could have a webhook of their own signed here",
            "set `guard` to the characters of a real challenge, such as \"A-Za-z0-9_-\", so that nothing that looks like a signed webhook fits",
        );
    }
    if let Some(guard) = &handshake.guard
        && (guard.is_empty() || !guard.is_ascii())
    {
        checks.error(
            node.get("guard"),
            "`guard` lists no characters",
            "write such as \"A-Za-z0-9_-\"",
        );
    }
}

/// Whether an answer is JSON whatever its places hold. That of a place which can't be read is another problem.
fn stays_json(body: &str) -> bool {
    let Ok(pieces) = pieces_in_json(body) else { return true };
    let filled = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text,
        _ => "x",
    });
    let filled: String = filled.collect();
    filled.is_empty() || serde_json::from_str::<IgnoredAny>(&filled).is_ok()
}

fn token(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    handshake: &Handshake,
    node: Node<'_>,
) {
    match (handshake.after, &handshake.token) {
        (After::Token, Some(token)) => {
            text(checks, provider, node.get("token"), token, Scope::Head);
        }
        (After::Token, None) => checks.error(
            node.get("after"),
            "where the token is isn't configured",
            "write `token = \"{query:NAME}\"`",
        ),
        (_, Some(_)) => checks.error(
            node.get("token"),
            "`token` is without effect where `after` isn't \"token\"",
            "set `after = \"token\"`",
        ),
        (_, None) => {}
    }
}

/// Problems a part of an answer that can't be given. Returns whether it is signed.
fn part(
    checks: &mut Checks<'_, '_, '_>,
    provider: &Provider,
    node: Node<'_>,
    piece: &Piece,
    scope: Scope,
) -> bool {
    match piece {
        Piece::Hashed(hash, pieces) => {
            let known = |piece: &&Piece| !matches!(piece, Piece::Secret | Piece::Url);
            pieces
                .iter()
                .filter(known)
                .for_each(|piece| place(checks, provider, node, piece, scope));
            hash.is_keyed()
        }
        Piece::Secret => {
            checks.error(node, "the answer would give the secret away", "put it into a hash");
            false
        }
        other => {
            place(checks, provider, node, other, scope);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_json_have_quotes() {
        for right in ["", "{}", r#"{"a":"{/a}","b":"sha256={hmac-sha256-hex:/a}"}"#, "{/a"] {
            assert!(stays_json(right), "{right}");
        }
        for wrong in [r#"{"a":{/a}}"#, "{/a}", r#"{"a":"{/a}""#] {
            assert!(!stays_json(wrong), "{wrong}");
        }
    }
}
