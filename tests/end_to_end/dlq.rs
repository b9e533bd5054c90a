//! Dead letters, and what queues for a destination that left the configuration: shown, published again, dropped.

mod filters;
mod offline;
mod queue;
mod requests;

use crate::support::bridge::program;
use crate::support::process::{Output, output};
use crate::support::{Bridge, HOOK, Nats, eventually, kafka};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Stands in every body, and nowhere else.
const BODY: &str = "only-in-bodies";

/// Takes events of some 100 bytes, and none of [`large`].
const SMALL: &str = "max_payload: 4096";

fn event(kind: &str, key: &str, size: usize) -> String {
    let text = BODY.repeat(size / BODY.len() + 1);
    json!({"message": {"type": kind, "call": {"id": key}, "text": text}}).to_string()
}

fn large(kind: &str, key: &str) -> String {
    event(kind, key, 5_000)
}

/// Runs `hookbus` in a folder.
async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).current_dir(folder);
    let output = output(command.into(), b"").await;
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(!all.contains(BODY), "{all}");
    assert!(!all.contains("panicked"), "{all}");
    output
}

/// Runs it, and expects this end.
async fn expect(folder: &Path, arguments: &[&str], code: i32, said: &[&str]) -> Output {
    let output = run(folder, arguments).await;
    assert_eq!(output.code, Some(code), "{arguments:?}: {output:?}");
    for text in said {
        assert!(output.stderr.contains(text), "{arguments:?}: no `{text}` in {}", output.stderr);
    }
    output
}

/// The dead letters, as JSON.
async fn listed(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["dlq", "list", "--json"], arguments].concat();
    let output = expect(folder, &arguments, 0, &[]).await;
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["line"] == "dead-letter").collect()
}

async fn ids(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let listed = listed(folder, arguments).await;
    listed.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Posts what becomes a dead letter; gives its id.
async fn rejected(bridge: &Bridge, path: &str, body: String) -> String {
    let answer = bridge.post(path, body, &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.header("hookbus-id").unwrap().to_owned()
}

#[tokio::test]
async fn what_a_broker_refuses_is_published_when_it_takes_it() {
    let Some(mut nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let spool = tempfile::tempdir().unwrap();
    let config = format!("{HOOK}\n[spool]\ndir = {:?}\n", spool.path());
    let mut bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let mut sent = BTreeMap::new();
    for number in 0..5 {
        let body = large("transcript", &format!("call-{number}"));
        let id = rejected(&bridge, "/hook", body.clone()).await;
        let named = async || bridge.log().contains(&id).then_some(());
        eventually("its id in the log", Duration::from_secs(5), named).await;
        sent.insert(id, body);
    }
    let small = bridge.post("/hook", event("transcript", "call-0", 10), &[]).await;
    assert_eq!(small.status, 200, "a dead letter holds up nothing");
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 5.0);
    let outcome =
        r#"hookbus_webhooks_total{endpoint="hook",type="transcript",outcome="dead-lettered""#;
    assert_eq!(bridge.metric(outcome).await, 5.0);
    let log = bridge.log();
    assert!(log.contains("an event became a dead letter") && log.contains("too-large"), "{log}");
    assert!(!log.contains(BODY), "{log}");

    let list = expect(bridge.folder(), &["dlq", "list"], 0, &["5 dead letters"]).await.stdout;
    assert_eq!(list.lines().count(), 5, "{list}");
    for (line, number) in list.lines().zip(0..) {
        let key = format!("  call-{number}  ");
        for part in
            ["  hook  ai.vapi.transcript", &key, "  nats:{endpoint}.events.{type}  too-large  "]
        {
            assert!(line.contains(part), "no `{part}` in {line}");
        }
    }
    let entries = listed(bridge.folder(), &[]).await;
    for (entry, (id, body)) in entries.iter().zip(&sent) {
        assert_eq!(entry["id"], **id);
        assert_eq!(entry["bytes"], body.len());
        assert_eq!(entry["name"], "hook.events.transcript");
        assert_eq!(entry["reason"], "too-large");
        assert!(entry["outcome"].is_null());
    }

    // Neither a look nor a vain attempt changes anything, and the end of the bridge doesn't either.
    let dry = expect(
        bridge.folder(),
        &["dlq", "replay", "--all", "--dry-run"],
        0,
        &["5 would be published"],
    )
    .await;
    assert_eq!(dry.stdout, list);
    let again = ["0 published, 5 rejected again, 5 left", "rejected again: ", "too-large"];
    let output = expect(bridge.folder(), &["dlq", "replay", "--all"], 1, &again).await;
    assert!(sent.keys().all(|id| output.stderr.contains(id)), "{output:?}");
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 5.0);
    bridge.kill();
    nats.restart_with("").await;
    let bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 5.0);

    expect(
        bridge.folder(),
        &["dlq", "replay", "--all"],
        0,
        &["5 published, 0 rejected again, 0 left"],
    )
    .await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0);
    expect(bridge.folder(), &["dlq", "replay", "--all"], 0, &["0 published"]).await;
    expect(bridge.folder(), &["dlq", "list"], 0, &["no dead letters"]).await;
    let stored = nats.messages("EVENTS", 6).await;
    assert_eq!(stored.len(), 6);
    for (id, body) in &sent {
        let event = stored.iter().find(|event| event.header("ce-id") == Some(id)).unwrap();
        assert_eq!(event.payload, body.as_bytes());
        let id = format!("hook/{id}/hook.events.transcript");
        assert_eq!(event.header("Nats-Msg-Id"), Some(&*id));
    }
}

#[tokio::test]
async fn the_same_goes_for_kafka() {
    let Some(kafka) = kafka::shared().await else {
        return;
    };
    kafka.create_topic_with("replay", 1, &[("max.message.bytes", "2000")]).await;
    let text = "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"kafka:replay\"]\n";
    let bridge = Bridge::config(format!("{HOOK}{text}")).kafka(kafka).start_ready().await;
    let body = large("hang", "call-7");
    let id = rejected(&bridge, "/hook", body.clone()).await;
    expect(bridge.folder(), &["dlq", "replay", "--all"], 1, &["1 rejected again", "too-large"])
        .await;

    let admin: AdminClient<DefaultClientContext> = kafka.settings().create().unwrap();
    let change =
        AlterConfig::new(ResourceSpecifier::Topic("replay")).set("max.message.bytes", "1000000");
    for changed in admin.alter_configs([&change], &AdminOptions::new()).await.unwrap() {
        changed.unwrap();
    }
    // The broker takes its time to hear of it.
    eventually("a replay", Duration::from_secs(20), async || {
        let output = run(bridge.folder(), &["dlq", "replay", "--all"]).await;
        (output.code == Some(0)).then_some(())
    })
    .await;
    let records = kafka.records("replay", 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].header("ce_id"), Some(&*id));
    assert_eq!(records[0].key.as_deref(), Some(&b"call-7"[..]));
    assert_eq!(records[0].payload.as_deref(), Some(body.as_bytes()));
}

#[tokio::test]
async fn a_broker_that_fails_ends_it_early() {
    let Some(mut nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>"]).await;
    let text = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"1s\"\n";
    let bridge = Bridge::config(format!("{HOOK}{text}")).nats(&nats).start_ready().await;
    for number in 0..30 {
        rejected(&bridge, "/hook", large("hang", &format!("call-{number}"))).await;
    }
    nats.restart_with("").await;
    eventually("the connection", Duration::from_secs(10), async || {
        let ready = bridge.admin("/readyz").await;
        ready.text().contains("nats: connected").then_some(())
    })
    .await;

    nats.stop_signal();
    let began = Instant::now();
    let said = [
        "error: nats:{endpoint}.events.{type}: ",
        "0 published, 0 rejected again, 30 left",
        "hint: ",
    ];
    expect(bridge.folder(), &["dlq", "replay", "--all"], 1, &said).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    nats.kill();
    let began = Instant::now();
    let output = expect(bridge.folder(), &["dlq", "replay", "--all", "--json"], 1, &said).await;
    assert!(output.stderr.contains("disconnected"), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let last = output.stdout.lines().last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&last["line"], &last["left"]), (&json!("summary"), &json!(30)));
    assert_eq!(ids(bridge.folder(), &[]).await.len(), 30, "nothing is removed");

    nats.restart().await;
    eventually("a replay", Duration::from_secs(20), async || {
        let output = run(bridge.folder(), &["dlq", "replay", "--all"]).await;
        (output.code == Some(0)).then_some(())
    })
    .await;
    assert_eq!(nats.messages("EVENTS", 30).await.len(), 30, "JetStream drops what comes twice");
}
