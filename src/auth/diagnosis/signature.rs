//! Signatures: the headers, the time, the secrets, and which bytes are signed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::trials::timeless;
use super::{Attempt, Diagnosis, Reason, Request, bodies, other_endpoint, secrets, span, urls};
use crate::auth::Cause;
use crate::auth::signature::scheme;
use crate::config::piece::{Piece, pieces, signed_pieces};
use crate::config::scheme::{Encoding, Layout, Scheme};
use crate::config::secret::Secret;
use crate::config::{self, Auth};

/// By one scheme; `is_hmac` tells whether the operator has the knobs of `kind = "hmac"`.
pub(super) fn attempt(
    request: &Request<'_>,
    settings: &Scheme,
    secrets: &[Secret],
    is_hmac: bool,
) -> Attempt {
    let mut attempt = Attempt::new(format!("signature in {}", place(settings)));
    if let Err(cause) = headers(request, settings) {
        attempt.wrong("header", &*cause.what);
        return attempt.ended(Some(cause));
    }
    let url = request.endpoint.public_url.as_deref();
    let scheme = scheme::Scheme::new(&timeless(settings), secrets, url);
    let signed = match scheme.head(request.head, request.now) {
        Ok(signed) => signed,
        Err(cause) => {
            let (what, hint) = unreadable(settings, cause);
            attempt.wrong("header", &*what);
            return attempt.refused(Reason::Malformed, what, hint);
        }
    };
    attempt.fine("header", format!("{} can be read", place(settings)));
    let in_head = signed.at();
    let stale = in_head.and_then(|at| time(&mut attempt, settings, at, request.now));

    let readable = secrets.iter().filter(|it| settings.key_bytes(it.expose()).is_some()).count();
    let text = format!("{readable} of {} can be read as {}", secrets.len(), settings.key_form());
    if readable == 0 {
        attempt.wrong("secrets", text);
        let what = format!("none of the secrets is {}", settings.key_form());
        return attempt.refused(Reason::UndecodableSecret, what, "copy it from the provider again");
    }
    attempt.fine("secrets", text);

    match signed.verify(request.head, request.body) {
        Ok(proof) => {
            attempt.fine("signature", "it is that of this body, by one of the secrets");
            let in_body = proof.at.filter(|_| in_head.is_none()).map(Duration::from_secs);
            let late = in_body.and_then(|at| time(&mut attempt, settings, at, request.now));
            attempt.ended(stale.or(late))
        }
        Err(Cause::Mismatch) => {
            attempt.wrong("signature", "it is not that of this body by any of the secrets");
            let cause = cause(request, settings, secrets, is_hmac);
            attempt.ended(Some(cause))
        }
        Err(_) => {
            let what = "the body doesn't hold what the signature covers";
            attempt.wrong("signature", what);
            attempt.refused(Reason::Malformed, what, "look at the body as the provider sent it")
        }
    }
}

/// Whether each of the headers is there once.
fn headers(request: &Request<'_>, settings: &Scheme) -> Result<(), Diagnosis> {
    let headers = &request.head.headers;
    let present = |name: &&String| match name.strip_suffix('*') {
        Some(prefix) => headers.keys().any(|known| known.as_str().starts_with(prefix)),
        None => headers.contains_key(name.as_str()),
    };
    let own = settings.headers.iter().find(present).or(settings.headers.first()).cloned();
    let places = signed_pieces(&settings.message).unwrap_or_default();
    let time = settings.time.as_deref().and_then(|text| pieces(text).ok()).unwrap_or_default();
    let signed = places.into_iter().chain(time).filter_map(|piece| match piece {
        Piece::Header(name) => Some(name),
        _ => None,
    });
    for name in own.into_iter().chain(signed) {
        if !present(&&name) {
            let others = headers.keys().map(http::HeaderName::as_str);
            let others = others.filter(|name| name.contains("signature") || name.contains("token"));
            let hint = match others.take(3).collect::<Vec<_>>().join("`, `") {
                none if none.is_empty() => {
                    "it is no webhook of this provider, or something on its way drops headers"
                        .to_owned()
                }
                some => {
                    format!("it came with `{some}`: is `source` of the endpoint the right one?")
                }
            };
            let what = format!("there is no header `{name}`");
            return Err(Diagnosis { reason: Reason::NoHeader, what, hint });
        }
        if headers.get_all(&name).iter().nth(1).is_some() {
            let what = format!("the header `{name}` is there more than once");
            let hint = "something on its way repeats headers".to_owned();
            return Err(Diagnosis { reason: Reason::Malformed, what, hint });
        }
    }
    Ok(())
}

/// Where the signature stands.
fn place(settings: &Scheme) -> String {
    match (&settings.at, settings.headers.first()) {
        (Some(at), _) => format!("`{at}`"),
        (None, header) => format!("`{}`", header.map_or("", String::as_str)),
    }
}

/// What can't be read in the head, and what it should be.
fn unreadable(settings: &Scheme, cause: Cause) -> (String, String) {
    let place = place(settings);
    if cause == Cause::Missing {
        let what = "the head doesn't hold what the signature covers".to_owned();
        return (what, "look at the headers and the query as the provider sent them".to_owned());
    }
    let prefix = &settings.prefix;
    let encoding = match settings.encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
        Encoding::Base64url => "base64url",
    };
    let form = match settings.layout {
        Layout::Plain | Layout::List => format!("`{prefix}` and a signature in {encoding}"),
        Layout::Pairs => format!("pairs, one of them `{prefix}=` and a signature in {encoding}"),
        Layout::Tagged => format!("`{prefix}` and a signature in {encoding}, perhaps among others"),
        Layout::Positional => format!("a time, then signatures in {encoding}"),
        Layout::Last => {
            let separator = &settings.separator;
            format!("`{prefix}`, a name, `{separator}` and a signature in {encoding}")
        }
    };
    (format!("{place} or the time of signing can't be read"), format!("it should hold {form}"))
}

/// The step about the time of signing, and the problem if it is too far away.
fn time(
    attempt: &mut Attempt,
    settings: &Scheme,
    at: Duration,
    now: SystemTime,
) -> Option<Diagnosis> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let off = now.abs_diff(at);
    let is_future = at > now;
    let side = if is_future { "after" } else { "before" };
    let text = format!("signed {} {side} now, {} are allowed", span(off), settings.tolerance);
    if off <= settings.tolerance.get() {
        attempt.fine("time", text);
        return None;
    }
    attempt.wrong("time", text);
    let off = span(off);
    Some(match is_future {
        true => Diagnosis {
            reason: Reason::FromFuture,
            what: format!("it was signed {off} after now"),
            hint: "compare the clock of this machine with an NTP server".to_owned(),
        },
        false => Diagnosis {
            reason: Reason::TooOld,
            what: format!("it was signed {off} ago"),
            hint: "a webhook that waited on its way, or that somebody sends again; if all of them \
                   are, compare the clock of this machine with an NTP server"
                .to_owned(),
        },
    })
}

/// Why a signature doesn't fit: the first of the likely causes with which it does.
fn cause(request: &Request<'_>, settings: &Scheme, secrets: &[Secret], is_hmac: bool) -> Diagnosis {
    let Request { endpoint, head, body, trials, .. } = *request;
    let url = endpoint.public_url.as_deref();
    let found = |reason, what: String, hint: String| Diagnosis { reason, what, hint };

    if settings.body_hash.is_some() {
        let unbound = Scheme { body_hash: None, ..settings.clone() };
        if trials.fits(&unbound, secrets, url, head, body) {
            let what = "the signature fits, but the body isn't the one whose hash it covers";
            return found(Reason::BodyChanged, what.to_owned(), LEAVE_ALONE.to_owned());
        }
    }
    let covers_body = settings.covers(&Piece::Pointer(Vec::new()));
    if covers_body {
        for (form, what) in bodies::forms(body) {
            if trials.fits(settings, secrets, url, head, &form) {
                let what = format!("the signature fits the body {what}");
                return found(Reason::BodyChanged, what, LEAVE_ALONE.to_owned());
            }
        }
    }
    if signed_pieces(&settings.message).is_ok_and(|message| message.contains(&Piece::Url)) {
        let candidates = urls::candidates(url, head).into_iter();
        for other in candidates.filter(|other| Some(&**other) != url) {
            if trials.fits(settings, secrets, Some(&other), head, body) {
                let what = format!("the signature fits the URL {other}");
                return found(Reason::UrlDiffers, what, format!("set `public_url = \"{other}\"`"));
            }
        }
    }
    for other in request.others.iter().filter(|other| other.name != endpoint.name) {
        let theirs: Vec<_> = other.auth.iter().flat_map(of_kind).cloned().collect();
        if !theirs.is_empty() && trials.fits(settings, &theirs, url, head, body) {
            return other_endpoint(other, "the signature fits a secret of");
        }
    }
    for secret in secrets {
        for variant in secrets::variants(settings, secret, is_hmac) {
            if trials.fits(&variant.scheme, &[variant.secret], url, head, body) {
                return found(Reason::SecretForm, variant.what.to_owned(), variant.hint);
            }
        }
    }
    let tried = match secrets.len() {
        1 => "the secret".to_owned(),
        several => format!("any of the {several} secrets"),
    };
    let body = if covers_body { ", or the body was changed on its way" } else { "" };
    found(
        Reason::WrongSecret,
        format!("the signature doesn't fit {tried}"),
        format!(
            "compare `secrets` with what the provider shows for this very endpoint (test and live \
             mode have their own){body}"
        ),
    )
}

pub(super) const LEAVE_ALONE: &str = "something between the provider and hookbus changes bodies (a proxy, a function, a \
                           gateway that reads JSON): make it pass them on as they are";

/// The secrets of one way into an endpoint.
fn of_kind(kind: &Auth) -> &[Secret] {
    match kind {
        Auth::Signature(config::Signature { secrets, .. })
        | Auth::Hmac(config::Hmac { secrets, .. })
        | Auth::Secret { secrets, .. } => secrets,
        Auth::Basic { passwords, .. } => passwords,
        Auth::Jwt(_) | Auth::None {} => &[],
    }
}
