//! The file itself: its syntax, the shapes of its values, and what of them is shown.

use super::*;

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
