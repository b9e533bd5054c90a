//! Who may post to an endpoint: secrets, signatures, tokens, networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Checks, shown};
use crate::config::facts::Routing;
use crate::config::load::tree::Node;
use crate::config::piece::{Piece, signed_pieces};
use crate::config::provider::After;
use crate::config::scheme::Scheme;
use crate::config::secret::Secret;
use crate::config::{Auth, Endpoint, Hmac, Jwt, Replay, Signature};

pub(super) fn check(checks: &mut Checks<'_, '_, '_>, endpoint: &Endpoint, node: Node<'_>) {
    let list = node.get("auth");
    if endpoint.auth.is_empty() {
        checks.error(
            list,
            "the endpoint doesn't say who may post to it",
            "add `[[endpoint.auth]]` with `kind = \"secret\"`, or with `kind = \"none\"` to let everybody in",
        );
    }
    for (at, auth) in endpoint.auth.iter().enumerate() {
        let node = list.at(at);
        match auth {
            Auth::None {} if endpoint.auth.len() > 1 => checks.warning(
                node,
                "`kind = \"none\"` lets everybody in: the other `[[endpoint.auth]]` are without effect",
                "take one or the other out",
            ),
            Auth::None {} => {}
            Auth::Secret { header, secrets, .. } => {
                self::header(checks, node.get("header"), header);
                self::secrets(checks, node.get("secrets"), "secrets", secrets);
            }
            Auth::Basic { user, passwords } => {
                let at = node.get("user");
                if user.contains(':') || user.chars().any(char::is_control) {
                    checks.error(at, "`user` holds a colon or a control character", "HTTP can't carry that: choose another name");
                }
                self::secrets(checks, node.get("passwords"), "passwords", passwords);
            }
            Auth::Hmac(hmac) => self::hmac(checks, hmac, endpoint, node),
            Auth::Signature(signature) => {
                self::secrets(checks, node.get("secrets"), "secrets", &signature.secrets);
                self::signature(checks, endpoint, signature, node);
            }
            Auth::Jwt(jwt) => self::jwt(checks, jwt, node),
        }
    }
    networks(checks, node.get("allow_from"), &endpoint.allow_from);
    unsigned(checks, node, endpoint);
    trusted(checks, node.get("trust_unsigned"), endpoint);
    if let Some(url) = &endpoint.public_url
        && !url.parse::<http::Uri>().is_ok_and(|url| url.scheme().is_some() && url.host().is_some())
    {
        let at = node.get("public_url");
        checks.error(
            at,
            format!("`{}` is no URL", shown(at, url)),
            "write all of it, such as \"https://hooks.example.com/shop\"",
        );
    }
}

/// Problems what the source can't do without, and some signature doesn't cover.
fn unsigned(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, endpoint: &Endpoint) {
    let unsigned = endpoint.unsigned().filter(|routing| routing.is_needed);
    for Routing { piece, what, .. } in unsigned {
        let place = piece.trusted_name();
        if !endpoint.trusts(&place) {
            let at = node.get("trust_unsigned");
            checks.error(
                if at.is_written() { at } else { node.get("source") },
                format!("{what} is in `{place}`, which the signature doesn't cover: anyone who has seen a webhook could send it again as another one"),
                format!("accept that with `trust_unsigned = [\"{place}\"]` on the endpoint"),
            );
        }
    }
}

/// Problems what is trusted for nothing.
fn trusted(checks: &mut Checks<'_, '_, '_>, list: Node<'_>, endpoint: &Endpoint) {
    let is_read = |auth: &Auth, name: &str| match auth {
        Auth::Hmac(hmac) => {
            let is_it = |header: &str| header.eq_ignore_ascii_case(name);
            hmac.message_id_header.as_deref().is_some_and(is_it)
                || hmac.include_timestamp && is_it(&hmac.timestamp_header)
        }
        _ => false,
    };
    let facts = &endpoint.facts.routing;
    for (at, name) in endpoint.trust_unsigned.iter().enumerate() {
        let at = list.at(at);
        let is_a_fact =
            facts.iter().any(|known| known.piece.trusted_name().eq_ignore_ascii_case(name));
        if !is_a_fact {
            header(checks, at, name);
        }
        if !is_a_fact && !endpoint.auth.iter().any(|auth| is_read(auth, name)) {
            checks.warning(
                at,
                format!(
                    "nothing is read from `{}`: trusting it is without effect",
                    shown(at, name)
                ),
                "name the header of `message_id_header` or `timestamp_header`, or take it out",
            );
        }
    }
}

/// Networks in CIDR notation.
pub(super) fn networks(checks: &mut Checks<'_, '_, '_>, list: Node<'_>, texts: &[String]) {
    for (at, text) in texts.iter().enumerate() {
        let is_network = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
        if !is_network {
            let at = list.at(at);
            checks.error(
                at,
                format!("`{}` is no network", shown(at, text)),
                "write one such as \"167.150.224.0/23\", or an address",
            );
        }
    }
}

fn header(checks: &mut Checks<'_, '_, '_>, at: Node<'_>, name: &str) {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        checks.error(
            at,
            format!("`{}` can't be the name of a header", shown(at, name)),
            "write a name such as `x-webhook-secret` or `authorization`",
        );
    }
}

fn secrets(checks: &mut Checks<'_, '_, '_>, list: Node<'_>, key: &str, secrets: &[Secret]) {
    if secrets.is_empty() {
        checks.error(
            list,
            format!("`{key}` is empty: no request would be accepted"),
            format!("write at least one, such as `{key} = [\"${{WEBHOOK_SECRET}}\"]`"),
        );
    }
    for (at, secret) in secrets.iter().enumerate() {
        self::secret(checks, list.at(at), secret.expose());
    }
}

/// `kind = "signature"`: whether the provider has one, and can be met with these secrets.
fn signature(
    checks: &mut Checks<'_, '_, '_>,
    endpoint: &Endpoint,
    signature: &Signature,
    node: Node<'_>,
) {
    let title = &endpoint.facts.provider;
    // Of a provider that there isn't nothing is known, and that has been said.
    if title.is_empty() {
        return;
    }
    let described = endpoint.facts.description.as_ref();
    let Some(provider) = described.filter(|provider| provider.has_signatures()) else {
        let what = match described {
            Some(_) => format!("{title} doesn't sign its webhooks"),
            None => format!("how {title} signs is up to its users"),
        };
        let hint = "use what it can be told to send: `kind = \"secret\"` or \"basic\"; where it signs after all, `kind = \"hmac\"` says how";
        checks.error(node.get("kind"), what, hint);
        return;
    };
    let takes_any = !provider.tokens.is_empty() || !provider.jwts.is_empty();
    for (at, secret) in signature.secrets.iter().enumerate() {
        let is_a_key = |scheme: &Scheme| scheme.key_bytes(secret.expose()).is_some();
        if !takes_any && !secret.expose().is_empty() && !provider.signatures.iter().any(is_a_key) {
            let forms: Vec<_> = provider.signatures.iter().map(Scheme::key_form).collect();
            checks.error(
                node.get("secrets").at(at),
                format!("the secret is none of {title}: it can't be decoded"),
                format!("it has to be {}", forms.join(", or ")),
            );
        }
    }
    let asks_for_token = provider.handshakes.iter().any(|it| it.after == After::Token);
    let tokens = node.get("handshake_tokens");
    if asks_for_token && signature.handshake_tokens.is_empty() {
        checks.warning(
            node.get("secrets"),
            format!("{title} sends a token in the URL when it tries the endpoint out: anyone who reads it in a log could sign webhooks"),
            "tell it another one, and write that into `handshake_tokens`",
        );
    }
    for (at, token) in signature.handshake_tokens.iter().enumerate() {
        secret(checks, tokens.at(at), token.expose());
    }
    if !asks_for_token && !signature.handshake_tokens.is_empty() {
        checks.warning(
            tokens,
            format!("{title} asks for no token: `handshake_tokens` is without effect"),
            "take it out",
        );
    }
    let signs_url = |scheme: &Scheme| scheme.message.contains("{url}");
    if provider.signatures.iter().any(signs_url) && endpoint.public_url.is_none() {
        checks.warning(
            node.get("kind"),
            format!("{title} signs the URL, and this endpoint doesn't say which that is: it is guessed from the request"),
            "set `public_url` on the endpoint to the URL that the provider was told",
        );
    }
}

fn hmac(checks: &mut Checks<'_, '_, '_>, hmac: &Hmac, endpoint: &Endpoint, node: Node<'_>) {
    secrets(checks, node.get("secrets"), "secrets", &hmac.secrets);
    for (key, name) in [
        ("signature_header", Some(&hmac.signature_header)),
        ("timestamp_header", Some(&hmac.timestamp_header)),
        ("message_id_header", hmac.message_id_header.as_ref()),
    ] {
        if let Some(name) = name {
            header(checks, node.get(key), name);
        }
    }
    if hmac.secret_is_base64 {
        for (at, secret) in hmac.secrets.iter().enumerate() {
            if data_encoding::BASE64.decode(secret.expose().as_bytes()).is_err() {
                checks.error(
                    node.get("secrets").at(at),
                    "the secret is not base64",
                    "take out `secret_is_base64`, or write the secret in base64 with its padding",
                );
            }
        }
    }
    let at = node.get("payload_format");
    let pieces = match signed_pieces(&hmac.message()) {
        Ok(pieces) => pieces,
        Err(unknown) => {
            checks.error(
                at,
                format!("`{}` is no placeholder", shown(at, &unknown)),
                "there are {body}, {timestamp}, {method}, {url} and {svix-id}",
            );
            return;
        }
    };
    let has = |piece: Piece| pieces.contains(&piece);
    let message_id = Piece::Header(hmac.message_id_header().to_ascii_lowercase());
    let signs_id = pieces.contains(&message_id);
    if !has(Piece::Body) {
        checks.error(
            at,
            "the body is not signed: anyone could change it",
            "put {body} into `payload_format`",
        );
    }
    let is_trusted =
        |name: &str| endpoint.trust_unsigned.iter().any(|known| known.eq_ignore_ascii_case(name));
    if hmac.include_timestamp && !has(Piece::Time) && !is_trusted(&hmac.timestamp_header) {
        checks.error(
            at,
            "the timestamp is not signed: anyone could change it",
            "put {timestamp} into `payload_format`, or set `include_timestamp = false`",
        );
    }
    if !hmac.include_timestamp && has(Piece::Time) {
        checks.error(
            at,
            "`payload_format` has a {timestamp}, and `include_timestamp` is false",
            "take one of them out",
        );
    }
    let is_timed = hmac.include_timestamp && has(Piece::Time);
    if hmac.replay == Replay::Refuse && !is_timed {
        checks.warning(
            node.get("replay"),
            format!("without a signed timestamp a repetition is refused only while it is remembered: the last {} deliveries are", endpoint.max_seen()),
            "let the sender sign a timestamp",
        );
    }
    let is_identified = signs_id || hmac.message_id_header.is_some();
    if !hmac.include_timestamp && !is_identified && hmac.replay == Replay::Dedupe {
        checks.warning(
            node,
            "without a timestamp and without a message id, a captured webhook can be sent again at any time",
            "let the sender sign a timestamp",
        );
    }
    if let Some(name) = hmac.message_id_header.as_deref().filter(|name| !is_trusted(name))
        && !signs_id
    {
        let at = node.get("message_id_header");
        let name = shown(at, name);
        checks.error(
            at,
            "the message id is not signed: with one that was captured, another webhook would pass for a repetition and be dropped",
            format!("put {{svix-id}} into `payload_format` there and here, or take `message_id_header` out; `trust_unsigned = [\"{name}\"]` on the endpoint takes it as it is"),
        );
    }
    if has(Piece::Url) && endpoint.public_url.is_none() {
        checks.warning(
            at,
            "{url} is signed, and this endpoint doesn't say which that is: it is guessed from the request",
            "set `public_url` on the endpoint to the URL that the provider was told",
        );
    }
}

fn jwt(checks: &mut Checks<'_, '_, '_>, jwt: &Jwt, node: Node<'_>) {
    for (key, value) in [("issuer", &jwt.issuer), ("audience", &jwt.audience), ("jwks", &jwt.jwks)]
    {
        if value.is_empty() {
            checks.error(
                node.get(key),
                format!("`{key}` is empty"),
                "the issuer's documentation has it",
            );
        }
    }
    if jwt.algorithms.is_empty() {
        checks.error(
            node.get("algorithms"),
            "`algorithms` is empty: no request would be accepted",
            "write those that the issuer uses, such as [\"RS256\"]",
        );
    }
    if let Some(rest) = jwt.jwks.strip_prefix("http://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        if host != "localhost" && host != "127.0.0.1" {
            checks.warning(
                node.get("jwks"),
                "the keys are fetched without TLS: someone on the network could replace them",
                "write https://",
            );
        }
    } else if !jwt.jwks.is_empty() && !jwt.jwks.starts_with("https://") {
        let at = node.get("jwks");
        if let Err(error) = std::fs::File::open(&jwt.jwks) {
            checks.error(
                at,
                format!("the file `{}` can't be read: {error}", shown(at, &jwt.jwks)),
                "write a URL, or a file that this user may read",
            );
        }
    }
}

fn secret(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, secret: &str) {
    if secret.is_empty() {
        checks.error(
            node,
            "the secret is empty",
            "put the secret into an environment variable, and write `\"${WEBHOOK_SECRET}\"`",
        );
    } else if secret.trim() != secret || secret.chars().any(char::is_control) {
        checks.error(
            node,
            "the secret holds a control character, or a space at one of its ends: no header can match it",
            "look for a line break where the secret comes from",
        );
    }
}
