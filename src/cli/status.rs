//! `hookbus status`: what a running bridge says of itself, and whether it lost anything.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::admin;
use super::{CommandResult, FAILED, block_on, print};
use crate::admin::status::{STATUS, Status};
use crate::publish::balance::Balance;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus status                            of the bridge that ./hookbus.toml, or the default address, names
  hookbus status --json | jq .balance

What was accepted since the start, and what was on disk then, is with the brokers, on disk, or was dropped by hand.
Exit code 0: nothing is missing; 1: something is, or nothing answers.";

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What `hookbus status` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bridge: admin::Flags,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { json, bridge } = arguments;
    let bridge = bridge.listener()?;
    block_on(async {
        let text = bridge.text_of(STATUS, TIMEOUT).await?;
        let status: Status = serde_json::from_str(&text).map_err(|error| bridge.odd(error))?;
        print(if json { text.trim_end().to_owned() } else { shown(&status) }.as_str())?;
        let is_lost = status.balance.missing() > 0;
        Ok(if is_lost { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    })
}

fn shown(status: &Status) -> String {
    let Status { version, commit, uptime_seconds, readiness, balance, .. } = status;
    let commit = if commit.is_empty() { "unknown" } else { commit };
    let uptime = humantime::format_duration(Duration::from_secs(*uptime_seconds));
    let mut text = format!("hookbus {version} (commit {commit}), up {uptime}\n");
    for line in readiness {
        text += line;
        text.push('\n');
    }
    text.push('\n');
    // Writing to a String can't fail.
    let _ = destinations(&mut text, balance);
    let _ = sums(&mut text, balance);
    text.trim_end().to_owned()
}

fn destinations(text: &mut String, balance: &Balance) -> std::fmt::Result {
    let names = balance.destinations.iter().map(|one| one.destination.chars().count());
    let width = names.max().unwrap_or_default().max("destination".len());
    if !balance.destinations.is_empty() {
        writeln!(
            text,
            "{:width$}  {:>12} {:>12} {:>12} {:>12}",
            "destination", "at once", "over disk", "dead letters", "queued now"
        )?;
    }
    for one in &balance.destinations {
        let note = if one.is_configured { "" } else { "  not configured any more" };
        writeln!(
            text,
            "{:width$}  {:>12} {:>12} {:>12} {:>12}{note}",
            one.destination, one.stored, one.spooled, one.dead_lettered, one.queued,
        )?;
    }
    writeln!(text)
}

fn sums(text: &mut String, balance: &Balance) -> std::fmt::Result {
    let Balance { accepted, found, stored, queued, dead_letters, dropped, damaged, .. } = balance;
    writeln!(text, "  accepted      {accepted:>12}  since the start")?;
    writeln!(text, "+ found         {found:>12}  on disk at the start")?;
    writeln!(text, "= stored        {stored:>12}  with the brokers")?;
    writeln!(text, "+ queued        {queued:>12}  on disk: `hookbus spool list`")?;
    writeln!(text, "+ dead letters  {dead_letters:>12}  on disk: `hookbus dlq list`")?;
    writeln!(text, "+ dropped       {dropped:>12}  by hand")?;
    match balance.surplus() {
        0 => {}
        more => writeln!(
            text,
            "- more          {more:>12}  on their way at this moment, or kept although their sender got no 2xx",
        )?,
    }
    match balance.missing() {
        0 => writeln!(text, "nothing is missing"),
        missing => writeln!(
            text,
            "MISSING         {missing:>12}  the log says what was lost; parts of the spool that were damaged: {damaged}",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_say_what_is_missing_and_what_is_more() {
        let even = Balance {
            accepted: 10,
            found: 2,
            stored: 7,
            queued: 2,
            dead_letters: 1,
            dropped: 2,
            ..Balance::default()
        };
        let said = |balance: &Balance| {
            let mut text = String::new();
            let _ = sums(&mut text, balance);
            text
        };
        assert!(said(&even).ends_with("\nnothing is missing\n"), "{}", said(&even));
        assert!(!said(&even).contains("more"));
        let lost = said(&Balance { stored: 4, damaged: 1, ..even.clone() });
        assert!(lost.contains("MISSING                    3  "), "{lost}");
        let more = said(&Balance { stored: 9, ..even });
        assert!(more.contains("- more                     2  "), "{more}");
        assert!(more.ends_with("\nnothing is missing\n"));
    }
}
