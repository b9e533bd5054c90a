//! The second listener: who may ask it.

use super::Checks;

pub(super) fn check(checks: &mut Checks<'_, '_, '_>) {
    let admin = &checks.config.admin;
    let node = checks.root.get("admin");
    let tls = node.get("tls");
    match &admin.token {
        Some(token) if !is_bearer(token.expose()) => checks.error(
            node.get("token"),
            "`token` is empty, or holds what no `authorization` header can carry",
            "set it to visible ASCII without spaces, such as the output of `openssl rand -hex 32`",
        ),
        Some(_) if !admin.listen.ip().is_loopback() && admin.tls.is_none() && !tls.is_broken() => {
            checks.warning(
                node.get("listen"),
                format!("the token goes over the network unencrypted to {}", admin.listen),
                "add `[admin.tls]`, unless something in front of it or the network itself encrypts",
            );
        }
        _ => {}
    }
    if checks.config.tail.bodies {
        checks.warning(
            checks.root.get("tail").get("bodies"),
            "`hookbus tail --bodies` shows what webhooks hold to everybody who may ask the admin listener",
            "take it out again when you have seen what you wanted to see; a reload is enough",
        );
    }
}

/// The characters that a header carries as they are, without those that would end the token.
fn is_bearer(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
