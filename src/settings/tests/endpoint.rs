//! Endpoints: their rules, destinations and fallbacks.

use super::*;

#[test]
fn endpoints() {
    for (endpoint, part) in [
        (
            "[[endpoint]]\nname = \"b\"\npath = \"/vapi\"\nsource = \"vapi\"\n",
            "line 4 has the path `/vapi` already",
        ),
        (
            "[[endpoint]]\nname = \"vapi\"\npath = \"/b\"\nsource = \"vapi\"\n",
            "line 3 has the name `vapi` already",
        ),
        ("[[endpoint]]\nname = \"B\"\npath = \"/b\"\nsource = \"vapi\"\n", "`B` can't be the name"),
        ("[[endpoint]]\nname = \"b\"\npath = \"/b/{x}\"\nsource = \"vapi\"\n", "can't hold '{'"),
        ("[[endpoint]]\nname = \"b\"\npath = \"/b//c\"\nsource = \"vapi\"\n", "holds `//`"),
        (
            "[[endpoint]]\nname = \"b\"\npath = \"https://x/b\"\nsource = \"vapi\"\n",
            "write the path alone",
        ),
    ] {
        assert_problem(&format!("{}{AUTH}", file("[nats]", endpoint)), part);
    }
    let window = |text: &str| {
        let source = "source = \"vapi\"\n";
        file("[nats]", "").replace(source, &format!("{source}answer_window = \"{text}\"\n"))
    };
    assert_problem(&window("30d"), "warning: answers are kept in memory");
    assert_problem(&window("-1s"), "`answer_window`: `-1s` is not a time");
    for right in ["0s", "2m", "1d"] {
        assert!(problems(&window(right)).is_empty());
    }
    for (auth, part) in [
        ("", "doesn't say who may post"),
        (
            "[[endpoint.auth]]\nkind = \"none\"\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = [\"x\"]",
            "warning: `kind = \"none\"` lets everybody in",
        ),
        (
            "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a b\"\nsecrets = [\"x\"]",
            "can't be the name of a header",
        ),
        (
            "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = []",
            "`secrets` is empty",
        ),
        (
            "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = [\"${EMPTY}\"]",
            "the secret is empty",
        ),
        (
            "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = [\"x\\n\"]",
            "no header can match it",
        ),
    ] {
        assert_problem(&file("[nats]", "").replace(AUTH, auth), part);
    }
}

#[test]
fn rules() {
    for (rule, part) in [
        ("[[endpoint.event]]\ntypes = []\nto = []", "`types` is empty"),
        ("[[endpoint.event]]\ntypes = [\"\"]\nto = []", "an item of `types` is empty"),
        (
            "[[endpoint.event]]\ntypes = [\"chat.*\"]\nto = []\n[[endpoint.event]]\ntypes = [\"chat.created\"]\nto = []",
            "warning: `chat.created` never gets here: the rule on line 9",
        ),
        (
            "[[endpoint.event]]\ntypes = [\"assistant-request\"]\nto = []",
            "warning: `assistant-request` is a question",
        ),
        (
            "[[endpoint.event]]\ntypes = [\"tool-calls\"]\nto = []",
            "warning: `tool-calls` calls tools",
        ),
        (
            "[[endpoint.event]]\ntypes = [\"statsu-update\"]\nto = []",
            "did you mean `status-update`?",
        ),
        (
            "[[endpoint.question]]\ntypes = [\"assistant-requst\"]",
            "did you mean `assistant-request`?",
        ),
        (
            "[[endpoint.question]]\ntypes = [\"transcript\"]",
            "warning: `transcript` is not a question",
        ),
        ("[[endpoint.question]]\ntypes = [\"tool-calls\"]", "use `[[endpoint.tool]]`"),
        (
            "[[endpoint.question]]\ntypes = [\"assistant-request\"]\ntimeout = \"8s\"",
            "Vapi doesn't wait 8s",
        ),
        (
            "[[endpoint.question]]\ntypes = [\"campaign.predial\"]\ntimeout = \"0s\"",
            "`timeout` can't be zero",
        ),
        (
            "[[endpoint.question]]\ntypes = [\"campaign.predial\"]\nsubject = \"x.{function}\"",
            "known for tool calls only",
        ),
        (
            "[[endpoint.tool]]\nnames = [\"a\"]\nno_responders_grace = \"30s\"",
            "longer than the whole question",
        ),
        (
            "[[endpoint.tool]]\nnames = [\"a\"]\ncontext = [\"id\"]",
            "a member of the tool call itself",
        ),
        (
            "[[endpoint.tool]]\nnames = [\"*\"]\n[[endpoint.tool]]\nnames = [\"a\"]",
            "warning: `a` never gets here",
        ),
    ] {
        assert_problem(&file("[nats]", rule), part);
    }
    assert!(
        problems(&file("[nats]", "[[endpoint.event]]\ntypes = [\"brand-new\"]\nto = []"))
            .is_empty()
    );
}

#[test]
fn destinations() {
    for (to, part) in [
        ("kafak:x", "did you mean `kafka:x`?"),
        ("vapi.events", "doesn't say which broker"),
        ("kafka:x", "needs a `[kafka]` table"),
        ("nats:x.{function}", "`{function}` is known for tool calls only"),
        ("nats:x..{type}", "10:15: error: a part between the dots is empty"),
        ("nats:x.*", "a subject can't contain `*`"),
        ("nats:{endpoint}.{type}", "would answer the questions"),
        ("nats-core:vapi.ask.{type}", "workers would get events"),
        ("nats:a.{type}\", \"nats:a.{type}", "is listed twice"),
    ] {
        let rule = format!("[[endpoint.event]]\ntypes = [\"hang\"]\nto = [\"{to}\"]");
        assert_problem(&file("[nats]", &rule), part);
    }
    let rule = "[[endpoint.question]]\ntypes = [\"*\"]\nsubject = \"{endpoint}.events.ask\"";
    assert_problem(
        &file("[nats]", rule),
        "`{endpoint}.events.ask` overlaps `nats:{endpoint}.events.{type}`",
    );
    let rule = "[[endpoint.tool]]\nnames = [\"a\"]\ncopy_to = [\"nats:copies.{function}\"]";
    assert!(problems(&file("[nats]", rule)).is_empty());
}

#[test]
fn a_type_without_its_variants_is_a_warning() {
    let rules = |types: &[&str]| -> String {
        types
            .iter()
            .map(|kind| format!("[[endpoint.event]]\ntypes = ['{kind}']\nto = ['nats:a']\n"))
            .collect()
    };
    let said = "warning: `transcript` doesn't match the type `transcript[transcriptType=\"final\"]`, which no rule takes";
    for lacking in [&["transcript"][..], &["hang", "transcript", "status-update"]] {
        assert_problem(&file("[nats]", &rules(lacking)), said);
    }
    let variant = "transcript[transcriptType=\"final\"]";
    for fine in [
        &["transcript*"][..],
        &["transcript", variant],
        &["transcript", "*"],
        &[variant],
        &["trans*"],
        &["hang"],
        &[],
    ] {
        assert_eq!(problems(&file("[nats]", &rules(fine))), [""; 0], "{fine:?}");
    }
}

#[test]
fn fallbacks_are_judged_as_replies_are() {
    let question = |kind: &str, fallback: &str| {
        file(
            "[nats]",
            &format!("[[endpoint.question]]\ntypes = ['{kind}']\nfallback = {fallback}\n"),
        )
    };
    for (kind, wrong, reason) in [
        ("assistant-request", "{ assistantID = 'a' }", "the reply names no assistant"),
        ("assistant-request", "'a'", "the reply is not an object"),
        ("*", "{ assistantID = 'a' }", "the reply names no assistant"),
        ("campaign.predial", "{ eligible = 'no' }", "eligible is not true or false"),
        ("call.endpointing.request", "{ timeoutSeconds = 16 }", "between 0 and 15"),
        ("transfer-destination-request", "{ destination = { type = 'number' } }", "where to"),
    ] {
        let found = problems(&question(kind, wrong));
        let line = found.iter().find(|problem| problem.contains(reason));
        assert!(line.is_some(), "{kind} {wrong}: {found:#?}");
        let line = line.unwrap();
        assert!(line.starts_with("10:12: warning: Vapi can't read this fallback"), "{line}");
        assert!(line.contains("hint: write what a worker would reply"), "{line}");
    }
    for (kind, fine) in [
        ("assistant-request", "{ assistantId = 'a' }"),
        ("assistant-request", "{ error = 'closed' }"),
        ("campaign.predial", "{ eligible = false }"),
        ("voice-request", "'anything'"),
    ] {
        assert_eq!(problems(&question(kind, fine)), [""; 0], "{kind} {fine}");
    }
    let tool = |fallback: &str| {
        file("[nats]", &format!("[[endpoint.tool]]\nnames = ['f']\nfallback = {fallback}\n"))
    };
    assert_problem(&tool("''"), "Vapi can't use this fallback as a result: the reply is empty");
    for fine in ["'later'", "{ a = 1 }", "0", "false"] {
        assert_eq!(problems(&tool(fine)), [""; 0], "{fine}");
    }
    // No secret shows, wherever a fallback comes from.
    let found = problems(&question("assistant-request", "{ assistantID = '${LEAK}' }"));
    assert!(!found[0].contains("leaked"), "{found:#?}");

    let slack = |fallback: &str| {
        format!(
            "[nats]\n[[endpoint]]\nname = 'a'\npath = '/a'\nsource = 'slack'\n[[endpoint.auth]]\nkind = 'signature'\nsecrets = ['a-long-enough-secret-0123456789abcdef']\n[[endpoint.question]]\ntypes = ['command.*']\nfallback = {fallback}\n"
        )
    };
    assert_eq!(problems(&slack("{ text = 'later' }")), [""; 0]);
}
