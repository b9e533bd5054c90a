//! The commands as people and scripts use them: what they print where, and how they end.

mod agree;
mod config;
pub(crate) mod dev;
mod providers;
mod send;
mod verify;

use crate::support::bridge::run;

#[tokio::test]
async fn every_command_helps_with_an_example() {
    let all = run(&["--help"]).await;
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""));
    for command in [
        "serve",
        "dev",
        "check",
        "send",
        "answer",
        "conform",
        "dlq",
        "spool",
        "providers",
        "verify",
        "schema",
    ] {
        assert!(all.stdout.contains(&format!("  {command} ")), "{}", all.stdout);
        let help = run(&[command, "--help"]).await;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
        assert!(help.stdout.contains("Example"), "{}", help.stdout);
        assert!(help.stdout.matches(&format!("hookbus {command}")).count() >= 2, "{}", help.stdout);
    }
    for (group, command) in [
        ("dlq", "list"),
        ("dlq", "replay"),
        ("dlq", "drop"),
        ("spool", "list"),
        ("spool", "drain"),
        ("providers", "list"),
        ("providers", "show"),
    ] {
        let help = run(&[group, command, "--help"]).await.stdout;
        assert!(help.contains(&format!("\n  hookbus {group} {command}")), "{help}");
    }
    let version = run(&["--version"]).await;
    let expected = format!("hookbus {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.stdout), (Some(0), expected));
}

#[tokio::test]
async fn a_wrong_command_line_is_a_2() {
    for arguments in [
        &[][..],
        &["sevre"],
        &["serve", "--file", "x"],
        &["check", "--config"],
        &["send"],
        &["send", "tool-calls", "--count", "many"],
        &["dev", "--listen", "nowhere"],
        &["schema", "x"],
        &["dlq"],
        &["spool"],
        &["providers", "show"],
        &["providers", "show", "nobody"],
        &["dev", "--provider", "nobody"],
        &["verify"],
        &["verify", "--provider", "stripe"],
        &["verify", "--provider", "stripe", "/no/such/file", "--secret", "s"],
        &["verify", "--provider", "generic", "/no/such/file", "--secret", "s"],
        &["verify", "shop", "x", "--at", "yesterday"],
    ] {
        let output = run(arguments).await;
        assert_eq!(output.code, Some(2), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
    for (word, meant) in [("sevre", "serve"), ("replay", "hookbus dlq replay")] {
        let misspelt = run(&[word]).await;
        assert_eq!(misspelt.code, Some(2), "{}", misspelt.stderr);
        assert!(misspelt.stderr.contains(meant), "{}", misspelt.stderr);
    }
}
