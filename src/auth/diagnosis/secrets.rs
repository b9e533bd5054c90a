//! Secrets in other forms than they are configured in.

use crate::config::scheme::{Algorithm, KeyForm, Scheme};
use crate::config::secret::Secret;

/// A scheme and a secret as they may be meant, and what to do if they are.
pub(super) struct Variant {
    pub(super) scheme: Scheme,
    pub(super) secret: Secret,
    pub(super) what: &'static str,
    pub(super) hint: String,
}

/// The likely variants of one secret.
pub(super) fn variants(scheme: &Scheme, secret: &Secret, is_hmac: bool) -> Vec<Variant> {
    let written = secret.expose();
    let mut all = Vec::new();
    let mut add = |scheme: Scheme, secret: &str, what, hint: String| {
        all.push(Variant { scheme, secret: Secret::new(secret), what, hint });
    };
    let bare = written.trim();
    let unquoted = bare.trim_matches(['"', '\'']);
    if unquoted.len() < written.len() && !unquoted.is_empty() {
        let what =
            "the signature fits the secret without the blanks, line breaks or quotes around it";
        add(scheme.clone(), unquoted, what, "remove them where the secret is set".to_owned());
    }
    if !is_shared(scheme.algorithm) {
        return all;
    }
    let prefix = (scheme.key_prefix.as_str(), "");
    for (form, name) in
        [(KeyForm::Text, "text"), (KeyForm::Base64, "base64"), (KeyForm::Hex, "hex")]
    {
        for key_prefix in [prefix.0, prefix.1] {
            let what = match form {
                KeyForm::Text => "the signature fits the secret taken as text, as it is written",
                KeyForm::Base64 => "the signature fits the secret taken as base64",
                _ => "the signature fits the secret taken as hex",
            };
            let hint = match (is_hmac, form) {
                (true, KeyForm::Text) => "remove `secret_is_base64`".to_owned(),
                (true, KeyForm::Base64) => "set `secret_is_base64 = true`".to_owned(),
                _ => format!(
                    "describe the provider with `key = \"{name}\"` and `key_prefix = \"{key_prefix}\"`"
                ),
            };
            let scheme = Scheme { key: form, key_prefix: key_prefix.to_owned(), ..scheme.clone() };
            add(scheme, written, what, hint);
        }
    }
    for (algorithm, name) in [
        (Algorithm::HmacSha256, "sha256"),
        (Algorithm::HmacSha512, "sha512"),
        (Algorithm::HmacSha1, "sha1"),
    ] {
        let what = "the signature fits with another hash";
        let hint = match is_hmac {
            true => format!("set `algorithm = \"{name}\"`"),
            false => format!("describe the provider with `algorithm = \"hmac-{name}\"`"),
        };
        add(Scheme { algorithm, ..scheme.clone() }, written, what, hint);
    }
    all
}

/// Whether the key is a secret that both sides have.
const fn is_shared(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HmacSha256 | Algorithm::HmacSha512 | Algorithm::HmacSha1)
}
