//! Queues of destinations that left the configuration.

use super::{event, expect, listed};
use crate::support::{Bridge, HOOK, Nats};
use async_nats::jetstream::stream;
use serde_json::Value;
use std::collections::BTreeMap;

const OLD: &str = "nats:old.{type}";
const EVENTS: usize = 60;

/// A spool with a queue for [`OLD`], which nobody could take.
async fn queued(nats: &Nats, spool: &std::path::Path) -> (String, Vec<String>) {
    let text = format!(
        "[spool]\ndir = {spool:?}\n[nats]\nservers = [\"{{nats}}\"]\nack_timeout = \"300ms\"\n"
    );
    let old = format!("{HOOK}[[endpoint.event]]\ntypes = [\"*\"]\nto = [{OLD:?}]\n{text}");
    let mut bridge = Bridge::config(&old).nats(nats).start_ready().await;
    let mut ids = Vec::new();
    for number in 0..EVENTS {
        let body = event("hang", &format!("call-{}", number % 7), number * 10);
        let answer = bridge.post("/hook", body, &[]).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(answer.header("hookbus-id").unwrap().to_owned());
    }
    bridge.kill();
    (format!("{HOOK}{text}"), ids)
}

#[tokio::test]
async fn the_queue_of_a_former_destination_is_published_in_order() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let spool = tempfile::tempdir().unwrap();
    let (config, ids) = queued(&nats, spool.path()).await;
    let mut bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let folder = bridge.folder().to_owned();
    let hint = format!("`hookbus spool drain '{OLD}'`");
    bridge.logs(&hint).await;
    let named = format!("{EVENTS} queued for {OLD}, which left the configuration");
    let list = expect(&folder, &["spool", "list"], 0, &[&named, &hint]).await;
    assert!(list.stdout.contains(&format!("  {OLD}  {EVENTS} events  ")), "{list:?}");
    assert_eq!(list.stdout.lines().count(), 1, "{list:?}");
    assert!(!list.stderr.contains("dlq"), "there are no dead letters: {list:?}");
    let json = expect(&folder, &["spool", "list", "--json"], 0, &[]).await.stdout;
    let mut lines = json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (queue, summary) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!((&queue["line"], &summary["line"]), (&"queue".into(), &"summary".into()));
    assert_eq!((&queue["destination"], &queue["records"]), (&OLD.into(), &EVENTS.into()));
    assert_eq!(queue["is_configured"], false);
    let queued = format!("{EVENTS} queued on disk; see `hookbus spool list`");
    let list = expect(&folder, &["dlq", "list"], 0, &["no dead letters", &queued]).await;
    assert_eq!(list.stdout, "");

    // There is still no stream.
    let said =
        [&format!("error: {OLD}: no-stream"), &format!("0 published, {EVENTS} left"), "hint: "];
    expect(&folder, &["spool", "drain", OLD], 1, &said.map(|text| text as &str)).await;
    let would = format!("{EVENTS} would be published");
    expect(&folder, &["spool", "drain", OLD, "--dry-run"], 0, &[&would]).await;
    for (text, said) in [
        ("nats:{endpoint}.events.{type}", "no events queue for"),
        ("nats:other", "no events queue for"),
        ("dead-letters", "no events queue for"),
        ("", "no events queue for"),
    ] {
        expect(&folder, &["spool", "drain", text], 1, &[said, "hint: "]).await;
    }
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains(OLD), "{}", ready.text());

    nats.create_stream("OLD", &["old.>"]).await;
    let said = format!("{EVENTS} published, 0 left");
    expect(&folder, &["spool", "drain", OLD], 0, &[&said]).await;
    let stored = nats.messages("OLD", EVENTS as u64).await;
    assert_eq!(stored.len(), EVENTS);
    let mut order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut expected = order.clone();
    for event in &stored {
        let (key, id) = (event.header("ce-subject").unwrap(), event.header("ce-id").unwrap());
        order.entry(key).or_default().push(id);
    }
    let keys: Vec<_> = (0..7).map(|number| format!("call-{number}")).collect();
    for (number, id) in ids.iter().enumerate() {
        expected.entry(&keys[number % 7]).or_default().push(id);
    }
    assert_eq!(order, expected);
    let records = format!("hookbus_spool_records{{destination={OLD:?}");
    assert_eq!(bridge.metric(&records).await, 0.0);
    let list = expect(&folder, &["spool", "list"], 0, &["nothing is queued"]).await;
    assert_eq!(list.stdout, "");
    bridge.signal("TERM");
    assert_eq!(bridge.wait().await.code(), Some(0));
    expect(&folder, &["spool", "drain", OLD], 1, &["no events queue for"]).await;
}

#[tokio::test]
async fn without_a_bridge_too_and_what_is_rejected_is_a_dead_letter() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let spool = tempfile::tempdir().unwrap();
    let (config, _) = queued(&nats, spool.path()).await;
    let mut bridge = Bridge::config(&config).nats(&nats).start_ready().await;
    let folder = bridge.folder().to_owned();
    bridge.kill();
    let named = format!("{EVENTS} queued for {OLD}, which left the configuration");
    expect(&folder, &["spool", "list"], 0, &[&named]).await;
    nats.create_stream_with(stream::Config {
        name: "OLD".to_owned(),
        subjects: vec!["old.>".to_owned()],
        max_message_size: 700,
        ..Default::default()
    })
    .await;
    let output = expect(
        &folder,
        &["spool", "drain", OLD],
        0,
        &["rejected and kept as dead letters, 0 left"],
    )
    .await;
    let stored = nats.messages("OLD", 1).await.len();
    let rejected = listed(&folder, &["--destination", OLD]).await.len();
    assert!(stored > 0 && rejected > 0 && stored + rejected == EVENTS, "{stored} {rejected}");
    let said = format!("{stored} published, {rejected} rejected and kept as dead letters");
    assert!(output.stderr.contains(&said), "{}", output.stderr);
    let said = format!("{rejected} dead letters; see `hookbus dlq list`");
    expect(&folder, &["spool", "list"], 0, &["nothing is queued", &said]).await;
}
