//! An endpoint for a provider, as its users would write it: for the docs and the command line.

use std::fmt::Write as _;

use super::{built_in, facts};
use crate::config::Endpoint;
use crate::config::provider::{After, Provider};
use crate::config::scheme::Algorithm;

/// The tables of an endpoint, with comments on what is special about it; nothing for a source that there is not.
pub fn example(name: &str) -> Option<String> {
    let facts = facts(name)?;
    let title = facts.provider.clone();
    let header = facts.secret_header.unwrap_or("x-webhook-secret");
    let provider = built_in(name).map(|known| &*known.provider);
    let url = format!("https://hooks.example.com/{name}");
    let blank = Endpoint::of(name, facts, Vec::new(), &url);

    // Writing to a String can't fail.
    let mut text =
        format!("[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"{name}\"\n");
    let unsigned = blank.unsigned().map(|one| format!("{:?}", one.piece.trusted_name()));
    let unsigned: Vec<_> = unsigned.collect();
    if !unsigned.is_empty() {
        text.push_str("# Not signed: anyone who has seen a webhook can send it again with another one of these.\n");
        let _ = writeln!(text, "trust_unsigned = [{}]", unsigned.join(", "));
    }
    if provider.is_some_and(signs_url) {
        let _ = writeln!(text, "# The URL that {title} was told: it is part of what is signed.");
        let _ = writeln!(text, "public_url = \"{url}\"");
    }
    let variable = name.replace('-', "_").to_ascii_uppercase();
    text.push_str("\n[[endpoint.auth]]\n");
    let _ = match provider {
        Some(provider) if provider.has_signatures() => {
            let what = if has_public_key(provider) { "PUBLIC_KEY" } else { "SECRET" };
            let _ = writeln!(text, "kind = \"signature\"\nsecrets = [\"${{{variable}_{what}}}\"]");
            match provider.handshakes.iter().any(|handshake| handshake.after == After::Token) {
                true => writeln!(text, "handshake_tokens = [\"${{{variable}_VERIFY_TOKEN}}\"]"),
                false => Ok(()),
            }
        }
        Some(_) => writeln!(
            text,
            "# Nothing is signed: a header with a secret, or `kind = \"basic\"`, if it can send that.\n\
             kind = \"secret\"\nheader = \"{header}\"\nsecrets = [\"${{{variable}_SECRET}}\"]"
        ),
        None => writeln!(
            text,
            "kind = \"secret\"\nheader = \"{header}\"\nsecrets = [\"${{{variable}_SECRET}}\"]"
        ),
    };
    Some(text)
}

/// Whether an endpoint has to know the URL that the provider was told.
fn signs_url(provider: &Provider) -> bool {
    let signed = provider.signatures.iter().map(|scheme| &scheme.message);
    let answered = provider.handshakes.iter().map(|handshake| &handshake.body);
    signed.chain(answered).any(|text| text.contains("{url}") || text.contains("+url"))
}

/// Whether what verifies is no secret.
fn has_public_key(provider: &Provider) -> bool {
    let is_public = |algorithm| {
        matches!(
            algorithm,
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha256
        )
    };
    let schemes = &provider.signatures;
    !schemes.is_empty() && schemes.iter().all(|scheme| is_public(scheme.algorithm))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::source;

    #[test]
    fn an_example_has_what_its_provider_needs() {
        for (name, parts) in [
            ("vapi", &["kind = \"secret\"", "x-vapi-secret", "${VAPI_SECRET}"][..]),
            ("stripe", &["kind = \"signature\"", "${STRIPE_SECRET}"]),
            ("github", &["trust_unsigned = [\"x-github-event\""]),
            ("twilio", &["public_url = \"https://hooks.example.com/twilio\""]),
            ("discord", &["${DISCORD_PUBLIC_KEY}"]),
            ("meta", &["handshake_tokens = [\"${META_VERIFY_TOKEN}\"]"]),
            ("postmark", &["kind = \"basic\"", "x-webhook-secret"]),
        ] {
            let text = example(name).expect(name);
            for part in parts {
                assert!(text.contains(part), "{part} is not in {text}");
            }
        }
        assert!(!example("stripe").expect("stripe").contains("public_url"));
        assert!(source::names().into_iter().all(|name| example(name).is_some()));
        assert_eq!(example("nobody"), None);
    }
}
