//! Tokens that are bound to the body.

use super::{Attempt, Reason, Request, bodies};
use crate::auth::Cause;
use crate::auth::bound_jwt::BoundJwt;
use crate::config::provider;
use crate::config::secret::Secret;
use crate::config::units::Time;

pub(super) fn attempt(
    request: &Request<'_>,
    settings: &provider::BoundJwt,
    secrets: &[Secret],
) -> Attempt {
    let header = &settings.header;
    let mut attempt = Attempt::new(format!("token in `{header}`"));
    let of_any_time = provider::BoundJwt { tolerance: Time::seconds(u64::MAX), ..settings.clone() };
    let jwt = BoundJwt::new(&of_any_time, secrets);
    let head = |jwt: &BoundJwt| jwt.head(request.head, request.now).map(drop);
    if let Err(cause) = head(&jwt) {
        let (reason, what, hint) = match cause {
            Cause::Missing => (
                Reason::NoHeader,
                format!("there is no header `{header}`"),
                "it is no webhook of this provider, or something on its way drops headers",
            ),
            Cause::Mismatch => (
                Reason::WrongSecret,
                "the token is signed with none of the secrets".to_owned(),
                "compare `secrets` with what the provider shows; it is the secret and not the name of its key",
            ),
            Cause::Audience => (
                Reason::Claims,
                format!(
                    "the token doesn't say `{}`, or is from another issuer",
                    settings.body_hash
                ),
                "turn the signing of bodies on at the provider's side",
            ),
            _ => (
                Reason::Malformed,
                format!("`{header}` is there more than once, or holds no token"),
                "look at it as the provider sent it",
            ),
        };
        attempt.wrong("token", &*what);
        return attempt.refused(reason, what, hint);
    }
    attempt.fine("token", "it is signed with one of the secrets");
    let is_stale =
        matches!(head(&BoundJwt::new(settings, secrets)), Err(Cause::TooOld | Cause::FromFuture));
    match is_stale {
        true => attempt.wrong(
            "time",
            format!("now is outside of what it says, by more than {}", settings.tolerance),
        ),
        false => attempt.fine("time", "now is inside of what it says"),
    }
    let fits =
        |body: &[u8]| jwt.head(request.head, request.now).and_then(|it| it.verify(body)).is_ok();
    if !fits(request.body) {
        attempt.wrong("body", "it is not the one whose hash the token holds");
        let form = bodies::forms(request.body).find(|(form, _)| fits(form));
        let what = form.map_or_else(
            || "the body is not the one whose hash the token holds".to_owned(),
            |(_, what)| format!("the token fits the body {what}"),
        );
        return attempt.refused(Reason::BodyChanged, what, super::signature::LEAVE_ALONE);
    }
    attempt.fine("body", "it is the one whose hash the token holds");
    match is_stale {
        true => attempt.refused(
            Reason::TooOld,
            "the token has expired, or isn't valid yet",
            "a webhook that waited on its way, or that somebody sends again; if all of them are, \
             compare the clock of this machine with an NTP server",
        ),
        false => attempt,
    }
}
