//! A log that can't be written: nobody reads the pipe, or the disk behind it is full. Nobody waits for it.

use crate::answer::{PATIENCE, ask, text};
use crate::support::bridge::program;
use crate::support::http::Client;
use crate::support::process::{Process, full_pipe};
use crate::support::{Bridge, Nats, endpoint, eventually, missing, ports, tool};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A line for each event; they go nowhere.
fn config() -> String {
    format!("[log]\nlevel = \"debug\"\nformat = \"json\"\n{}", endpoint("a").events_to(&[]))
}

const DROPPED: &str = "hookbus_log_lines_dropped_total";

/// How soon something ends, or answers, that doesn't wait for the log.
const SOON: Duration = Duration::from_secs(5);

/// Reloads that are refused, with so many problems each: together more lines than the buffer holds.
const RELOADS: usize = 12;
const PROBLEMS: usize = 1_000;

/// Posts so many events; the slowest answer.
async fn post(bridge: &Bridge, events: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..events {
        let body = json!({"message": {"type": "hang", "call": {"id": number.to_string()}}});
        let answer = bridge.post("/a", body.to_string(), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(answer.elapsed);
    }
    slowest
}

/// Makes it say more than there is room for.
async fn say_much(bridge: &mut Bridge) {
    let keys: String = (0..PROBLEMS).map(|number| format!("unknown-{number} = 1\n")).collect();
    bridge.configure(&format!("{}\n[tail]\n{keys}", config()));
    for _ in 0..RELOADS {
        let answer = bridge.client().post(&bridge.admin_url("/reload"), "", &[]).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
}

async fn terminate(bridge: &mut Bridge) {
    let began = Instant::now();
    bridge.signal("TERM");
    assert_eq!(bridge.wait().await.code(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    // Its first line has to wait already.
    let mut bridge = Bridge::config(config()).unread_log().start_ready().await;
    say_much(&mut bridge).await;
    let slowest = post(&bridge, 200).await;
    let lost = bridge.metric(DROPPED).await;
    println!("{lost} lines dropped, slowest answer {slowest:?}");
    assert!(slowest < SOON && lost > 0.0, "{slowest:?}, {lost}");
    let alive = bridge.admin("/livez").await;
    assert!(alive.status == 200 && alive.elapsed < SOON, "{:?}", alive.elapsed);
    // It is asked to end while nobody reads.
    terminate(&mut bridge).await;
}

#[tokio::test]
async fn what_was_dropped_is_said_as_soon_as_somebody_reads() {
    let mut bridge = Bridge::config(config()).unread_log().start_ready().await;
    say_much(&mut bridge).await;
    let lost = bridge.metric(DROPPED).await;
    assert!(lost > 0.0);
    bridge.read_log();
    bridge.logs(&format!("\"lines\":{lost}")).await;
    post(&bridge, 1).await;
    terminate(&mut bridge).await;
    // Every line is whole, and all that was not dropped is there. What the check of the configuration says is for people.
    let log = bridge.log();
    let lines =
        log.lines().filter(|line| !line.is_empty()).skip_while(|line| !line.starts_with('{'));
    let lines: Vec<serde_json::Value> =
        lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |field: &str, value: &str| {
        lines.iter().filter(|line| line[field].as_str() == Some(value)).count()
    };
    // Each has a line for its hint. Beside them are the warning of `kind = "none"`, and that the settings from before stay
    // in use.
    assert_eq!(count("level", "ERROR") as f64 + lost, (RELOADS * (2 * (PROBLEMS + 1) + 1)) as f64);
    for once in ["serving", "webhook", "stopped"] {
        assert_eq!(count("message", once), 1, "{once}");
    }
}

#[tokio::test]
async fn a_full_disk_behind_the_log_is_counted() {
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        missing("/dev/full");
        return;
    }
    let mut bridge = Bridge::config(config()).log_into(full).start_ready().await;
    let before = bridge.metric(DROPPED).await;
    post(&bridge, 100).await;
    eventually("the count of all of them", SOON, async || {
        (bridge.metric(DROPPED).await >= before + 100.0).then_some(())
    })
    .await;
    terminate(&mut bridge).await;
}

/// How it ends, with a standard error that takes nothing.
async fn end(arguments: &[&str]) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let (_unread, pipe) = full_pipe();
    let mut command = program();
    command.args(arguments).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(pipe);
    let mut process = Process::start(&mut command, None);
    let status = process.wait(SOON).await;
    status.unwrap_or_else(|| panic!("{arguments:?} doesn't end")).code()
}

#[tokio::test]
async fn every_command_ends_though_nobody_hears_why() {
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let server = format!("nats://127.0.0.1:{}", ports::free());
    for (arguments, code) in [
        (&["--no-such-flag"][..], 2),
        (&["serve", "--no-such-flag"], 2),
        (&["serve", "--config", "missing.toml"], 2),
        (&["check"], 2),
        (&["send", "hang", "--to", &nobody], 1),
        (&["tail", "--admin", &nobody], 1),
        (&["dlq", "list", "--admin", &nobody], 1),
        (&["conform", "f", "--arguments", "{}", "--server", &server], 1),
        (&["answer", "f", "--", "./no-such-program"], 2),
        (&["dev", "--listen", "192.0.2.1:1"], 1),
        (&["schema"], 0),
    ] {
        assert_eq!(end(arguments).await, Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_worker_answers_though_nobody_reads_what_it_says() {
    let Some(nats) = Nats::start().await else { return };
    let (_unread, pipe) = full_pipe();
    let mut command = program();
    command.args(["answer", "f", "--server", &nats.url(), "--", "cat"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(pipe);
    let mut process = Process::start(&mut command, None);
    let client = nats.client().await;
    eventually("a worker", PATIENCE, async || {
        let asked = client.request("vapi.tool.f", "{\"arguments\":{}}".into()).await;
        asked.is_ok().then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(text(&ask(&client, "f", json!({"a": 1})).await), "{\"a\":1}");
    }
    process.signal("TERM");
    let status = process.wait(SOON).await.expect("an end");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn everything_on_one_machine_works_though_nobody_reads_the_welcome() {
    let server = tool("nats-server");
    if !server.exists() {
        missing("nats-server (run: make tools)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_unread, pipe) = full_pipe();
    let listen = format!("127.0.0.1:{}", ports::free());
    let mut command: Command = program();
    command.args(["dev", "--listen", &listen]).current_dir(folder.path());
    command.env("HOOKBUS_NATS_SERVER", server);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(pipe);
    let mut process = Process::start(&mut command, None);
    let (client, url) = (Client::new(), format!("http://{listen}/vapi"));
    let body = r#"{"message":{"type":"hang"}}"#;
    eventually("an event that is stored", Duration::from_secs(30), async || {
        matches!(client.try_post(&url, body).await, Ok(answer) if answer.status == 200)
            .then_some(())
    })
    .await;
    process.signal("INT");
    let status = process.wait(Duration::from_secs(10)).await.expect("an end");
    assert_eq!(status.code(), Some(0));
}
