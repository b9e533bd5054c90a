//! What a user sees of a whole file.

#![expect(clippy::unwrap_used, reason = "tests")]

mod provider;

use std::path::Path;

use super::{parse, read};
use crate::config::{Context, Severity};

const AUTH: &str = "[[endpoint.auth]]\nkind = \"none\"\n";

fn env(name: &str) -> Option<String> {
    match name {
        "VAPI_SECRET" | "NATS_PASSWORD" | "KAFKA_PASSWORD" => Some("correct horse".to_owned()),
        "FALLBACK_ASSISTANT" => Some("a-1".to_owned()),
        "LEAK" => Some("leaked {typ}".to_owned()),
        "NUMBER" => Some("17".to_owned()),
        "YES" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A file with one endpoint and these lines before and in it.
fn file(tables: &str, endpoint: &str) -> String {
    format!(
        "{tables}\n[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n{AUTH}{endpoint}"
    )
}

fn problems(text: &str) -> Vec<String> {
    let loaded = parse("f", text, env);
    let has_errors = loaded.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), has_errors);
    loaded.problems.iter().map(|problem| problem.to_string().replace("f:", "")).collect()
}

#[track_caller]
fn assert_problem(text: &str, part: &str) {
    let found = problems(text);
    assert!(matches!(&found[..], [only] if only.contains(part)), "not only {part:?}: {found:#?}");
}

#[test]
fn six_mistakes_are_said_at_once() {
    let text = r#"[http]
lisen = "0.0.0.0:8080"
max_body = 8

[log]
format = "jsn"

[nats]
ack_timeout = "5 sack"

[[endpoint]]
name = "vapi"
path = "vapi"
source = "vapi"

[[endpoint.event]]
types = ["status-update"]
to = ["nats:{endpoint}.events.{typ}"]
"#;
    let shown: Vec<_> =
        parse("hookbus.toml", text, env).problems.iter().map(ToString::to_string).collect();
    let expected = r#"hookbus.toml:2:1: error: unknown key `lisen` in `[http]`
  hint: did you mean `listen`?
hookbus.toml:3:12: error: `max_body` must be a size, not a number
  hint: write a number with a unit, such as "64KiB", "8MiB" or "10GiB"
hookbus.toml:6:10: error: `format` can't be "jsn"
  hint: did you mean "json"?
hookbus.toml:9:15: error: `ack_timeout`: `5 sack` is not a time
  hint: write a number with a unit, such as "250ms", "5s", "2m" or "7d"
hookbus.toml:11:1: error: the endpoint doesn't say who may post to it
  hint: add `[[endpoint.auth]]` with `kind = "secret"`, or with `kind = "none"` to let everybody in
hookbus.toml:13:8: error: the path `vapi` doesn't begin with `/`
  hint: write `path = "/vapi"`
hookbus.toml:18:31: error: unknown variable `{typ}`
  hint: did you mean `{type}`?"#;
    assert_eq!(shown.join("\n"), expected);
}

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
fn the_examples_have_no_problems() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut loaded = parse(&name, &text, env);
        if name == "kafka.toml" {
            loaded.problems.retain(|problem| {
                !problem.message.starts_with("without `[nats]` no worker can be asked")
            });
        }
        assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
        assert!(loaded.config.is_some());
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_examples_of_the_reference_have_no_problems() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let with_old = |name: &str| {
        let is_other =
            ["VAPI_SECRET_OLD", "VAPI_HMAC_SECRET", "GITHUB_SECRET", "SHOP_SECRET"].contains(&name);
        env(name).or_else(|| is_other.then(|| "battery".to_owned()))
    };
    for example in text.split("```toml\n").skip(1) {
        let example = example.split("```").next().unwrap();
        let has_file = example.contains("credentials") || example.contains("cert = ");
        let text = match example {
            whole if whole.contains("[nats]") && whole.contains("[[endpoint]]") => whole.to_owned(),
            endpoint if endpoint.contains("[[endpoint]]") => format!("[nats]\n{endpoint}"),
            auth if auth.contains("[[endpoint.auth]]") => file("[nats]", "").replace(AUTH, auth),
            rules if rules.contains("[[endpoint.") => file("[nats]\n[kafka]", rules),
            tables if tables.contains("[nats]") || tables.contains("[kafka]") => {
                file(&format!("{tables}\n"), "")
            }
            tables if tables.contains("[[nats") => file(&format!("[nats]\n{tables}"), ""),
            tables => file(&format!("[nats]\n[kafka]\n{tables}"), ""),
        };
        let mut loaded = parse("f", &text, with_old);
        loaded.problems.retain(|problem| {
            let is_missing_file = has_file && problem.message.contains("can't be opened");
            !is_missing_file && !problem.message.contains("without `[nats]`")
        });
        assert!(loaded.problems.is_empty(), "{text}\n{:#?}", loaded.problems);
    }
}

#[test]
fn values_arrive() {
    let text = file(
        "[http]\nmax_events = \"${NUMBER}\"\nmax_body = \"1MiB\"\n[nats]\n[[nats.stream]]\nname = \"S\"\nsubjects = [\"s\"]\nupdate = \"${YES}\"\n\
         [kafka.properties]\nsecurity.protocol = \"ssl\"\nssl.ca.location = \"probe\"\nlinger.ms = 5\nsocket.keepalive.enable = true\n\"client.id\" = \"${NUMBER:-x}\"\n",
        "[[endpoint.tool]]\nnames = [\"a\"]\ncontext = \"all\"\nfallback = { a = [1, 2.5, true, \"${NUMBER}\"], d = 2024-01-02 }\n[[endpoint.tool]]\nnames = [\"b\"]\ncontext = [\"call\"]\n",
    );
    let loaded = parse("f", &text, env);
    assert!(loaded.problems.is_empty(), "{:#?}", loaded.problems);
    let config = loaded.config.unwrap();
    assert_eq!((config.http.max_events, config.http.max_body.get()), (17, 1 << 20));
    assert!(config.nats.unwrap().streams[0].update);
    let properties: Vec<_> = config
        .kafka
        .as_ref()
        .unwrap()
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.expose()))
        .collect();
    assert_eq!(
        properties,
        [
            ("client.id", "17"),
            ("linger.ms", "5"),
            ("security.protocol", "ssl"),
            ("socket.keepalive.enable", "true"),
            ("ssl.ca.location", "probe"),
        ]
    );
    let tools = &config.endpoints[0].tools;
    assert!(matches!(tools[0].context, Context::All(_)));
    assert_eq!(tools[1].context, Context::Members(vec!["call".to_owned()]));
    assert_eq!(
        tools[0].fallback,
        Some(serde_json::json!({"a": [1, 2.5, true, "17"], "d": "2024-01-02"}))
    );
}

#[test]
fn nothing_of_the_environment_shows() {
    let text = file(
        "[http]\nlisten = \"${LEAK}\"\nmax_body = \"${LEAK}\"\n[log]\nlevel = \"${LEAK}\"\n[nats]\nservers = [\"${LEAK}\"]\nnkey = \"${LEAK}\"\n\
         inbox_prefix = \"${LEAK}\"\ncredentials = \"${LEAK}\"\n[[nats.stream]]\nname = \"${LEAK}\"\nsubjects = [\"${LEAK}\"]\n[kafka]\nbrokers = [\"${LEAK}\"]\n\
         [[kafka.topic]]\nname = \"${LEAK}\"\n[kafka.properties]\nacks = \"${LEAK}\"\n\"security.protocol\" = \"${LEAK}\"\n",
        "[[endpoint.event]]\ntypes = [\"${LEAK}\", \"x\"]\nto = [\"${LEAK}\", \"nats:${LEAK}\", \"${LEAK}:x\", \"kafka:${LEAK}\"]\n\
         [[endpoint.question]]\ntypes = [\"${LEAK}\"]\nsubject = \"${LEAK}\"\ntimeout = \"${LEAK}\"\n\
         [[endpoint]]\nname = \"${LEAK}\"\npath = \"${LEAK}\"\nsource = \"${LEAK}\"\ndedupe = \"${LEAK}\"\n\
         [[endpoint.auth]]\nkind = \"secret\"\nheader = \"${LEAK}\"\nsecrets = [\"${LEAK} \"]\n[[endpoint.auth]]\nkind = \"${LEAK}\"\n",
    );
    let found = problems(&text).join("\n");
    assert!(!found.contains("leaked") && !found.contains("typ}"), "{found}");
    assert!(found.matches("error:").count() > 20, "{found}");
}

#[test]
fn secrets_do_not_show() {
    let text = file(
        "[nats]\nservers = [\"nat://me:hunter2@host\"]\nnkey = \"hunter2\"\npassword = \"hunter2\"\n[kafka.properties]\n\"security.protocol\" = \"hunter2\"\n\"sasl.password\" = [\"hunter2\"]\n",
        "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = [\" hunter2\"]\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a\"\nsecrets = \"hunter2\"\n",
    );
    let found = problems(&text).join("\n");
    assert!(!found.contains("hunter2"), "{found}");
    assert!(found.matches("error:").count() >= 7, "{found}");
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

#[test]
fn shapes() {
    for (text, part) in [
        ("", "there is no `[[endpoint]]`"),
        (
            "[nast]\n[[endpoint]]\nname=\"a\"\npath=\"/a\"\nsource=\"vapi\"\n[[endpoint.auth]]\nkind=\"none\"\n",
            "did you mean `nats`?",
        ),
        ("[endpoint]\nname = \"a\"", "write `[[endpoint]]`, with two brackets"),
    ] {
        assert_problem(text, part);
    }
    for (tables, part) in [
        ("[nats]\n[[http]]", "write `[http]`, with one bracket"),
        ("[nats]\n[http]\nmax_events = 0", "`max_events` can't be 0"),
        ("[nats]\n[http]\nmax_events = 99999999999999999999", "beyond all bounds"),
        ("[nats]\n[http]\nmax_events = \"5\"", "without quotes"),
        ("[nats]\n[http]\nlisten = 8080", "write `listen = \"127.0.0.1:8080\"`"),
        ("[nats]\n[http]\nkeep_alive = 75", "such as `\"75s\"`"),
        ("[nats]\n[http]\nkeep_alive = \"300y\"", "longer than 100 years"),
        (
            "[nats]\n[spool]\nmax_bytes = \"0B\"",
            "`max_bytes` can't be zero: nothing could ever be kept",
        ),
        ("[nats]\n[spool]\nsync_timeout = \"0s\"", "`sync_timeout` can't be zero"),
        ("[nats]\n[spool]\ndir = \"\"", "`dir` can't be empty"),
        ("servers = []\n[nats]", "it belongs in `[nats]`"),
        ("zzz = 1\n[nats]", "the tables are"),
        (
            "[nats]\n[log]\nlevel = \"loud\"",
            "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        ("[nats]\nservers = \"x\"", "write `servers = [\"x\"]`"),
        ("[nats]\nservers = [1]", "each item of `servers` must be a text"),
        (
            "[nats]\n[[nats.stream]]\nname = \"A\"",
            "add `subjects = [\"shop.events.>\", \"shop.jobs.>\"]`",
        ),
        ("[nats]\nuser = \"${NOPE}\"\npassword = \"x\"", "`NOPE` is not set"),
        ("[nats]\nuser = \"${NO PE}\"\npassword = \"x\"", "only letters, digits and `_`"),
    ] {
        assert_problem(&file(tables, ""), part);
    }
    for (endpoint, part) in [
        ("[[endpoint.event]]\ntypes = [\"x\"]", "`to` is missing"),
        ("[[endpoint.event]]\ntype = [\"x\"]\nto = []", "did you mean `types`?"),
        (
            "[[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"s\"]",
            "how Vapi signs is up to its users",
        ),
        ("[[endpoint.auth]]\nkind = \"sekret\"", "did you mean \"secret\"?"),
        ("[[endpoint.auth]]\nkid = \"none\"", "did you mean `kind`?"),
        ("[[endpoint.auth]]\nkind = 1", "`kind` must be a text"),
        ("[[endpoint.tool]]\nnames = [\"a\"]\ncontext = \"al\"", "did you mean \"all\"?"),
        ("[[endpoint.tool]]\nnames = [\"a\"]\ncontext = 1", "a list of texts or \"all\""),
        ("[[endpoint.tool]]\nnames = [\"a\"]\nfallback = nan", "which JSON can't"),
        ("[endpoint.tool]\nnames = [\"a\"]", "write `[[endpoint.tool]]`"),
    ] {
        let found = problems(&file("[nats]", endpoint));
        let errors: Vec<_> = found.iter().filter(|problem| problem.contains("error:")).collect();
        assert!(
            matches!(errors[..], [only] if only.contains(part)),
            "not only {part:?}: {found:#?}"
        );
    }
}

#[test]
fn syntax() {
    let found = problems(
        "[http]\nlisten = \"127.0.0.1:1\nmax_body = 5\nmax_body = 6\n[[endpoint]]\nname = vapi\npth = \"/x\"\n[endpoint.x",
    );
    let starts: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    // What is missing isn't said: it may stand where the file can't be read.
    assert_eq!(starts, ["2:22", "3:12", "4:1", "6:8", "7:1", "8:11", "8:12"], "{found:#?}");
    assert!(
        found[3].ends_with("hint: strings are written in quotes: `key = \"text\"`"),
        "{found:#?}"
    );
}

#[test]
fn files_that_are_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookbus.toml");
    let missing = read(&path).problems;
    assert!(missing[0].message.contains("can't be read"));
    std::fs::write(&path, b"[http]\nx = \"\xff\"").unwrap();
    let found = read(&path).problems;
    assert_eq!((found[0].line, found[0].column, found.len()), (2, 6, 1));
    std::fs::write(&path, "\u{feff}zzz = 1\n").unwrap();
    assert!(read(&path).problems.iter().any(|problem| problem.message == "unknown key `zzz`"));
}

#[test]
fn general() {
    for (tables, part) in [
        ("[http]\nlisten = \"0.0.0.0:9180\"\n[nats]", "both listen on port 9180"),
        ("[http]\nmax_in_flight_bytes = \"1MiB\"\n[nats]", "is less than `max_body`"),
        ("[http]\nmax_body = \"0B\"\n[nats]", "`max_body` can't be zero"),
        ("[http]\nmax_in_flight_bytes = \"9EiB\"\n[nats]", "can't be more than"),
        ("[http]\nbody_timeout = \"0s\"\n[nats]", "`body_timeout` can't be zero"),
        (
            "[http]\ndrain = \"5s\"\n[nats]",
            "warning: `drain` (5s) is shorter than a question may take (18s)",
        ),
        ("", "neither `[nats]` nor `[kafka]`"),
        ("[kafka]", "warning: without `[nats]` no worker can be asked"),
    ] {
        assert_problem(&file(tables, ""), part);
    }
    assert_problem(
        &file("", "[[endpoint.event]]\ntypes = [\"*\"]\nto = []"),
        "warning: without `[nats]`",
    );
    assert!(problems(&file("[nats]", "")).is_empty());
    assert!(
        problems(&file(
            "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[nats]",
            ""
        ))
        .is_empty()
    );
}

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
fn nats() {
    for (nats, part) in [
        ("servers = []", "`servers` is empty"),
        ("servers = [\"nat://x\"]", "not the address of a NATS server"),
        ("user = \"x\"", "`user` without `password`"),
        ("password = \"x\"", "`password` without `user`"),
        ("tls_ca = \"/does/not/exist\"", "can't be opened"),
        ("nkey = \"SUx\"", "not the seed"),
        ("inbox_prefix = \"a.*\"", "can't be the beginning of a subject"),
        ("ack_timeout = \"0s\"", "`ack_timeout` can't be zero"),
        ("[[nats.stream]]\nname = \"a.b\"\nsubjects = [\"s\"]", "can't be the name of a stream"),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = []", "`subjects` is empty"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a.>.b\"]",
            "`>` can only be the whole last part",
        ),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\n[[nats.stream]]\nname = \"a\"\nsubjects = [\"b\"]",
            "line 3 has the name `a` already",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"a.>\", \"a.b\"]", "`a.b` overlaps `a.>`"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\nmax_age = \"1m\"",
            "`duplicate_window` (2m) is longer",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"a\"]\nreplicas = 7", "a number from 1 to 5"),
        (
            "[[nats.stream]]\nname = \"a\"\nsubjects = [\"vapi.>\"]",
            "would store the questions on `{endpoint}.ask.{type}`",
        ),
        ("[[nats.stream]]\nname = \"a\"\nsubjects = [\"_INBOX.*.x\"]", "would store the replies"),
    ] {
        assert_problem(&file(&format!("[nats]\n{nats}"), ""), part);
    }
}

#[test]
fn kafka() {
    for (kafka, part) in [
        ("brokers = []", "`brokers` is empty"),
        ("brokers = [\"kafka\"]", "not the address of a broker"),
        ("brokers = [\"a:1,b:2\"]", "not the address of a broker"),
        ("ack_timeout = \"1s\"", "error: `ack_timeout` (1s) is too short"),
        ("ack_timeout = \"1499ms\"", "set at least \"1500ms\""),
        ("ack_timeout = \"30d\"", "rejects these settings: message.timeout.ms"),
        ("[kafka.properties]\nacks = 1", "`acks` can't be set"),
        ("[kafka.properties]\ndelivery.report.only.error = true", "without a report"),
        ("[kafka.properties]\ntest.mock.num.brokers = 3", "a cluster in memory"),
        ("[kafka.properties]\nlinger.ms = 3800", "librdkafka gives up after 3800 ms"),
        ("[kafka.properties]\nqueue.buffering.max.ms = 5000", "leaves no time to send"),
        ("[kafka.properties]\nlinger.ms = 5\nqueue.buffering.max.ms = 5", "are the same property"),
        ("[kafka.properties]\nmax.in.flight = 6", "error: librdkafka rejects"),
        ("[kafka.properties]\nretries = 0", "error: librdkafka rejects"),
        ("[kafka.properties]\nqueuing.strategy = \"lifo\"", "error: librdkafka rejects"),
        ("[kafka.properties]\nreconnect.backoff.ms = 2000", "error: librdkafka rejects"),
        ("[kafka.properties]\nstatistics.interval.ms = 0", "warning: `statistics.interval.ms`"),
        ("[kafka.properties]\nsasl.username = \"a\"", "warning: `sasl.username` isn't used"),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"",
            "can't log in like that: No provider for SASL mechanism GSSAPI",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"AWS_MSK_IAM\"",
            "Amazon MSK takes SCRAM-SHA-512",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"",
            "can't log in to Kafka with OAUTHBEARER",
        ),
        (
            "[kafka.properties]\nsasl.oauthbearer.method = \"oidc\"",
            "built without the HTTP client that fetches tokens",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"${LEAK}\"",
            "can't use this value of `sasl.mechanism`",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"",
            "sasl.username and sasl.password must be set",
        ),
        (
            "[kafka.properties]\nsecurity.protocol = \"ssl\"\nssl.ca.location = \"/nowhere\"",
            "the file `/nowhere` can't be opened",
        ),
        ("[kafka.properties]\nsecurity.protocl = \"ssl\"", "did you mean `security.protocol`?"),
        (
            "[kafka.properties]\nsecurity.protocol = \"SASL\"",
            "can't use this value of `security.protocol`",
        ),
        ("[kafka.properties]\npartitioner = \"random\"", "would lose their order"),
        ("[kafka.properties]\nlinger.ms = [1]", "must be a text, not a list"),
        ("[[kafka.topic]]\nname = \"a/b\"", "a topic's name can't contain"),
        ("[[kafka.topic]]\nname = \"{endpoint}\"", "can't have variables"),
        (
            "[[kafka.topic]]\nname = \"a\"\n[[kafka.topic]]\nname = \"a\"",
            "line 4 has the name `a` already",
        ),
        ("[[kafka.topic]]\nname = \"a\"\npartitions = 0", "`partitions` can't be 0"),
    ] {
        assert_problem(
            &file(&format!("[nats]\n[kafka]\n{kafka}").replace("[kafka]\n[kafka.", "[kafka."), ""),
            part,
        );
    }
    assert!(
        problems(&file("[nats]\n[kafka]\nbrokers = [\"[::1]:9092\", \"SSL://a:1\"]", ""))
            .is_empty()
    );
}

/// Whatever somebody saves in the middle of a thought, there is an answer and no panic.
#[test]
fn no_text_panics() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config/both.toml"),
    )
    .unwrap();
    let lines: Vec<_> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let text = lines.join("\n");
    for at in (0..text.len()).step_by(3) {
        let _ = parse("f", &text[..at], env);
        for piece in ["\"", "[", "=", "\u{e9}", "\0", "${", "}", "\n[x]\n", "{", "1"] {
            if at % 5 == 0 {
                let _ = parse("f", &format!("{}{piece}{}", &text[..at], &text[at..]), env);
            }
        }
    }
    let _ = parse("f", &format!("a = {}", "[".repeat(100_000)), env);
    let _ = parse("f", &format!("{}x = 1", "a.".repeat(100_000)), env);
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
fn room_for_strangers_holds_the_largest_body() {
    let said = |text: &str| {
        let text = file(&format!("[nats]\n[http]\nmax_body = \"8MiB\"\n{text}"), "");
        let problems = parse("f", &text, env).problems;
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(said("max_unverified_bytes = \"8MiB\""), "");
    let less = said("max_unverified_bytes = \"7MiB\"");
    assert!(
        less.contains("error: `max_unverified_bytes` (7MiB) is less than `max_body`"),
        "{less}"
    );
    let never = said("unverified_timeout = \"0s\"");
    assert!(never.contains("`unverified_timeout` can't be zero"), "{never}");
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

#[test]
fn a_load_balancer_needs_time_to_notice_a_stop() {
    let http = |keys: &str| file(&format!("[nats]\n[http]\n{keys}"), "");
    for lacking in [
        "health = '/healthz'",
        "health = '/healthz'\nshutdown_delay = '0s'",
        "trusted_proxies = ['10.0.0.0/8']",
    ] {
        assert_problem(&http(lacking), "but `shutdown_delay` is zero");
    }
    for fine in [
        "",
        "shutdown_delay = '0s'",
        "health = '/healthz'\nshutdown_delay = '5s'",
        "trusted_proxies = ['10.0.0.0/8']\nshutdown_delay = '5s'",
        "trusted_proxies = ['10.0.0.0/8']\nshutdown_delay = '0s'",
    ] {
        assert_eq!(problems(&http(fine)), [""; 0], "{fine}");
    }
}
