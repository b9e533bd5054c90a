//! Streams that are changed, and streams whose acknowledgements are worth nothing.

use super::SOON;
use crate::support::process::Output;
use crate::support::{Bridge, HOOK, Nats, bridge, eventually};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{self, RetentionPolicy};
use std::time::Duration;

const EVENT: &str = r#"{"message":{"type":"hang"}}"#;

async fn check(nats: &Nats, more: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, format!("[nats]\nservers = [{:?}]\n{more}{HOOK}", nats.url())).unwrap();
    bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await
}

fn events() -> stream::Config {
    stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["hook.events.>".to_owned(), "hook.jobs.>".to_owned()],
        ..Default::default()
    }
}

#[tokio::test]
async fn an_update_changes_only_what_is_written() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream_with(stream::Config {
        max_age: Duration::from_secs(3_600),
        max_bytes: 1 << 30,
        max_messages: 77_000,
        max_messages_per_subject: 5_000,
        max_message_size: 1 << 20,
        max_consumers: 12,
        discard: stream::DiscardPolicy::Old,
        duplicate_window: Duration::from_secs(60),
        description: Some("made by hand".to_owned()),
        allow_direct: true,
        republish: Some(stream::Republish {
            source: "hook.events.>".to_owned(),
            destination: "copies.>".to_owned(),
            headers_only: true,
        }),
        metadata: [("team".to_owned(), "voice".to_owned())].into(),
        ..events()
    })
    .await;
    let context = nats.jetstream().await;
    let config = async || context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    let before = config().await;
    let declared = r#"[[nats.stream]]
        name = "EVENTS"
        subjects = ["hook.events.>", "hook.jobs.>"]
        max_age = "2h"
        update = true
    "#;
    let output = check(&nats, declared).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let note = "stream `EVENTS` will be changed by `serve`: max_age is 1h, wanted 2h\n";
    assert!(output.stderr.contains(note), "{output:?}");
    assert_eq!(config().await, before);

    let text = format!("[nats]\nservers = [\"{{nats}}\"]\n{declared}{HOOK}");
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    let after = config().await;
    let wanted = stream::Config { max_age: Duration::from_secs(7_200), ..before };
    assert_eq!(after, wanted);
    let said = "changed stream `EVENTS`: max_age is 1h, wanted 2h";
    bridge.logs(said).await;
    assert_eq!(bridge.post("/hook", EVENT, &[]).await.status, 200);
    drop(bridge);
    // What is written is changed, one that is the default too.
    let more = format!("{declared}discard = \"new\"\n");
    let text = format!("[nats]\nservers = [\"{{nats}}\"]\n{more}{HOOK}");
    let _bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    assert_eq!(config().await, stream::Config { discard: stream::DiscardPolicy::New, ..wanted });
}

#[tokio::test]
async fn a_stream_without_acknowledgements_stops_the_start() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream_with(stream::Config { no_ack: true, ..events() }).await;
    let problem = "stream `EVENTS` takes events and acknowledges nothing (no_ack)";
    let output = check(&nats, "").await;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(problem), "{output:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[spool]\nenabled = false\n[nats]\nservers = [{:?}]\n{HOOK}",
        nats.url()
    );
    std::fs::write(&file, text).unwrap();
    let output = bridge::serve(&file).await;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(problem), "{output:?}");
}

#[tokio::test]
async fn what_no_consumer_wants_is_named() {
    let Some(nats) = Nats::start().await else { return };
    let retention = RetentionPolicy::Interest;
    nats.create_stream_with(stream::Config { retention, ..events() }).await;
    let problem = "stream `EVENTS` keeps only what a consumer wants (retention interest), and none wants `hook.events.>`";
    let output = check(&nats, "").await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains(&format!("warning: nats: {problem}")), "{output:?}");
    let bridge = Bridge::config(HOOK).nats(&nats).start_ready().await;
    bridge.logs(problem).await;
    let ready = bridge.admin("/readyz").await;
    assert!(ready.status == 200 && ready.text().contains(problem), "{}", ready.text());
    // A consumer of something else is none.
    let stream = nats.jetstream().await.get_stream("EVENTS").await.unwrap();
    let consumer = |name: &str, filter: &str| pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter.to_owned(),
        ..Default::default()
    };
    stream.create_consumer(consumer("jobs", "hook.jobs.>")).await.unwrap();
    let output = check(&nats, "").await;
    assert!(output.stderr.contains(problem), "{output:?}");
    stream.create_consumer(consumer("all", "")).await.unwrap();
    let output = check(&nats, "").await;
    assert!(!output.stderr.contains("none wants"), "{output:?}");
    eventually("the end of the problem", SOON, async || {
        (!bridge.admin("/readyz").await.text().contains(problem)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sealed_stream_stores_nothing() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream_with(events()).await;
    let context = nats.jetstream().await;
    let config = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    context.update_stream(stream::Config { sealed: true, ..config }).await.unwrap();
    let output = check(&nats, "").await;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("stream `EVENTS` is sealed, and stores nothing more"),
        "{output:?}"
    );
}
