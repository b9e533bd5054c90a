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
    let short = run(&["-V"]).await;
    let expected = format!("hookbus {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((short.code, &short.stdout), (Some(0), &expected));
    let long = run(&["--version"]).await;
    let begins = format!("{} (commit ", expected.trim_end());
    assert!(long.stdout.starts_with(&begins) && long.stdout.contains("\nlibrdkafka "), "{long:?}");
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() {
    let help = run(&["--help"]).await.stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    // A line that begins further in goes on with a description.
    let names = names.filter(|line| !line.starts_with(' '));
    let commands: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"dlq"), "{help}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).await;
        assert_eq!(script.code, Some(0), "{shell}: {}", script.stderr);
        for command in &commands {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
    let page = run(&["man"]).await.stdout;
    for command in &commands {
        assert!(page.contains(&format!("hookbus\\-{command}(1)")), "{command}: {page}");
    }
    let page = run(&["man", "dlq", "replay"]).await.stdout;
    assert!(page.starts_with(".ie") && page.contains("hookbus dlq replay"), "{page}");
    let unknown = run(&["man", "sevre"]).await;
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
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
