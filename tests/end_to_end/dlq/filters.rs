//! Which dead letters are meant.

use super::{SMALL, event, expect, ids, large, listed, rejected};
use crate::support::{Bridge, HOOK, Nats, endpoint, eventually};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn only_what_is_named_is_published_or_dropped() {
    let Some(mut nats) = Nats::start_with(SMALL).await else {
        return;
    };
    nats.create_stream("EVENTS", &["hook.events.>", "a.>", "b.>"]).await;
    let other = endpoint("other").events_to(&["nats:a.{type}", "nats:b.{type}"]);
    let bridge = Bridge::config(format!("{HOOK}{other}")).nats(&nats).start_ready().await;
    let folder = bridge.folder();
    let first = rejected(&bridge, "/hook", large("transcript", "k")).await;
    let second = rejected(&bridge, "/hook", large("status-update", "k")).await;
    let both = rejected(&bridge, "/other", large("transcript", "k")).await;
    let entries = listed(folder, &[]).await;
    let when = |index: usize| entries[index]["dead_lettered"].as_str().unwrap().to_owned();
    sleep(Duration::from_millis(2)).await;
    let last = rejected(&bridge, "/other", large("chat.created", "k")).await;
    let end = listed(folder, &[]).await[4]["dead_lettered"].as_str().unwrap().to_owned();

    let (a, every) =
        ("nats:a.{type}", [&first, &second, &both, &both, &last, &last].map(String::as_str));
    for (arguments, expected) in [
        (&[][..], &every[..]),
        (&["--all"], &every),
        (&["--endpoint", "hook"], &every[..2]),
        (&["--endpoint", "o*"], &every[2..]),
        (&["--endpoint", "none"], &[]),
        (&["--type", "transcript"], &[every[0], every[2], every[3]]),
        (&["--type", "ai.vapi.transcript"], &[every[0], every[2], every[3]]),
        (&["--type", "chat.created"], &every[4..]),
        (&["--type", "chat.*", "--type", "status-update"], &[every[1], every[4], every[5]]),
        (&["--type", "chat"], &[]),
        (&["--reason", "too-large"], &every),
        (&["--reason", "invalid-record"], &[]),
        (&["--id", &both], &every[2..4]),
        (&["--id", &both, "--destination", a], &every[2..3]),
        (&["--destination", "nats:{endpoint}.events.{type}"], &every[..2]),
        (&["--since", &end], &every[4..]),
        (&["--until", &when(0)], &every[..1]),
        (&["--since", "1h", "--until", "1m"], &[]),
        (&["--since", "2020-01-01T12:00:00+02:00"], &every),
    ] {
        let mut found = ids(folder, arguments).await;
        if arguments.first() != Some(&"--until") {
            // The two parts of one webhook become dead letters at the same time.
            assert_eq!(found, expected, "{arguments:?}");
        }
        found.truncate(1);
        assert_eq!(found.first().map(String::as_str), expected.first().copied(), "{arguments:?}");
    }

    // What is not said is not guessed.
    for command in ["replay", "drop"] {
        for arguments in [&["dlq", command][..], &["dlq", command, "--dry-run", "--json"]] {
            expect(folder, arguments, 2, &["error: ", "hint: ", "--all"]).await;
        }
    }
    for arguments in [
        &["dlq", "list", "--dry-run"][..],
        &["dlq", "list", "--since", "yesterday"],
        &["dlq", "list", "--admin", "localhost:9180"],
        &["dlq", "replay", "--all", "--endpoints", "hook"],
        &["dlq", "drop", "nats:a.{type}"],
        &["spool", "list", "--endpoint", "hook"],
        &["spool", "drain"],
        &["spool", "drain", "nats:a.{type}", "--all"],
        &["replay", "--all"],
    ] {
        expect(folder, arguments, 2, &["error: "]).await;
    }

    let dry = ["dlq", "drop", "--destination", a, "--dry-run"];
    expect(folder, &dry, 0, &["2 would be dropped"]).await;
    assert_eq!(ids(folder, &[]).await.len(), 6);
    expect(folder, &dry[..4], 0, &["2 dropped, 0 left"]).await;
    assert_eq!(ids(folder, &[]).await, [&first, &second, &both, &last].map(String::as_str));

    nats.restart_with("").await;
    eventually("the connection", Duration::from_secs(10), async || {
        let answer = bridge.post("/hook", event("hang", "again", 10), &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let before = nats.messages("EVENTS", 1).await.len() as u64;
    expect(folder, &["dlq", "replay", "--type", "transcript"], 0, &["2 published"]).await;
    let stored = nats.messages("EVENTS", before + 2).await;
    let mut subjects: Vec<_> =
        stored[before as usize..].iter().map(|stored| &*stored.subject).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["b.transcript", "hook.events.transcript"]);
    expect(folder, &["dlq", "drop", "--all"], 0, &["2 dropped, 0 left"]).await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0);
    bridge.logs("processed dead letters").await;
}
