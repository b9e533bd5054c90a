//! Somebody removes files of the spool while a bridge uses them: a cleaner of temporary files, or a hand that slipped.

use super::*;
use crate::support::bridge::run;
use std::fs;
use std::path::PathBuf;

/// The segments of all queues, and of the dead letters.
fn segments(spool: &Path) -> Vec<PathBuf> {
    let queues = fs::read_dir(spool.join("queues")).into_iter().flatten().flatten();
    let places = queues.map(|queue| queue.path()).chain([spool.join("dead-letters")]);
    let files = places.flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten());
    let paths = files.map(|file| file.path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
}

const DAMAGED: &str = "hookbus_spool_damaged";

async fn damaged(bridge: &Bridge, at_least: f64) {
    eventually(&format!("{at_least} in {DAMAGED}"), RECOVERY, async || {
        (bridge.metric(DAMAGED).await >= at_least).then_some(())
    })
    .await;
}

/// With a dead broker and five events on disk, somebody does something to the spool. What comes then is kept all the
/// same, and reaches the broker.
async fn after(mischief: impl Fn(&Path)) {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let folder = folder();
    let spool = folder.path().join("spool");
    let mut bridge =
        Bridge::config(config(&spool, &["nats:events.{type}"])).nats(&nats).start_ready().await;
    nats.kill();
    bridge.readiness("nats: down").await;
    assert_all(&send(&bridge, "first", 0..5).await, 202);
    mischief(&spool);
    let mut kept = send(&bridge, "k", 0..5).await;
    assert_all(&kept, 202);
    damaged(&bridge, 1.0).await;
    let ready = bridge.readiness("problem: spool files: ").await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert!(ready.text().contains("events that were kept on disk are lost: "), "{}", ready.text());

    // It may be killed: what was answered 202 since then is on the disk, and not in a file that nobody finds.
    bridge.kill();
    nats.restart().await;
    bridge.restart().await;
    drained(&bridge).await;
    let direct = send(&bridge, "k", 5..7).await;
    assert_all(&direct, 200);
    kept.extend(direct);
    assert_kept(&kept, &Broker::stored_in(&nats, "EVENTS").await);
    bridge.signal("TERM");
    assert_eq!(bridge.wait().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_removed() {
    after(|spool| segments(spool).iter().for_each(|path| fs::remove_file(path).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_moved_away() {
    let away = |path: &PathBuf| fs::rename(path, path.with_extension("old")).unwrap();
    after(|spool| segments(spool).iter().for_each(away)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_removed() {
    after(|spool| fs::remove_dir_all(spool).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_is_counted_and_holds_up_nothing() {
    const RECORDS: usize = 12_000;
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let folder = folder();
    let spool = folder.path().join("spool");
    fill(&spool, "nats:events.{type}", "events.hang", RECORDS).await;
    nats.kill();
    // A megabyte a segment, so that there are some.
    let text = config(&spool, &["nats:events.{type}"]) + "max_bytes = \"32MiB\"\n";
    let bridge = Bridge::config(&text).nats(&nats).start().await;
    // What was read already is published from memory.
    for path in segments(&spool) {
        fs::remove_file(path).unwrap();
    }
    damaged(&bridge, RECORDS as f64).await;
    assert_all(&send_all(&bridge, 5, 100..102).await, 202);
    bridge.logs("a file of the spool was removed").await;
    nats.restart().await;
    drained(&bridge).await;
    let stored = Broker::stored_in(&nats, "EVENTS").await;
    println!("{} of {RECORDS} were in memory", stored.len() - 10);
    let lost = RECORDS - (stored.len() - 10);
    assert!(lost > RECORDS / 2 && lost as f64 <= bridge.metric(DAMAGED).await, "{lost}");
    assert_eq!(bridge.metric(DAMAGED).await, RECORDS as f64);
    let status = run(&["status", "--admin", &bridge.admin_url("")]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.stdout.contains(&format!("MISSING         {lost:>12}  ")), "{}", status.stdout);
    // Every key is in order, and nothing is left over.
    assert_kept(&[], &stored);
    eventually("an empty disk", RECOVERY, async || {
        (bridge.metric("hookbus_spool_bytes").await == 0.0).then_some(())
    })
    .await;
    assert_all(&send_all(&bridge, 5, 200..201).await, 200);
}

/// Set aside for somebody to look at, and gone.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_vanish() {
    let Some(nats) = Nats::start_with("max_payload: 1MB\n").await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let folder = folder();
    let spool = folder.path().join("spool");
    let bridge =
        Bridge::config(config(&spool, &["nats:events.{type}"])).nats(&nats).start_ready().await;
    let large = json!({"message": {"type": "hang", "text": "x".repeat(2_000_000)}}).to_string();
    assert_eq!(bridge.post("/hook", large.clone(), &[]).await.status, 202);
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 1.0);
    for path in segments(&spool) {
        fs::remove_file(path).unwrap();
    }
    damaged(&bridge, 1.0).await;
    bridge.readiness("problem: spool files: 1 event that was kept on disk is lost: ").await;
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 0.0);
    assert_eq!(bridge.post("/hook", large, &[]).await.status, 202);
    assert_eq!(bridge.metric("hookbus_dead_letters").await, 1.0);
    assert_eq!(segments(&spool).len(), 1);
}
