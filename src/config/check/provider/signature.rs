//! How a described provider proves who it is.

use super::super::{Checks, shown};
use super::{header, no_place};
use crate::config::load::tree::Node;
use crate::config::piece::{Piece, pieces, signed_pieces};
use crate::config::provider::{BoundJwt, Provider, Token};
use crate::config::scheme::{Layout, Scheme};

pub(super) fn check(checks: &mut Checks<'_, '_, '_>, provider: &Provider, node: Node<'_>) {
    for (at, settings) in provider.signatures.iter().enumerate() {
        scheme(checks, settings, node.get("signature").at(at));
    }
    for (at, settings) in provider.tokens.iter().enumerate() {
        token(checks, settings, node.get("token").at(at));
    }
    for (at, settings) in provider.jwts.iter().enumerate() {
        jwt(checks, settings, node.get("jwt").at(at));
    }
}

fn scheme(checks: &mut Checks<'_, '_, '_>, scheme: &Scheme, node: Node<'_>) {
    match (scheme.headers.is_empty(), &scheme.at) {
        (true, None) => checks.error(
            node,
            "where the signature is isn't configured",
            "write `headers = [\"x-signature\"]`, or `at = \"{/signature}\"` for one in the body",
        ),
        (false, Some(_)) => checks.error(
            node.get("at"),
            "the signature can't be both in a header and in the body",
            "take one of `headers` and `at` out",
        ),
        _ => {}
    }
    for (at, name) in scheme.headers.iter().enumerate() {
        header(checks, node.get("headers").at(at), name.strip_suffix('*').unwrap_or(name));
    }
    if scheme.separator.is_empty() && scheme.layout != Layout::Plain {
        let at = node.get("separator");
        checks.error(at, "`separator` is empty", "write what separates two parts, such as \",\"");
    }
    if scheme.prefix.is_empty() && matches!(scheme.layout, Layout::Pairs | Layout::Tagged) {
        checks.error(
            node.get("prefix"),
            "which of the parts is the signature isn't configured",
            "write its name, such as `prefix = \"v1\"`, or its tag, such as `prefix = \"v1,\"`",
        );
    }
    let single = |checks: &mut Checks<'_, '_, '_>, key: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let node = node.get(key);
        match pieces(text) {
            Ok(pieces) if pieces.len() == 1 => pieces.into_iter().next(),
            Ok(_) => {
                checks.error(
                    node,
                    "that is more than one place",
                    "name one, such as `{header:x-timestamp}`",
                );
                None
            }
            Err(unknown) => {
                no_place(checks, node, &unknown);
                None
            }
        }
    };
    if let Some(at) = single(checks, "at", &scheme.at)
        && !matches!(at, Piece::Pointer(_) | Piece::Form(_) | Piece::FormPointer(..))
    {
        checks.error(
            node.get("at"),
            format!("`{at}` isn't in the body"),
            "name a header in `headers`",
        );
    }
    let time = single(checks, "time", &scheme.time);
    if let Some(place) = &time {
        time_place(checks, scheme, place, node.get("time"));
    }
    let body_hash = single(checks, "body_hash", &scheme.body_hash);
    message(checks, scheme, time, body_hash, node);
}

/// Whether a time can stand there.
fn time_place(checks: &mut Checks<'_, '_, '_>, scheme: &Scheme, place: &Piece, node: Node<'_>) {
    let is_fit = match place {
        Piece::Header(_) | Piece::Pointer(_) | Piece::Form(_) => true,
        Piece::Pair(_) => scheme.layout == Layout::Pairs,
        Piece::Time => scheme.layout == Layout::Positional,
        _ => false,
    };
    if !is_fit {
        checks.error(
            node,
            format!("the time of signing can't be at `{place}`"),
            "it is in `{header:NAME}`, with `layout = \"pairs\"` in `{pair:NAME}`, or in a signed body",
        );
    }
}

/// Whether what is signed covers the body, and the time.
fn message(
    checks: &mut Checks<'_, '_, '_>,
    scheme: &Scheme,
    time: Option<Piece>,
    body_hash: Option<Piece>,
    node: Node<'_>,
) {
    let at = node.get("message");
    let message = match signed_pieces(&scheme.message) {
        Ok(message) => message,
        Err(unknown) => {
            let unknown = shown(at, &unknown);
            checks.error(
                at,
                format!("`{unknown}` is no place"),
                "there are {body}, {time}, {url}, {path}, {method}, {form-sorted}, {header:NAME}, {query:NAME}, {form:NAME}, {pair:NAME} and {/pointer}, and [brackets] around what may be missing",
            );
            return;
        }
    };
    optional(checks, &message, at);
    for piece in message.iter().flat_map(Piece::parts) {
        match piece {
            hash if hash.is_hash_of_body() => {}
            Piece::Secret | Piece::Hashed(..) | Piece::MemberOtherThan(_) => {
                checks.error(
                    at,
                    format!("`{piece}` can't be signed"),
                    "it is for answers to handshakes; what can be signed is a hash of the body, as {md5-base64:body}",
                );
            }
            Piece::Pointer(keys) | Piece::FormPointer(_, keys)
                if keys.iter().any(|key| key == "*") =>
            {
                checks.error(at, format!("`{piece}` stands for many values"), "name one of them");
            }
            Piece::Pair(_) if scheme.layout != Layout::Pairs => {
                checks.error(
                    at,
                    format!("there is no `{piece}` in a header of this layout"),
                    "set `layout = \"pairs\"`",
                );
            }
            _ => {}
        }
    }
    let has = |piece: &Piece| message.contains(piece);
    let covers_hash = body_hash
        .as_ref()
        .is_some_and(|hash| has(hash) || matches!(hash, Piece::Query(_)) && has(&Piece::Url));
    let covers_body = has(&Piece::Body)
        || has(&Piece::FormSorted)
        || message.iter().any(Piece::is_hash_of_body)
        || covers_hash;
    // Some providers sign nothing but an id and a time: that is all that there is.
    if !covers_body {
        checks.warning(
            at,
            "the body is not signed: anyone who has seen a webhook could send another one with its signature",
            "if the provider signs it, put {body} into `message`, or say in `body_hash` where its signed hash is",
        );
    }
    let is_positional = scheme.layout == Layout::Positional;
    let is_timed = time.is_some() || is_positional;
    if has(&Piece::Time) && !is_timed {
        checks.error(
            at,
            "`message` has a {time}, but where that is isn't configured",
            "write `time = \"{header:x-timestamp}\"`",
        );
    }
    let is_in_body = matches!(time, Some(Piece::Pointer(_) | Piece::Form(_)));
    let covers_time =
        has(&Piece::Time) || time.as_ref().is_some_and(has) || is_in_body && covers_body;
    if is_timed && !covers_time {
        checks.error(
            at,
            "the time is not signed: anyone could change it",
            "put {time} into `message`, or take `time` out",
        );
    }
}

/// What may be missing: single values that the request has or not, and never all that is signed.
fn optional(checks: &mut Checks<'_, '_, '_>, message: &[Piece], node: Node<'_>) {
    let is_place = |piece: &Piece| !matches!(piece, Piece::Text(_));
    let may_be_missing = |piece: &Piece| {
        matches!(
            piece,
            Piece::Text(_)
                | Piece::Header(_)
                | Piece::Query(_)
                | Piece::Form(_)
                | Piece::Pointer(_)
                | Piece::FormPointer(..)
        )
    };
    for piece in message.iter().filter(|piece| matches!(piece, Piece::Optional(_))) {
        if !piece.parts().iter().any(is_place) {
            checks.error(
                node,
                format!("nothing in `{piece}` can be missing"),
                "leave the brackets out",
            );
        }
        if let Some(other) = piece.parts().iter().find(|part| !may_be_missing(part)) {
            checks.error(
                node,
                format!("`{other}` is always there, and can't be optional"),
                "put brackets around a header, a parameter, a field or a member only",
            );
        }
    }
    let is_needed = |piece: &Piece| is_place(piece) && !matches!(piece, Piece::Optional(_));
    if !message.is_empty() && !message.iter().any(is_needed) {
        checks.error(
            node,
            "nothing of what is signed has to be there: without it the signature would be the same for everybody",
            "take the brackets away from what is always there",
        );
    }
}

fn token(checks: &mut Checks<'_, '_, '_>, token: &Token, node: Node<'_>) {
    let at = node.get("at");
    match pieces(&token.at).as_deref() {
        Ok([Piece::Header(_) | Piece::Query(_) | Piece::Pointer(_)]) => {}
        Ok(_) => checks.error(
            at,
            "a token is in one place",
            "name a header, a parameter of the query or a member of the body",
        ),
        Err(unknown) => no_place(checks, at, unknown),
    }
}

fn jwt(checks: &mut Checks<'_, '_, '_>, jwt: &BoundJwt, node: Node<'_>) {
    header(checks, node.get("header"), &jwt.header);
    if jwt.body_hash.is_empty() {
        checks.error(
            node.get("body_hash"),
            "`body_hash` is empty: the token would fit every body",
            "name the claim that holds the hash, such as \"payload_hash\"",
        );
    }
}
