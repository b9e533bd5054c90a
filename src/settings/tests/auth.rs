//! Who may send.

use super::*;

#[test]
fn tokens_and_rates_that_can_not_work() {
    let text = |admin: &str, endpoint: &str| {
        format!(
            "[admin]\n{admin}\n[nats]\n[[endpoint]]\nname = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n{endpoint}\n[[endpoint.auth]]\nkind = \"none\"\n"
        )
    };
    for (text, said) in [
        (text("token = \"\"", ""), "`token` is empty"),
        (text("token = \"a b\"", ""), "no `authorization` header can carry"),
        (
            text("token = \"x\"\nlisten = \"0.0.0.0:1\"", ""),
            "warning: the token goes over the network unencrypted",
        ),
        (text("", "rate_burst = 5"), "warning: `rate_burst` is without effect"),
        (text("", "rate_limit = 100"), "write it with a unit, such as `\"100/s\"`"),
        (text("", "rate_limit = \"100/d\""), "`100/d` is not a rate"),
        (text("", "rate_limit = \"0/s\""), "lets nothing through"),
        (text("", "max_events = 0"), "`max_events`"),
    ] {
        let problems = parse("hookbus.toml", &text, env).problems;
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].contains(said), "{said}: {shown:?}");
    }
    let fine =
        text("token = \"0123abc\"", "rate_limit = \"100/s\"\nrate_burst = 500\nmax_questions = 10");
    assert!(parse("hookbus.toml", &fine, env).problems.is_empty());
}

#[test]
fn what_a_signature_does_not_cover_is_trusted_by_name() {
    let file = |trusted: &str, auth: &str| {
        format!(
            "[nats]\n[[endpoint]]\nname = \"git\"\npath = \"/git\"\nsource = \"github\"\n{trusted}\n[[endpoint.auth]]\n{auth}"
        )
    };
    let signed = "kind = \"signature\"\nsecrets = [\"s\"]";
    assert_problem(
        &file("", signed),
        "5:10: error: the type is in `x-github-event`, which the signature doesn't cover",
    );
    assert_problem(
        &file("trust_unsigned = [\"x-github-delivery\"]", signed),
        "6:18: error: the type is in `x-github-event`",
    );
    for trusted in ["\"X-GitHub-Event\"", "\"x-github-event\", \"x-github-delivery\""] {
        let file = file(&format!("trust_unsigned = [{trusted}]"), signed);
        assert_eq!(problems(&file), [""; 0], "{trusted}");
    }
    // A secret says who sends it, and covers the head no less than the body.
    let secret = "kind = \"secret\"\nheader = \"x-secret\"\nsecrets = [\"s\"]";
    assert_eq!(problems(&file("", secret)), [""; 0]);
    assert_problem(
        &(file("", secret) + "\n[[endpoint.question]]\ntypes = [\"push\"]"),
        "`push` is not a question: GitHub doesn't wait for an answer",
    );
}

/// Every mistake of an `[[endpoint.auth]]` is said with what to do.
#[test]
fn mistakes_of_authentication() {
    let said = |auth: &str| {
        let text = file("[nats]", "").replace(AUTH, &format!("[[endpoint.auth]]\n{auth}\n"));
        let problems = parse("f", &text, env).problems;
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let hmac = "kind = \"hmac\"\nsecrets = [\"s\"]\n";
    let jwt = "kind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\n";
    for (auth, part) in [
        (
            "kind = \"secret\"\nheader = \"a b\"\nsecrets = [\"s\"]".to_owned(),
            "can't be the name of a header",
        ),
        (
            "kind = \"secret\"\nheader = \"x\"\nsecrets = []".to_owned(),
            "no request would be accepted",
        ),
        ("kind = \"secret\"\nheader = \"x\"\nsecrets = [\"\"]".to_owned(), "the secret is empty"),
        (
            "kind = \"secret\"\nheader = \"x\"\nsecrets = [\"${NOT_SET}\"]".to_owned(),
            "`NOT_SET` is not set",
        ),
        (
            "kind = \"secret\"\nheader = \"x\"\nsecrets = [\"${file:not-there}\"]".to_owned(),
            "the file `not-there` can't be read",
        ),
        ("kind = \"basic\"\nuser = \"a:b\"\npasswords = [\"p\"]".to_owned(), "holds a colon"),
        ("kind = \"basic\"\nuser = \"a\"\npasswords = []".to_owned(), "`passwords` is empty"),
        (format!("{hmac}secret_is_base64 = true"), "the secret is not base64"),
        (
            format!("{hmac}payload_format = \"{{timestamp}}.{{boby}}\""),
            "`{boby}` is no placeholder",
        ),
        (format!("{hmac}payload_format = \"{{timestamp}}\""), "the body is not signed"),
        (format!("{hmac}payload_format = \"{{body}}\""), "the timestamp is not signed"),
        (format!("{hmac}include_timestamp = false"), "can be sent again at any time"),
        (format!("{hmac}message_id_header = \"x-id\""), "error: the message id is not signed"),
        (
            format!("{hmac}message_id_header = \"x-id\""),
            "`trust_unsigned = [\"x-id\"]` on the endpoint takes it as it is",
        ),
        (
            format!("{hmac}include_timestamp = false\nreplay = \"refuse\""),
            "the last 300000 deliveries are",
        ),
        (format!("{hmac}payload_format = \"{{timestamp}}{{url}}{{body}}\""), "set `public_url`"),
        (format!("{hmac}algorithm = \"md5\""), "sha256"),
        (format!("{jwt}jwks = \"not-there\""), "the file `not-there` can't be read"),
        (
            format!("{jwt}jwks = \"http://login.example.com/jwks\""),
            "the keys are fetched without TLS",
        ),
        (format!("{jwt}jwks = \"https://e/jwks\"\nalgorithms = []"), "`algorithms` is empty"),
        (format!("{jwt}jwks = \"https://e/jwks\"\nalgorithms = [\"HS256\"]"), "RS256"),
        (format!("{jwt}jwks = \"https://e/jwks\"\nalgorithms = [\"none\"]"), "RS256"),
    ] {
        let said = said(&auth);
        assert!(said.contains(part), "{auth}\nlacks {part:?}:\n{said}");
    }
    for auth in [
        hmac.to_owned(),
        format!(
            "{hmac}payload_format = \"{{timestamp}}.{{svix-id}}.{{body}}\"\nmessage_id_header = \"x-id\""
        ),
        format!("{jwt}jwks = \"https://login.example.com/jwks\""),
        "kind = \"basic\"\nuser = \"a\"\npasswords = [\"p\"]".to_owned(),
    ] {
        let said = said(&auth);
        assert!(said.is_empty(), "{auth}\n{said}");
    }
}

#[test]
fn what_counts_unsigned_has_to_be_named() {
    let said = |trusted: &str, hmac: &str| {
        let auth = format!("kind = \"hmac\"\nsecrets = [\"s\"]\n{hmac}");
        let text = file("[nats]", "").replace("kind = \"none\"", &auth).replace(
            "path = \"/vapi\"",
            &format!("path = \"/vapi\"\ntrust_unsigned = [{trusted}]"),
        );
        let problems = parse("f", &text, env).problems;
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let id = "message_id_header = \"x-webhook-id\"";
    let time = "payload_format = \"{body}\"";
    assert_eq!(said("\"x-webhook-id\"", id), "");
    assert_eq!(said("\"X-Webhook-Id\"", id), "");
    assert_eq!(said("\"x-timestamp\"", time), "");
    assert!(said("", id).contains("error: the message id is not signed"), "{}", said("", id));
    assert!(said("\"x-id\"", id).contains("error: the message id is not signed"));
    assert!(said("\"x-webhook-id\"", time).contains("error: the timestamp is not signed"));
    for (trusted, hmac) in [("\"x-id\"", id), ("\"svix-id\"", ""), ("\"x-webhook-id\"", "")] {
        let said = said(trusted, hmac);
        assert!(said.contains("trusting it is without effect"), "{said}");
    }
    assert!(said("\"a b\"", id).contains("can't be the name of a header"));
}

#[test]
fn networks_are_checked() {
    let text = file("[nats]\n[http]\ntrusted_proxies = [\"10.0.0.0/33\"]", "").replace(
        "path = \"/vapi\"",
        "path = \"/vapi\"\nallow_from = [\"10.0.0.1\", \"everywhere\"]\npublic_url = \"hooks\"",
    );
    let problems = parse("f", &text, env).problems;
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    for part in ["`10.0.0.0/33` is no network", "`everywhere` is no network", "`hooks` is no URL"] {
        assert!(said.contains(part), "{said}");
    }
}
