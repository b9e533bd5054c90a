//! What the commands print while a bridge runs, as the page on operations shows it.

use super::snippets::{masked, session, shell};
use super::{SECRET, block, read};
use crate::forward::{Forward, Server};
use crate::support::process::output;
use crate::support::worker::{Reply, Worker, round_trip};
use crate::support::{Bridge, Kafka, Nats, missing, project, tool};
use crate::tail::follower::Follower;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PAGE: &str = "docs/operations.md";

/// The configuration that the README begins with, with two rules: what they ask may take no longer than half a second.
async fn bridge(nats: &Nats) -> Bridge {
    let text = read(&project().join("deploy/config/quickstart.toml"));
    let rules = "\n[[endpoint.tool]]\nnames = [\"get_weather\"]\ntimeout = \"500ms\"\n[[endpoint.tool]]\nnames = [\"book\"]\ntimeout = \"500ms\"\nfallback = \"We call you back.\"\n";
    let text = text.replace("nats://127.0.0.1:4222", "{nats}") + rules;
    Bridge::config(text).nats(nats).environment("VAPI_SECRET", SECRET.1).start_ready().await
}

fn calls(calls: &[(&str, &str)]) -> String {
    let calls = calls.iter().map(|(id, name)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": {}}}));
    let calls: Vec<_> = calls.collect();
    json!({"message": {"type": "tool-calls", "call": {"id": "call-7"}, "toolCallList": calls}})
        .to_string()
}

const UPDATE: &str =
    r#"{"message":{"type":"status-update","status":"ended","call":{"id":"call-7"}}}"#;

/// One line for each kind of webhook, in the order of the page.
#[tokio::test]
async fn tail_shows_what_the_page_shows() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    let _weather = Worker::start(&nats, "vapi.tool.get_weather", |_| {
        Reply::text("sunny").header("Hookbus-Worker", "weather-2")
    })
    .await;
    let _book = Worker::start(&nats, "vapi.tool.book", |_| Reply::none()).await;
    let mut tail = Follower::start(&bridge, &[]).await;
    let json = Follower::start(&bridge, &["--json"]).await;

    assert_eq!(bridge.post("/vapi", UPDATE, &[SECRET]).await.status, 200);
    let both = calls(&[("c-2", "get_weather"), ("c-3", "book")]);
    for body in [calls(&[("c-1", "get_weather")]), both, calls(&[("c-1", "get_weather")])] {
        assert_eq!(bridge.post("/vapi", body, &[SECRET]).await.status, 200);
    }
    assert_eq!(bridge.post("/vapi", UPDATE, &[]).await.status, 401);
    assert_eq!(bridge.post("/vapi/", UPDATE, &[SECRET]).await.status, 404);

    let shown = block(PAGE, "console", "$ hookbus tail\n");
    let [(_, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let mut expected = masked(printed);
    assert!(expected.remove(0).starts_with("following "));
    let lines = tail.lines(expected.len()).await;
    assert_eq!(masked(&lines.join("\n")), expected);
    assert!(tail.interrupt().await.success());

    // The same for scripts.
    let shown = block(PAGE, "console", "/tail?type=status-update");
    let line = shown.lines().nth(1).unwrap();
    let keys = |line: &str| -> BTreeSet<String> {
        let line: Value = serde_json::from_str(line).unwrap();
        line.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&json.lines(1).await[0]), keys(line));
}

/// Each member that is shown is there, and no other one.
fn assert_alike(shown: &Value, said: &Value, place: &str) {
    match (shown, said) {
        (Value::Object(shown), Value::Object(said)) => {
            let names =
                |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(shown), names(said), "{place}");
            for (name, value) in shown {
                assert_alike(value, &said[name], &format!("{place}/{name}"));
            }
        }
        (Value::Array(shown), Value::Array(said)) => {
            assert_eq!(shown.len(), said.len(), "{place}: {said:?}");
            shown.iter().zip(said).for_each(|(shown, said)| assert_alike(shown, said, place));
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => {}
        _ => assert_eq!(shown, said, "{place}"),
    }
}

/// A service of NATS micro that answers some, and fails the last one.
#[tokio::test]
async fn who_answers_is_said_as_the_page_says_it() {
    use async_nats::service::ServiceExt as _;
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    let client = nats.client().await;
    let service =
        client.service_builder().queue_group("q").start("weather", "1.0.0").await.unwrap();
    let mut endpoint = service.endpoint("vapi.tool.get_weather").await.unwrap();
    round_trip(&client).await;
    tokio::spawn(async move {
        while let Some(request) = endpoint.next().await {
            let status = "no satellite".to_owned();
            let error = async_nats::service::error::Error { status, code: 500 };
            request.respond(Err(error)).await.unwrap();
        }
    });
    let asked = bridge.post("/vapi", calls(&[("c-1", "get_weather")]), &[SECRET]).await;
    assert!(asked.text().contains("no satellite"), "{}", asked.text());

    let shown = block(PAGE, "console", "has no worker that NATS micro shows");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let checked = shell(bridge.folder(), command, &[("VAPI_SECRET", SECRET.1)]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let said = masked(&(checked.stderr + &checked.stdout));
    for line in masked(printed) {
        // The server has another name, and the worker another id.
        let parts: Vec<_> = line.split(&['`', '(', ')'][..]).collect();
        let known = if line.contains("reached") || line.contains("requests") {
            said.iter()
                .any(|said| said.starts_with(parts[0]) && said.ends_with(parts[parts.len() - 1]))
        } else {
            said.contains(&line)
        };
        assert!(known, "no `{line}` in {said:#?}");
    }

    let shown: Value = serde_json::from_str(&block(PAGE, "json", "\"functions\"")).unwrap();
    let mut said = bridge.admin("/workers").await.json();
    // The types that ask are there too.
    said["functions"].as_array_mut().unwrap().retain(|one| one["type"].is_null());
    assert_alike(&shown, &said, "");
}

/// The whole of what is wrong, in one run.
#[tokio::test]
async fn check_reports_every_problem_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[http]\nlistn = \"127.0.0.1:8080\"\nmax_body = 8\n\n[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n\n[[endpoint]]\nname = \"calls\"\npath = \"/calls\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"none\"\n[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"kafka:calls\"]\n";
    std::fs::write(folder.path().join("bad.toml"), config).unwrap();
    let checked = shell(folder.path(), "hookbus check --config bad.toml", &[]).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert_eq!(checked.stderr, block(PAGE, "text", "bad.toml:2:1"));
}

/// The balance, with the destination of the quickstart.
#[tokio::test]
async fn status_looks_as_shown() {
    let Some(nats) = Nats::start().await else { return };
    let bridge = bridge(&nats).await;
    assert_eq!(bridge.post("/vapi", UPDATE, &[SECRET]).await.status, 200);
    let shown = block(PAGE, "console", "$ hookbus status");
    let [(command, printed)] = session(&shown)[..] else { panic!("one command: {shown}") };
    let told = shell(bridge.folder(), command, &[("VAPI_SECRET", SECRET.1)]).await;
    assert_eq!((told.code, &*told.stderr), (Some(0), ""));
    let lines = |text: &str| -> Vec<_> {
        let lines = masked(text).into_iter().filter(|line| !line.is_empty());
        // How long it has been up is said in as many units as it takes.
        lines.map(|line| line.split(" (commit ").next().unwrap().to_owned()).collect()
    };
    let told = told.stdout.replace("{endpoint}", "vapi");
    // Where jobs go has had none.
    let told: Vec<_> = lines(&told).into_iter().filter(|line| !line.contains(".jobs.")).collect();
    assert_eq!(told, lines(printed));
}

/// The line of the README for Kafka.
#[tokio::test]
async fn kcat_shows_what_the_readme_shows() {
    let Some(kafka) = Kafka::start().await else { return };
    let program = tool("kcat/kcat");
    if !program.exists() {
        return missing("kcat (run: make tools)");
    }
    kafka.create_topic("vapi.events", 1).await;
    let config = "[[endpoint]]\nname = \"vapi\"\npath = \"/vapi\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"none\"\n";
    let bridge = Bridge::config(config).kafka(&kafka).start_ready().await;
    assert_eq!(bridge.post("/vapi", UPDATE, &[]).await.status, 200);
    let shown = block("README.md", "console", "$ kcat ");
    let (command, printed) = session(&shown)[0];
    let command = command
        .replacen("kcat", &program.display().to_string(), 1)
        .replace("127.0.0.1:32787", &kafka.bootstrap());
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &command]);
    let read = output(bash, b"").await;
    assert_eq!(read.code, Some(0), "{read:?}");
    let names = |line: &str| -> Vec<String> {
        let headers = line.split(' ').nth(1).unwrap().split(',');
        headers.map(|header| header.split('=').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&read.stdout), names(printed));
    let end = format!(" {} bytes\n", UPDATE.len());
    assert!(read.stdout.starts_with("call-7 ") && read.stdout.ends_with(&end), "{}", read.stdout);
}

/// A capture of Stripe's, as the page on security verifies it.
#[tokio::test]
async fn a_capture_is_verified_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"id":"evt_1","type":"charge.succeeded"}"#;
    let shown = block("docs/security.md", "console", "hookbus verify --provider stripe");
    let [(command, "")] = session(&shown)[..] else { panic!("one command: {shown}") };
    // When the command says that it was.
    let sign = format!(
        "time=$(date --date 2026-11-30T09:15:00Z +%s)\nsignature=$( (printf '%s.' \"$time\"; cat body.json) | openssl dgst -sha256 -hmac \"$STRIPE_SECRET\" -r | cut -d' ' -f1)\nprintf 'content-type: application/json\\nstripe-signature: t=%s,v1=%s\\n' \"$time\" \"$signature\" > headers.txt\n{command}"
    );
    std::fs::write(folder.path().join("body.json"), body).unwrap();
    let right = shell(folder.path(), &sign, &[("STRIPE_SECRET", "whsec_1")]).await;
    assert_eq!(right.code, Some(0), "{right:?}");
    let wrong = shell(folder.path(), command, &[("STRIPE_SECRET", "whsec_2")]).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!((wrong.stdout + &wrong.stderr).contains("wrong-secret"));
}

/// Lines of `forward`: of a server that takes what comes, and of one that doesn't.
#[tokio::test]
async fn forward_shows_what_its_page_shows() {
    let Some(nats) = Nats::start().await else { return };
    let Some(server) = Server::start() else { return };
    let bridge = bridge(&nats).await;
    let mut forward = Forward::start(&["--server", &nats.url(), "--to", &server.url("/vapi")]);
    forward.said("hookbus forward is ready").await;
    let call = r#"{"message":{"type":"tool-calls","call":{"id":"9be2bf9f"},"toolCallList":[{"id":"c-1","type":"function","function":{"name":"get_weather","arguments":{"city":"Oslo"}}}]}}"#;
    assert!(bridge.post("/vapi", call, &[SECRET]).await.text().contains("sunny"));
    forward.said("get_weather()").await;
    let update = UPDATE.replace("call-7", "9be2bf9f");
    assert_eq!(bridge.post("/vapi", update.clone(), &[SECRET]).await.status, 200);
    forward.said("status-update").await;
    forward.process.signal("INT");
    let said = forward.end(0).await;

    let mut failing = Forward::events(&nats, &server.url("/status/500"), &["--since", "1h"]).await;
    failing.said("again in").await;
    let failed = failing.log().replace("status-update", "transcript");
    let again = failed.lines().find(|line| line.contains("again in")).unwrap();

    let shown = block("docs/forward.md", "text", "hookbus forward is ready");
    let shown = shown.replace("nats.example.com:4222", nats.url().trim_start_matches("nats://"));
    let mut expected = masked(&shown);
    assert_eq!(expected.pop().unwrap(), masked(again)[0]);
    let mut said =
        masked(&said).into_iter().filter(|line| !line.starts_with("warning")).collect::<Vec<_>>();
    // The reader of events and the one of questions begin side by side.
    said[..2].sort();
    expected[..2].sort();
    assert_eq!(said, expected);
}

/// The line that a webhook has in the log at `debug`, as JSON.
#[tokio::test]
async fn the_log_has_the_fields_that_are_shown() {
    let Some(nats) = Nats::start().await else { return };
    let text = read(&project().join("deploy/config/quickstart.toml"));
    let text = text.replace("nats://127.0.0.1:4222", "{nats}");
    let text = format!("[log]\nlevel = \"debug\"\nformat = \"json\"\n{text}");
    let bridge =
        Bridge::config(text).nats(&nats).environment("VAPI_SECRET", SECRET.1).start_ready().await;
    assert_eq!(bridge.post("/vapi", UPDATE, &[SECRET]).await.status, 200);
    bridge.logs("\"message\":\"webhook\"").await;
    let log = bridge.log();
    let said = log.lines().find(|line| line.contains("\"message\":\"webhook\"")).unwrap();
    let shown = block(PAGE, "text", "\"message\":\"webhook\"");
    let read = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    assert_alike(&read(&shown), &read(said), "");
}
