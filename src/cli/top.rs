//! `hookbus top`: a running bridge on one screen, as its admin listener shows it.
//!
//! It asks for `/readyz` and `/metrics` at each turn, and now and then for `/workers`, which takes the bridge a question
//! to all of NATS. A bridge that goes away is waited for. Where there is no terminal it looks twice, and prints that once.

mod figures;
mod format;
mod rows;
mod screen;
mod table;
mod terminal;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ratatui::buffer::{self, Buffer};
use ratatui::layout::Rect;
use reqwest::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::figures::Look;
use self::terminal::Screen;
use self::view::{Key, View};
use super::admin::{self, Listener};
use super::{CommandResult, Failure, block_on, print};
use crate::discovery::Overview;
use crate::serve::Signals;
use crate::telemetry::samples::Samples;

pub(super) const EXAMPLES: &str = "\
Examples:
  hookbus top                                of the bridge that ./hookbus.toml, or the default address, names
  hookbus top --admin http://10.0.0.7:9180   a bridge elsewhere, with its token in HOOKBUS_ADMIN_TOKEN
  hookbus top --once --interval 10s          print it once, with the rates of ten seconds

Rates and latencies are those of the last ten seconds. Keys: q or Ctrl-C ends it, p pauses, tab shows one table at a time,
s sorts by another column.";

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Workers come and go seldom, and to ask for them takes more than to read counters.
const WORKERS_INTERVAL: Duration = Duration::from_secs(5);

/// The width of what is printed without a terminal.
const PRINTED_WIDTH: u16 = 120;

/// What waits to be shown.
const MAX_NEWS: usize = 16;

/// What `hookbus top` takes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print one table and exit, as it does without a terminal
    #[arg(long)]
    once: bool,
    /// Time between two looks at the bridge, 100ms at least
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    bridge: admin::Flags,
}

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= Duration::from_millis(100) => Ok(interval),
        Ok(_) => Err("at least 100ms".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn run(arguments: Arguments, signals: &Signals) -> CommandResult {
    let Arguments { once, interval, bridge } = arguments;
    let bridge = bridge.listener()?;
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_shown = std::io::stdout().is_terminal() && !once;
    let mut view = View::new(bridge.place(), is_shown && !wants_none);
    block_on(async {
        let look = look(&bridge).await.map_err(|failure| {
            failure.hint("is a bridge running there? --admin or --config names another one")
        })?;
        view.looked(look);
        if is_shown {
            follow(Arc::new(bridge), interval, view, signals).await
        } else {
            let (workers, ()) = tokio::join!(workers(&bridge), sleep(interval));
            view.workers = workers;
            view.looked(self::look(&bridge).await?);
            print(&printed(&view))
        }
    })
}

/// What `/readyz` and `/metrics` say now.
async fn look(bridge: &Listener) -> Result<Look, Failure> {
    let asking = async { tokio::try_join!(bridge.text("/readyz"), bridge.text("/metrics")) };
    let late = |_| Failure::failed(format_args!("{} doesn't answer", bridge.place()));
    let ((ready, readiness), (status, metrics)) =
        timeout(TIMEOUT, asking).await.map_err(late)??;
    let samples = Samples::read(&metrics);
    if !status.is_success() || samples.value("hookbus_in_flight_bytes").is_none() {
        let text = format_args!("{} has no metrics of a hookbus", bridge.place());
        return Err(Failure::failed(text));
    }
    Ok(Look {
        at: Instant::now(),
        is_ready: ready.is_success(),
        readiness: readiness.lines().map(str::to_owned).collect(),
        samples,
    })
}

/// Who answers what, or why that isn't known; nothing where there is no NATS.
async fn workers(bridge: &Listener) -> Option<Result<Overview, String>> {
    let (status, text) = match timeout(TIMEOUT, bridge.text("/workers")).await {
        Ok(Ok(answer)) => answer,
        // That is shown already.
        Ok(Err(_)) | Err(_) => return None,
    };
    Some(match status {
        StatusCode::NOT_FOUND => return None,
        StatusCode::OK => serde_json::from_str(&text).map_err(|error| error.to_string()),
        _ => Err(text.lines().next().unwrap_or_default().to_owned()),
    })
}

/// What there is to know.
enum News {
    Look(Result<Look, Failure>),
    Workers(Option<Result<Overview, String>>),
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// The terminal is gone.
    Closed,
}

async fn follow(
    bridge: Arc<Listener>,
    interval: Duration,
    mut view: View,
    signals: &Signals,
) -> CommandResult {
    let (sender, mut news) = mpsc::channel(MAX_NEWS);
    signals.begun();
    let mut screen = Screen::open()?;
    terminal::listen(sender.clone());
    tokio::spawn(keep_looking(bridge.clone(), interval, sender.clone()));
    tokio::spawn(keep_asking(bridge, sender));
    loop {
        screen.draw(&view)?;
        let next = tokio::select! {
            next = news.recv() => next,
            () = signals.end() => None,
        };
        match next {
            Some(News::Key(key)) if !view.pressed(key) => {}
            Some(News::Resized) => {}
            None | Some(News::Key(_) | News::Closed) => return Ok(ExitCode::SUCCESS),
            // What comes meanwhile is out of date when it is looked at again.
            Some(News::Look(_) | News::Workers(_)) if view.is_paused => {}
            Some(News::Look(Ok(look))) => view.looked(look),
            Some(News::Look(Err(failure))) => view.lost = Some(cause(&failure)),
            Some(News::Workers(workers)) => view.workers = workers,
        }
    }
}

/// One line of why it failed.
fn cause(failure: &Failure) -> String {
    let text = failure.text.lines().next().unwrap_or_default();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

async fn keep_looking(bridge: Arc<Listener>, interval: Duration, news: mpsc::Sender<News>) {
    loop {
        sleep(interval).await;
        if news.send(News::Look(look(&bridge).await)).await.is_err() {
            return;
        }
    }
}

async fn keep_asking(bridge: Arc<Listener>, news: mpsc::Sender<News>) {
    while news.send(News::Workers(workers(&bridge).await)).await.is_ok() {
        sleep(WORKERS_INTERVAL).await;
    }
}

/// All of it as lines of text.
fn printed(view: &View) -> String {
    let area = Rect::new(0, 0, PRINTED_WIDTH, screen::height(view, PRINTED_WIDTH));
    let mut buffer = Buffer::empty(area);
    screen::draw(view, false, area, &mut buffer);
    let lines = buffer.content().chunks(usize::from(PRINTED_WIDTH)).map(|cells| {
        let line: String = cells.iter().map(buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    let mut lines: Vec<_> = lines.collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n").trim_end().to_owned()
}
