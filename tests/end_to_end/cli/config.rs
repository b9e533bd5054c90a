//! `check` and `schema`: what is said about a configuration.

use crate::support::bridge::{program, run};
use crate::support::{endpoint, process, project};
use std::path::PathBuf;

/// Six mistakes of six kinds, each in a line that says so.
const MISTAKES: &str = r#"
[http]
lisen = "127.0.0.1:8080"            # misspelt
max_body = "8 megs"                 # no size

[nats]
servers = ["nats://127.0.0.1:4222"]
password = "${HOOKBUS_NOT_SET}"     # unset
user = "hookbus"

[[endpoint]]
name = "vapi"
path = "/vapi"
source = "vappi"                    # unknown source
[[endpoint.auth]]
kind = "none"
[[endpoint.event]]
types = ["*"]
to = ["nats:vapi.events.{typ}"]     # unknown variable

[[endpoint]]
name = "other"
path = "/vapi"                      # the same path
source = "vapi"
[[endpoint.auth]]
kind = "none"
"#;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookbus.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

async fn check(text: &str) -> process::Output {
    let (_folder, path) = file(text);
    run(&["check", "--config", path.to_str().unwrap()]).await
}

#[tokio::test]
async fn every_mistake_is_told_in_one_run() {
    let (_folder, path) = file(MISTAKES);
    let path = path.to_str().unwrap();
    for command in ["check", "serve"] {
        let output = run(&[command, "--config", path]).await;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{command}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        for (mark, word) in [
            ("# misspelt", "lisen"),
            ("# no size", "8 megs"),
            ("# unset", "HOOKBUS_NOT_SET"),
            ("# unknown source", "vappi"),
            ("# unknown variable", "typ"),
            ("# the same path", "/vapi"),
        ] {
            let line = 1 + MISTAKES.lines().position(|line| line.ends_with(mark)).unwrap();
            let place = format!("{path}:{line}:");
            let found = lines.iter().position(|told| told.starts_with(&place));
            let found = found.unwrap_or_else(|| panic!("{mark} is missing in\n{}", output.stderr));
            let told = lines[found];
            assert!(told.contains("error: ") && told.contains(word), "{told}");
            // Line and column, then the next step.
            let column = told[place.len()..].split(':').next().unwrap();
            assert!(column.parse::<usize>().unwrap() >= 1, "{told}");
            assert!(lines[found + 1].trim_start().starts_with("hint: "), "{}", output.stderr);
        }
        assert!(output.stderr.contains("listen"), "{}", output.stderr);
        assert_eq!(output.stderr.matches("error: ").count(), 6, "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_good_file_is_ok() {
    let good = format!("[nats]\n{}", endpoint("vapi"));
    let output = check(&good).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stdout.starts_with("ok: "), "{}", output.stdout);
    for word in ["/vapi", "nats:vapi.events.{type}"] {
        assert!(output.stdout.contains(word), "{}", output.stdout);
    }
}

/// Files that can't be read as what they are named.
#[tokio::test]
async fn what_is_no_configuration_is_a_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"[http]\nlisten = \"\xff\"\n").unwrap();
    for path in [&missing, &binary, &folder.path().to_owned()] {
        let output = run(&["check", "--config", path.to_str().unwrap()]).await;
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{path:?}");
        assert!(output.stderr.contains("error: "), "{}", output.stderr);
        assert!(output.stderr.contains(path.to_str().unwrap()), "{}", output.stderr);
    }
    for text in ["", "[http", "http = 1", "[http]\nlisten = 1", "a b", "[nats]\n[nats]\n", "\u{0}"]
    {
        let output = check(text).await;
        assert_eq!(output.code, Some(2), "{text:?}: {}", output.stdout);
        assert!(output.stderr.contains("error: "), "{text:?}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{text:?}: {}", output.stderr);
    }
}

/// A secret that is wrong somehow isn't printed to say so.
#[tokio::test]
async fn no_secret_is_in_a_problem() {
    let text = "[nats]\npassword = \"hunter2hunter2\"\nservers = [\"nats://u:hunter2hunter2@nowhere:x\"]\n[[endpoint]]\nname = \"Vapi!\"\npath = \"/vapi\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"a b\"\nsecrets = [\"hunter2hunter2\", \"\"]\n";
    let output = check(text).await;
    assert_eq!(output.code, Some(2));
    assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
}

#[tokio::test]
async fn the_schema_is_json() {
    let output = run(&["schema"]).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().starts_with("http"));
    let known = schema["properties"].as_object().unwrap();
    for section in ["http", "admin", "log", "nats", "kafka", "endpoint"] {
        assert!(known.contains_key(section), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

/// Every `$ref` of the schema leads somewhere.
#[tokio::test]
async fn the_schema_is_complete() {
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    match value.as_str() {
                        Some(text) if name == "$ref" => found.push(text.to_owned()),
                        _ => references(value, found),
                    }
                }
            }
            serde_json::Value::Array(values) => {
                values.iter().for_each(|value| references(value, found))
            }
            _ => {}
        }
    }
    let output = run(&["schema"]).await;
    let schema: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_examples_are_good() {
    let mut count = 0;
    for entry in std::fs::read_dir(project().join("deploy/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let mut command = program();
        command.args(["check", "--config", path.to_str().unwrap()]);
        // Every variable that has no default.
        for part in text.split("${").skip(1) {
            let name = part.split('}').next().unwrap();
            if !name.contains(":-") {
                command.env(name, "set-by-the-test");
            }
        }
        let output = process::output(command.into(), b"").await;
        assert_eq!(output.code, Some(0), "{path:?}: {}", output.stderr);
        assert!(output.stdout.starts_with("ok: "), "{}", output.stdout);
        // Without NATS there is something to be warned of.
        let is_told = output.stderr.contains("warning: without `[nats]`");
        let is_known = path.ends_with("kafka.toml") && is_told;
        assert!(is_known || output.stderr.is_empty(), "{}", output.stderr);
    }
    assert!(count >= 3, "{count} examples");
}

#[tokio::test]
async fn with_strict_warnings_fail() {
    let text = |path: &str| {
        format!(
            "[[endpoint]]\nname = \"a\"\npath = \"{path}\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"none\"\n[nats]\n"
        )
    };
    for (path, flags, code, last) in [
        ("/a/", &[][..], 0, "  hint: "),
        ("/a/", &["--strict"], 2, "hint: fix what they name"),
        ("/a", &["--strict"], 0, ""),
    ] {
        let (_folder, file) = file(&text(path));
        let output = run(&[&["check", "--config", file.to_str().unwrap()], flags].concat()).await;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert_eq!(output.stdout.starts_with("ok: "), code == 0, "{output:?}");
        let said = output.stderr.lines().last().unwrap_or_default();
        assert!(said.starts_with(last), "{output:?}");
        assert_eq!(output.stderr.is_empty(), path == "/a", "{output:?}");
    }
}

/// Wherever the command is run.
#[tokio::test]
async fn files_are_beside_the_configuration() {
    let text = "[[endpoint]]\nname = \"a\"\npath = \"/a\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"secret\"\nheader = \"x\"\nsecrets = [\"${file:keys/secret}\"]\n[nats]\ncredentials = \"keys/user.creds\"\n";
    let (folder, path) = file(text);
    let keys = folder.path().join("keys");
    let check = async || run(&["check", "--config", path.to_str().unwrap()]).await;
    let output = check().await;
    assert_eq!(output.code, Some(2), "{output:?}");
    for file in ["secret", "user.creds"] {
        let looked = keys.join(file).display().to_string();
        assert!(output.stderr.contains(&looked), "{output:?}");
    }
    assert_eq!(
        output
            .stderr
            .matches("relative paths begin at the directory of the configuration file")
            .count(),
        2
    );
    std::fs::create_dir(&keys).unwrap();
    for file in ["secret", "user.creds"] {
        std::fs::write(keys.join(file), "a-secret-that-is-long-enough\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(keys.join(file), mode).unwrap();
    }
    let output = check().await;
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{output:?}");
}
