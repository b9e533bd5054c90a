#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn the_flags_make_sense_to_clap() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_shows_an_example() {
    fn check(command: &mut clap::Command, name: &str) {
        let help = command.render_help().to_string();
        let (_, examples) = help.split_once("\nExample").unwrap_or_default();
        assert!(examples.contains(name), "{name}: {help}");
        for command in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
            let name = format!("{name} {}", command.get_name());
            check(command, &name);
        }
    }
    let mut cli = Cli::command();
    cli.build();
    check(&mut cli, "hookbus");
}

#[test]
fn a_command_of_a_group_is_found_by_its_name() {
    let usage = with_tip(Cli::try_parse_from(["hookbus", "replay", "--all"]).unwrap_err());
    assert!(usage.to_string().contains("hookbus dlq replay"), "{usage}");
    let usage = with_tip(Cli::try_parse_from(["hookbus", "list"]).unwrap_err()).to_string();
    assert!(usage.contains("hookbus dlq list") && usage.contains("hookbus spool list"), "{usage}");
}

#[test]
fn a_failure_says_what_and_then_the_next_step() {
    let failure = Failure::wrong("there is no file x").hint("write one");
    assert_eq!(failure.code, 2);
    assert_eq!(failure.text, "error: there is no file x\nhint: write one");
}
