//! `hookbus top`: one screen of a bridge at work, in a real terminal, and one print without.

use crate::http::tool_calls;
use crate::support::bridge::{program, run};
use crate::support::worker::serve;
use crate::support::{Bridge, Nats, Terminal, endpoint};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVENT: &str = r#"{"message": {"type": "status-update", "call": {"id": "1"}}}"#;

/// Events go to a stream, and one function has a worker.
async fn bridge(nats: &Nats) -> Bridge {
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let config = endpoint("hook").tables("[[endpoint.tool]]\nnames = [\"weather\", \"book\"]");
    Bridge::config(config).nats(nats).start_ready().await
}

/// Posts events and calls of a function until it is dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start(bridge: &Bridge) -> Load {
        let (goes_on, client) = (Arc::new(AtomicBool::new(true)), bridge.client().clone());
        let (url, wanted) = (bridge.url("/hook"), goes_on.clone());
        tokio::spawn(async move {
            let calls = tool_calls(&["weather"]);
            while wanted.load(Ordering::Relaxed) {
                let _ = client.try_post(&url, EVENT).await;
                let _ = client.try_post(&url, calls.clone()).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Load(goes_on)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The command for a shell.
fn top(bridge: &Bridge, more: &str) -> String {
    let program = program();
    let program = program.get_program().display();
    format!("'{program}' top --interval 200ms --admin {} {more}", bridge.admin_url(""))
}

/// The cells of the line that begins with this word.
fn line<'a>(screen: &'a str, start: &str) -> Option<Vec<&'a str>> {
    let mut lines = screen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|cells| cells.first() == Some(&start))
}

fn number(cells: &[&str], at: usize) -> f64 {
    cells.get(at).and_then(|cell| cell.trim_end_matches('k').parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn it_shows_rates_functions_and_destinations() {
    let Some(nats) = Nats::start().await else { return };
    let Some(terminal) = Terminal::start(80, 24).await else { return };
    let bridge = bridge(&nats).await;
    let _service = serve(&nats, "forecast", "q", "hook.tool.weather").await;
    let _load = Load::start(&bridge);
    terminal.types(&top(&bridge, ""));
    let screen = terminal
        .shows_that("rates and a worker", |screen| {
            let of = |start| line(screen, start).unwrap_or_default();
            // Both kinds of webhooks come, and have latencies.
            let (hook, weather) = (of("hook"), of("weather"));
            let has_latency = |cells: &[&str], at: usize| {
                cells.get(at).is_some_and(|cell| cell.ends_with('s') && *cell != "-")
            };
            number(&hook, 1) > 1.0
                && (2..6).all(|at| has_latency(&hook, at))
                && weather.ends_with(&["1", "forecast", "1.2.3"])
                && of("book").contains(&"none")
                && number(&of("nats:{endpoint}.events.{type}"), 1) > 0.5
        })
        .await;
    assert!(screen.contains("answered") && screen.contains("stored"), "{screen}");
    assert!(screen.lines().next().unwrap().ends_with("ready  nats: connected"), "{screen}");
    assert!(screen.contains("event 0 of 8192") || screen.contains("event 1 of 8192"), "{screen}");
    assert!(screen.contains("memory") && screen.contains("0 dead letters"), "{screen}");

    // Where there is less room, less is shown, and nothing runs over.
    terminal.resize(34, 12);
    let is_narrow = |screen: &str| {
        let head = line(screen, "ENDPOINT").unwrap_or_default();
        head == ["ENDPOINT", "/S"] || head == ["ENDPOINT", "/S", "P99"]
    };
    let screen = terminal.shows_that("fewer columns", is_narrow).await;
    assert!(line(&screen, "hook").is_some_and(|cells| number(&cells, 1) > 0.5), "{screen}");
    terminal.resize(120, 30);
    terminal.shows("QUESTION P50").await;

    // One table at a time, and sorted otherwise.
    terminal.presses("Tab");
    terminal.shows_that("one table", |screen| !screen.contains("DESTINATION")).await;
    terminal.presses("s");
    terminal.shows("sorted by p99").await;
    terminal.presses("p");
    terminal.shows("PAUSED").await;
    assert!(terminal.is_taken());
    terminal.presses("q");
    terminal.shows_that("the shell again", |screen| screen.trim_end().ends_with("ready>")).await;
    assert!(!terminal.is_taken());
}

#[tokio::test]
async fn it_shows_a_broker_that_goes_and_comes() {
    let Some(mut nats) = Nats::start().await else { return };
    let Some(terminal) = Terminal::start(100, 24).await else { return };
    let bridge = bridge(&nats).await;
    terminal.types(&top(&bridge, ""));
    terminal.shows("nats: connected").await;
    nats.kill();
    terminal.shows("nats: down").await;
    let destination = "nats:{endpoint}.events.{type}";
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 202);
    let queued = |wanted: &'static str| {
        move |screen: &str| {
            line(screen, destination).is_some_and(|cells| cells.get(5) == Some(&wanted))
        }
    };
    terminal.shows_that("what queues", queued("1")).await;
    nats.restart().await;
    terminal.shows("nats: connected").await;
    terminal.shows_that("an empty queue", queued("0")).await;
    // Ctrl-C is a key here.
    terminal.presses("C-c");
    terminal.shows_that("the shell again", |screen| screen.trim_end().ends_with("ready>")).await;
    assert!(!terminal.is_taken());
}

#[tokio::test]
async fn it_waits_for_a_bridge_that_restarts() {
    let Some(nats) = Nats::start().await else { return };
    let Some(terminal) = Terminal::start(110, 24).await else { return };
    let mut bridge = bridge(&nats).await;
    bridge.post("/hook", EVENT, &[]).await;
    terminal.types(&top(&bridge, ""));
    terminal.shows("DESTINATION").await;
    bridge.kill();
    let screen = terminal.shows("trying again").await;
    // What was known stays in sight.
    assert!(screen.contains("DESTINATION"), "{screen}");
    bridge.restart().await;
    terminal.shows_that("it again", |screen| !screen.contains("trying again")).await;
    let load = Load::start(&bridge);
    let rate = |screen: &str| line(screen, "hook").is_some_and(|cells| number(&cells, 1) > 0.5);
    terminal.shows_that("rates again", rate).await;
    drop(load);
}

/// However it ends, the shell behind it has its terminal back.
#[tokio::test]
async fn a_signal_gives_the_terminal_back() {
    let Some(nats) = Nats::start().await else { return };
    let Some(terminal) = Terminal::start(80, 24).await else { return };
    let bridge = bridge(&nats).await;
    let command = top(&bridge, "");
    terminal.types(&format!("sh -c 'echo $$ > {0}; exec \"$@\"' - {command}; stty -a | grep -o -e '-*icanon' -e '-*echo '; echo ended $?",
        bridge.folder().join("pid").display()));
    terminal.shows("DESTINATION").await;
    let pid = std::fs::read_to_string(bridge.folder().join("pid")).unwrap();
    let kill = std::process::Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap();
    assert!(kill.success());
    let screen = terminal.shows("ended 0").await;
    assert!(!terminal.is_taken() && !screen.contains("-icanon"), "{screen}");
}

#[tokio::test]
async fn without_a_terminal_it_prints_once() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    let load = Load::start(&bridge);
    let admin = bridge.admin_url("");
    let printed = run(&["top", "--interval", "500ms", "--admin", &admin]).await;
    drop(load);
    assert_eq!((printed.code, &*printed.stderr), (Some(0), ""));
    let hook = line(&printed.stdout, "hook").unwrap();
    assert!(number(&hook, 1) > 1.0, "{}", printed.stdout);
    assert!(line(&printed.stdout, "DESTINATION").is_some() && !printed.stdout.contains('\x1b'));
    assert!(printed.stdout.lines().all(|line| line.len() <= 120), "{}", printed.stdout);

    for interval in ["0s", "50ms", "soon"] {
        let wrong = run(&["top", "--interval", interval, "--admin", &admin]).await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn it_says_what_is_in_the_way() {
    let nobody = format!("http://127.0.0.1:{}", crate::support::ports::free());
    let failed = run(&["top", "--once", "--admin", &nobody]).await;
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.stderr.contains("no answer from") && failed.stderr.contains("hint: "),
        "{failed:?}"
    );

    // The counters are open, the workers need the token.
    let Some(nats) = Nats::start().await else { return };
    let config =
        format!("[admin]\nlisten = \"{{admin}}\"\ntoken = \"a-secret\"\n{}", endpoint("hook"));
    let bridge = Bridge::config(config).nats(&nats).start_ready().await;
    let admin = bridge.admin_url("");
    let printed = run(&["top", "--once", "--interval", "100ms", "--admin", &admin]).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("workers: this needs the token"), "{printed:?}");

    // Something else listens there.
    let other = run(&["top", "--once", "--admin", &bridge.url("")]).await;
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("has no metrics of a hookbus"), "{other:?}");
}
