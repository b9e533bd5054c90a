//! What a user sees of a description with mistakes.

use super::{assert_problem, problems};

/// A file with this description, spoken at one endpoint.
fn file(description: &str) -> String {
    format!(
        "[nats]\n[provider.shop]\nevent_prefix = \"com.example.shop\"\n{description}\n\
         [[endpoint]]\nname = \"shop\"\npath = \"/shop\"\nsource = \"shop\"\n\
         public_url = \"https://hooks.example.com/shop\"\n\
         auth = [{{ kind = \"signature\", secrets = [\"abcd1234\"] }}]\n"
    )
}

const TYPE: &str = "type = \"{/type}\"\n";
const SIGNATURE: &str = "[[provider.shop.signature]]\nheaders = [\"x-signature\"]\n";

#[test]
fn a_description_without_mistakes_has_no_problem() {
    let none: [&str; 0] = [];
    assert_eq!(problems(&file(&format!("{TYPE}{SIGNATURE}"))), none);
}

#[test]
fn each_mistake_is_said_where_it_is() {
    for (description, part) in [
        ("".to_owned(), "there is no `type`"),
        ("type = \"\"".to_owned(), "4:8: error: an empty text says nothing"),
        ("type = \"{body}\"".to_owned(), "4:8: error: `{body}` holds no single value"),
        ("type = \"{/a/*/b}\"".to_owned(), "`{/a/*/b}` stands for many values"),
        ("type = \"{cookie:a}\"".to_owned(), "`{cookie:a}` is no place"),
        (
            "type = [\"{/a}\", \"{form:a}\"]".to_owned(),
            "4:17: error: `{form:a}` doesn't exist in a body of `body = \"json\"`",
        ),
        (
            "body = \"form\"\ntype = \"{/a}\"".to_owned(),
            "`{/a}` doesn't exist in a body of `body = \"form\"`",
        ),
        (format!("{TYPE}id = \"{{pair:t}}\""), "`{pair:t}` holds no single value"),
        (format!("{TYPE}methods = []"), "`methods` is empty"),
        (format!("{TYPE}methods = [\"HEAD\"]"), "webhooks don't come with this method"),
        (format!("{TYPE}known_types = [\"a.*\"]"), "a known type is a whole one"),
        (format!("{TYPE}[provider.shop.acknowledge]\nwithin = \"0s\""), "`within` can't be zero"),
        (format!("{TYPE}[provider.shop.refuse]\nunauthorized = 410"), "410 makes senders give up"),
    ] {
        assert_problem(&file(&format!("{description}\n{SIGNATURE}")), part);
    }
}

#[test]
fn signatures_that_prove_nothing_are_said() {
    for (scheme, part) in [
        ("", "where the signature is isn't configured"),
        ("headers = [\"x-s\"]\nat = \"{/s}\"", "can't be both in a header and in the body"),
        ("headers = [\"x s\"]", "`x s` can't be the name of a header"),
        (
            "headers = [\"x-s\"]\nlayout = \"pairs\"",
            "which of the parts is the signature isn't configured",
        ),
        ("headers = [\"x-s\"]\nlayout = \"list\"\nseparator = \"\"", "`separator` is empty"),
        ("headers = [\"x-s\"]\nmessage = \"{header:x-id}\"", "warning: the body is not signed"),
        ("headers = [\"x-s\"]\nmessage = \"{/*/a}{body}\"", "`{/*/a}` stands for many values"),
        (
            "headers = [\"x-s\"]\nmessage = \"{pair:a}{body}\"",
            "there is no `{pair:a}` in a header of this layout",
        ),
        (
            "headers = [\"x-s\"]\nmessage = \"{time}{body}\"",
            "`message` has a {time}, but where that is isn't configured",
        ),
        ("headers = [\"x-s\"]\ntime = \"{header:x-t}\"", "the time is not signed"),
        ("headers = [\"x-s\"]\nmessage = \"{body}[a]\"", "nothing in `[a]` can be missing"),
        ("headers = [\"x-s\"]\nmessage = \"{body}[{url}]\"", "`{url}` is always there"),
        (
            "headers = [\"x-s\"]\nmessage = \"v0[{/a}]\"",
            "without it the signature would be the same for everybody",
        ),
        ("headers = [\"x-s\"]\nmessage = \"{body}[{/a}\"", "`[{/a}` is no place"),
        (
            "headers = [\"x-s\"]\ntime = \"{query:t}\"\nmessage = \"{time}{body}\"",
            "the time of signing can't be at `{query:t}`",
        ),
        (
            "headers = [\"x-s\"]\ntime = \"{header:a}{header:b}\"\nmessage = \"{body}\"",
            "that is more than one place",
        ),
        ("at = \"{header:x-s}\"", "`{header:x-s}` isn't in the body"),
        (
            "headers = [\"x-s\"]\nkey = \"hex\"\nkey_prefix = \"k_\"\nalgorithm = \"ed25519\"",
            "the secret is none of shop: it can't be decoded",
        ),
    ] {
        let found = problems(&file(&format!("{TYPE}[[provider.shop.signature]]\n{scheme}")));
        assert!(found.iter().any(|problem| problem.contains(part)), "not {part:?}: {found:#?}");
    }
}

#[test]
fn tokens_and_jwts_have_their_places() {
    for (rest, part) in [
        ("[[provider.shop.token]]\nat = \"{header:a}{header:b}\"", "a token is in one place"),
        ("[[provider.shop.token]]\nat = \"{path}\"", "a token is in one place"),
        ("[[provider.shop.jwt]]\nbody_hash = \"\"", "`body_hash` is empty"),
    ] {
        assert_problem(&file(&format!("{TYPE}{rest}")), part);
    }
}

#[test]
fn questions_can_be_answered_in_time() {
    for (asking, part) in [
        ("types = []\ntimeout = \"1s\"", "`types` is empty"),
        ("types = [\"*\"]\ntimeout = \"0s\"", "`timeout` can't be zero"),
        ("types = [\"*\"]\ntimeout = \"3s\"\nlimit = \"3s\"", "the sender waits 3s"),
        ("types = [\"*\"]\ntimeout = \"1s\"\ncontent_types = []", "`content_types` is empty"),
        ("types = [\"*\"]\ntimeout = \"1s\"\ncontent_types = [\"xml\"]", "that is no content type"),
        ("types = [\"*\"]\ntimeout = \"1s\"\nstatuses = [301]", "301 is no status of an answer"),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\neach = { of = \"{header:a}\" }",
            "that is no member of a JSON body",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\neach = { of = \"{/a/*}\" }",
            "`{/a/*}` stands for many values",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\neach = { of = \"{/a}\", by = \"id\" }",
            "that is no member of a JSON body",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\npayload = \"fields\"\neach = { of = \"{/a}\" }",
            "a worker gets an element, and no fields",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\ncontent_types = [\"text/xml\"]\neach = { of = \"{/a}\" }",
            "become one only as JSON",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\nstatuses = [200, 201]\neach = { of = \"{/a}\" }",
            "none of them decides about the reply",
        ),
        (
            "types = [\"*\"]\ntimeout = \"1s\"\nheaders = [\"a b\"]",
            "`a b` can't be the name of a header",
        ),
    ] {
        let text = file(&format!("{TYPE}{SIGNATURE}[[provider.shop.question]]\n{asking}"));
        assert_problem(&text, part);
    }
    let literal = format!(
        "type = \"ask\"\n{SIGNATURE}[[provider.shop.question]]\ntypes = [\"aks\"]\ntimeout = \"1s\""
    );
    assert_problem(&file(&literal), "no webhook has the type `aks`");
}

#[test]
fn handshakes_give_nothing_away() {
    for (handshake, part) in [
        ("", "without conditions every webhook would be a handshake"),
        (
            "method = \"GET\"\nafter = \"nothing\"\nbody = \"{secret}\"",
            "the answer would give the secret away",
        ),
        (
            "method = \"GET\"\nafter = \"nothing\"\nbody = \"{hmac-sha256-hex:query:c}\"",
            "it signs whatever is sent",
        ),
        ("method = \"GET\"\nafter = \"nothing\"\nguard = \"\"", "`guard` lists no characters"),
        ("method = \"GET\"\nafter = \"token\"", "where the token is isn't configured"),
        (
            "method = \"GET\"\nafter = \"nothing\"\ntoken = \"{query:t}\"",
            "`token` is without effect",
        ),
        (
            "present = [\"{/a}\"]\nafter = \"nothing\"",
            "`{/a}` is in the body, which isn't read for unknown senders",
        ),
        ("only = [\"a\"]\nafter = \"nothing\"", "`only` looks at the body"),
        (
            "method = \"GET\"\nafter = \"nothing\"\nbody = \"{challenge}\"",
            "`{challenge}` is no place",
        ),
        (
            "method = \"GET\"\nafter = \"nothing\"\nheaders = { \"a b\" = \"c\" }",
            "`a b` can't be the name of a header",
        ),
    ] {
        let found =
            problems(&file(&format!("{TYPE}{SIGNATURE}[[provider.shop.handshake]]\n{handshake}")));
        assert!(found.iter().any(|problem| problem.contains(part)), "not {part:?}: {found:#?}");
    }
}

#[test]
fn sources_and_names_are_known() {
    let text =
        file(&format!("{TYPE}{SIGNATURE}")).replace("source = \"shop\"", "source = \"strpe\"");
    assert_problem(&text, "there is no provider `strpe`\n  hint: did you mean `stripe`?");
    let text = file(&format!("{TYPE}{SIGNATURE}")).replace("provider.shop", "provider.Shop");
    let found = problems(&text);
    assert!(found.iter().any(|problem| problem.contains("`Shop` can't be the name of a provider")));
    assert_problem(
        &file(&format!("{TYPE}{SIGNATURE}")).replace("event_prefix", "evnt_prefix"),
        "unknown key `evnt_prefix` in `[provider.shop]`\n  hint: did you mean `event_prefix`?",
    );
}

/// What routes has to be signed, or trusted by name: of a header as of a parameter of the query.
#[test]
fn what_is_not_signed_has_to_be_trusted() {
    for (kind, place) in [("{header:X-Event}", "x-event"), ("{query:event}", "query:event")] {
        let text = file(&format!("type = \"{kind}\"\n{SIGNATURE}"));
        assert_problem(
            &text,
            &format!("the type is in `{place}`, which the signature doesn't cover"),
        );
        let trusted = format!("source = \"shop\"\ntrust_unsigned = [\"{place}\"]");
        let none: [&str; 0] = [];
        assert_eq!(problems(&text.replace("source = \"shop\"", &trusted)), none);
    }
}

#[test]
fn a_token_of_handshakes_is_no_secret() {
    let asks =
        "[[provider.shop.handshake]]\nmethod = \"GET\"\nafter = \"token\"\ntoken = \"{query:t}\"\n";
    let text = file(&format!("{TYPE}{SIGNATURE}{asks}"));
    assert_problem(&text, "shop sends a token in the URL when it tries the endpoint out");
    let none: [&str; 0] = [];
    let with_token =
        text.replace("kind = \"signature\"", "kind = \"signature\", handshake_tokens = [\"t\"]");
    assert_eq!(problems(&with_token), none);
    let useless = file(&format!("{TYPE}{SIGNATURE}"))
        .replace("kind = \"signature\"", "kind = \"signature\", handshake_tokens = [\"t\"]");
    assert_problem(&useless, "shop asks for no token");
}
