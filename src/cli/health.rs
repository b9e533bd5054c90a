//! `hookbus health`: whether a running bridge is ready, as an exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::admin;
use super::{CommandResult, block_on, print};

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus health                          of the bridge that ./hookbus.toml, or the default address, names
  hookbus health --admin http://127.0.0.1:9180

Prints what /readyz says. Exit code 0: send traffic there; 1: don't, or nothing answers. For a container:
  HEALTHCHECK CMD [\"hookbus\", \"health\"]";

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What `hookbus health` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    bridge: admin::Flags,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let bridge = arguments.bridge.listener()?;
    block_on(async {
        let text = bridge.text_of("/readyz", TIMEOUT).await?;
        print(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    })
}
