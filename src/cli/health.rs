//! `hookbus health`: whether a running bridge is ready, as an exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;
use reqwest::Url;
use tokio::time::timeout;

use super::admin::{self, Listener};
use super::{CommandResult, Failure, block_on, print};

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
    /// The admin listener of the bridge [default: as configured, or http://127.0.0.1:9180]
    #[arg(long, value_name = "URL", value_parser = admin::address, conflicts_with = "config")]
    admin: Option<Url>,
    /// The configuration file [default: hookbus.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { admin, config } = arguments;
    let bridge = match admin::config(admin.as_ref(), config.as_deref())? {
        Some(config) => Listener::of(&config)?,
        None => Listener::named(admin)?,
    };
    block_on(async {
        let asking = async {
            let response = bridge.ask(Method::GET, "/readyz", "").await?;
            response.text().await.map_err(|error| Failure::failed(admin::cause(&error)))
        };
        let late = |_| Failure::failed(format_args!("{} doesn't answer", bridge.place()));
        let text = timeout(TIMEOUT, asking).await.map_err(late)??;
        print(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    })
}
