//! `hookbus tail`: follow what a running bridge receives, one line a webhook.

mod screen;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;
use tokio::time::{Instant, sleep};

use self::screen::Screen;
use super::admin::{self, Listener, ResponseLines, Unasked};
use super::{CommandResult, Failure, block_on, eprint};
use crate::live_tail::{Filter, Line};
use crate::nats::backoff::Backoff;
use crate::serve::Signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus tail                                what comes in: time, endpoint, type, key, outcome, latency, destinations
  hookbus tail --type 'transcript*' --key call-7
  hookbus tail --errors                       refused webhooks, dead letters, and questions without a worker's answer
  hookbus tail --outcome timeout --json | jq -r '.questions[].function'
  hookbus tail --admin http://10.0.0.7:9180   a bridge elsewhere, with its token in HOOKBUS_ADMIN_TOKEN

It asks the admin listener of the bridge, connects again when the bridge restarts, and ends with Ctrl-C.";

/// Pause before the next attempt to reach a bridge that went away.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What `hookbus tail` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only webhooks of this endpoint; may be repeated, and hold * for anything, as the following ones
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Only those with this key, such as the id of a call
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Only those with this outcome or reason, such as stored, fallback, timeout, unauthorized
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<String>,
    /// Only what somebody should look at: refused webhooks, dead letters, and questions without a worker's answer
    #[arg(long)]
    errors: bool,
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Show bodies too, up to 64 KiB of each; the configuration of the bridge has to allow it
    #[arg(long)]
    bodies: bool,
    #[command(flatten)]
    bridge: admin::Flags,
}

/// Ctrl-C ends it at any time, also while it waits for the reader of its lines: nothing of it has to be ended in order.
pub(super) fn run(arguments: Arguments, _signals: &Signals) -> CommandResult {
    let Arguments { endpoint, kind, key, outcome, errors, json, bodies, bridge } = arguments;
    let filter =
        Filter { endpoints: endpoint, types: kind, keys: key, outcomes: outcome, errors, bodies };
    let bridge = bridge.listener()?;
    let query = filter.query();
    block_on(follow(&bridge, &query, Screen::new(json)))
}

async fn follow(bridge: &Listener, query: &str, mut screen: Screen) -> CommandResult {
    let mut lines = match ask(bridge, query).await {
        Ok(lines) => lines,
        Err(Unasked::Unreachable(failure)) => {
            return Err(
                failure.hint("is a bridge running there? --admin or --config names another one")
            );
        }
        Err(Unasked::Refused(failure)) => return Err(failure),
    };
    eprint(format_args!("following {}; Ctrl-C ends it", bridge.place()));
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        while let Some(line) = lines.next::<Line>().await? {
            match screen.show(line) {
                Ok(()) => {}
                // `| head` has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) => {
                    return Err(Failure::failed(format_args!(
                        "can't write to standard output: {error}"
                    )));
                }
            }
        }
        eprint(format_args!("the bridge at {} went away; waiting for it", bridge.place()));
        if !backoff.ended(began.elapsed()) {
            sleep(backoff.next_delay()).await;
        }
        lines = again(bridge, query).await?;
        eprint(format_args!("following {} again", bridge.place()));
    }
}

/// Wait for a bridge that went away.
async fn again(bridge: &Listener, query: &str) -> Result<ResponseLines, Failure> {
    loop {
        match ask(bridge, query).await {
            Ok(lines) => return Ok(lines),
            Err(Unasked::Unreachable(_)) => sleep(RETRY_INTERVAL).await,
            Err(Unasked::Refused(failure)) => return Err(failure),
        }
    }
}

async fn ask(bridge: &Listener, query: &str) -> Result<ResponseLines, Unasked> {
    let response = bridge.ask(Method::GET, "/tail", query).await?;
    Ok(ResponseLines::new(response, bridge.place()))
}
