//! The documentation: its links lead somewhere, its configurations load, its commands exist, its Python works.

pub(crate) mod commands;
mod outputs;
mod snippets;

use crate::support::process::output;
use crate::support::{Bridge, Nats, bridge, eventually, kafka, nats, project, python};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: (&str, &str) = ("x-vapi-secret", "of-these-tests");

fn pages() -> Vec<PathBuf> {
    let root = project();
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs
        .map(|entry| entry.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "md"))
        .collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root.join(page)));
    pages
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = read(&project().join(page));
    let fence = format!("\n```{language}\n");
    let starts = text.split(&fence).skip(1);
    let blocks = starts.map(|rest| rest.split("\n```").next().unwrap().to_owned() + "\n");
    blocks.collect()
}

/// The block that holds this.
pub(crate) fn block(page: &str, language: &str, with: &str) -> String {
    let mut blocks = blocks(page, language).into_iter();
    let found = blocks.find(|block| block.contains(with));
    found.unwrap_or_else(|| panic!("{page} has no {language} with `{with}`"))
}

/// A page without its fenced blocks.
fn prose(path: &Path) -> String {
    let text = read(path);
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n\n")
}

/// The anchors of a page, as GitHub makes them of its headings.
pub(crate) fn anchors(path: &Path) -> Vec<String> {
    let anchor = |heading: &str| {
        let kept = heading.trim().chars().filter_map(|char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            _ => char.is_alphanumeric().then(|| char.to_lowercase().next().unwrap()),
        });
        kept.collect()
    };
    let text = prose(path);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in commands::all_pages().into_iter().map(|page| project().join(page)) {
        for link in prose(&page).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            assert!(
                anchor.is_empty() || anchors(&target).iter().any(|known| known == anchor),
                "{}: {link} is not among {:?}",
                page.display(),
                anchors(&target)
            );
        }
    }
    assert!(count > 20, "{count}");
}

/// The parts in `docs/configuration.md` have a test beside the types that they show.
#[tokio::test]
async fn every_whole_configuration_passes_the_check() {
    let mut count = 0;
    for page in pages() {
        let page = page.strip_prefix(project()).unwrap().to_str().unwrap();
        for text in blocks(page, "toml") {
            if page == "docs/configuration.md" && !text.contains("[[endpoint]]") {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("hookbus.toml");
            std::fs::write(&file, &text).unwrap();
            let mut command = bridge::program();
            command.arg("check").arg("--config").arg(file);
            for name in ["VAPI_SECRET", "GITHUB_SECRET", "SHOP_SECRET", "MUX_SECRET"] {
                command.env(name, SECRET.1);
            }
            let checked = output(command.into(), b"").await;
            assert_eq!(checked.code, Some(0), "{page}: {text}\n{checked:?}");
            assert_eq!(checked.stderr, "", "{page}: {text}");
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
}

/// The bridge of the README, at a server of its own.
async fn bridge_of_the_readme(nats: &Nats) -> Bridge {
    let text = block("README.md", "toml", "[[endpoint]]");
    Bridge::config(text.replace("nats://127.0.0.1:4222", "{nats}"))
        .nats(nats)
        .environment("VAPI_SECRET", SECRET.1)
        .start_ready()
        .await
}

/// Runs a program of the documentation at other addresses than those that are written there.
fn run(code: &str, changes: &[(&str, &str)]) -> Option<Child> {
    let mut code = code.to_owned();
    for (from, to) in changes {
        assert!(code.contains(from), "no {from} in\n{code}");
        code = code.replace(from, to);
    }
    let mut command = python::command()?;
    command.args(["-u", "-c", &code]).stdout(Stdio::piped());
    Some(command.spawn().unwrap())
}

/// The next line that a program prints.
async fn line(child: &mut Child) -> String {
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.as_mut().expect("a pipe"));
    let read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
    read.expect("it prints a line in time").unwrap();
    line
}

#[tokio::test]
async fn the_workers_answer() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let bridge = bridge_of_the_readme(&nats).await;
    for (page, function, answer) in [
        ("README.md", "get_opening_hours", "On monday we are open from 9 to 17."),
        ("docs/workers.md", "get_report", "Done with get_report."),
        ("docs/workers.md", "get_forecast", "It is always sunny."),
    ] {
        let code = block(page, "python", &format!("vapi.tool.{function}"));
        let Some(_worker) = run(&code, &[("nats://127.0.0.1:4222", &nats.url())]) else {
            return;
        };
        let call = json!({ "id": "call_1", "function": { "name": function, "arguments": { "day": "monday" } } });
        let body =
            json!({ "message": { "type": "tool-calls", "toolCallList": [call] } }).to_string();
        let reply = eventually("the worker's answer", PATIENCE, async || {
            let reply = bridge.post("/vapi", body.clone(), &[SECRET]).await;
            assert_eq!(reply.status, 200);
            (reply.header("hookbus-outcome") != Some("no-responders")).then(|| reply.json())
        })
        .await;
        let expected = json!({ "name": function, "toolCallId": "call_1", "result": answer });
        assert_eq!(reply, json!({ "results": [expected] }), "{page}");
    }
}

#[tokio::test]
async fn the_jetstream_consumers_read_events() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let bridge = bridge_of_the_readme(&nats).await;
    let body = json!({ "message": { "type": "end-of-call-report", "call": { "id": "call-7" } } });
    let body = body.to_string();
    let stored = bridge.post("/vapi", body.clone(), &[SECRET]).await;
    assert_eq!(stored.status, 200);
    let id = stored.header("hookbus-id").unwrap();
    let size = body.len();
    for (page, expected) in [
        ("README.md", format!("ai.vapi.end-of-call-report call-7 {size} bytes\n")),
        ("docs/events.md", format!("{id} {size} bytes\n")),
    ] {
        let code = block(page, "python", "pull_subscribe");
        let Some(mut reader) = run(&code, &[("nats://127.0.0.1:4222", &nats.url())]) else {
            return;
        };
        assert_eq!(line(&mut reader).await, expected, "{page}");
    }
}

#[tokio::test]
async fn the_kafka_consumer_reads_events() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic("docs.events", 2).await;
    let config = "[[endpoint]]\nname = \"docs\"\npath = \"/docs\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"none\"\n";
    let bridge = Bridge::config(config).kafka(kafka).start_ready().await;
    let body = r#"{"message":{"type":"hang","call":{"id":"call-7"}}}"#;
    assert_eq!(bridge.post("/docs", body, &[]).await.status, 200);
    let code = block("docs/events.md", "python", "confluent_kafka");
    let changes = [("127.0.0.1:9092", &*kafka.bootstrap()), ("vapi.events", "docs.events")];
    let Some(mut reader) = run(&code, &changes) else {
        return;
    };
    let expected = format!("ai.vapi.hang b'call-7' {} bytes\n", body.len());
    assert_eq!(line(&mut reader).await, expected);
}

/// Which ones there are is compared beside them.
#[tokio::test]
async fn the_kinds_of_metrics_are_as_explained() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let config = "[[nats.stream]]\nname = \"METRICS\"\nsubjects = [\"metrics.events.>\"]\n[[endpoint]]\nname = \"metrics\"\npath = \"/metrics\"\nsource = \"vapi\"\n[[endpoint.auth]]\nkind = \"none\"\n";
    let bridge = Bridge::config(format!("[nats]\nservers = [\"{{nats}}\"]\n{config}"))
        .nats(nats)
        .start_ready()
        .await;
    for kind in ["hang", "tool-calls"] {
        let body = json!({ "message": { "type": kind } }).to_string();
        assert_eq!(bridge.post("/metrics", body, &[]).await.status, 200);
    }
    let text = read(&project().join("docs/operations.md"));
    let metrics = bridge.admin("/metrics").await;
    let types = metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut count = 0;
    for (name, kind) in types.map(|line| line.split_once(' ').unwrap()) {
        let ending = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let is_histogram = kind == "histogram";
        // Those that any program has are explained in a sentence.
        if name.starts_with("process_") {
            assert!(text.contains(&format!("`{name}{ending}`")), "{name}");
            continue;
        }
        let rows: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&format!("| `{name}{ending}` |")))
            .collect();
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].contains(" | histogram, "), is_histogram, "{name}");
        count += 1;
    }
    assert!(count >= 6, "{count}");
}

/// A newcomer opens at most two files, and they are there.
#[test]
fn the_architecture_says_where_to_look() {
    let text = read(&project().join("docs/architecture.md"));
    let table = text.split("| Question | Files |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.contains("src/")).collect();
    assert_eq!(rows.len(), 11);
    for row in rows {
        let code = row.split('`').skip(1).step_by(2);
        let files: Vec<_> = code.filter(|code| code.ends_with(".rs")).collect();
        assert!(files.len() <= 2, "{row}");
        for file in code_paths(row) {
            assert!(project().join(file).exists(), "{file} in {row}");
        }
    }
}

/// The paths that a line names in code.
fn code_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("src/"))
}
