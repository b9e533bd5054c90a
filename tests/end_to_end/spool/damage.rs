//! A spool that somebody or something damaged while no bridge was looking.

use super::*;
use std::fs;
use std::path::PathBuf;

/// Files below the spool that end so.
fn files(spool: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for queue in fs::read_dir(spool.join("queues")).unwrap() {
        for file in fs::read_dir(queue.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().ends_with(ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Leaves 20 events on disk, lets `damage` do its work on their segment, and starts a bridge again. Returns which of
/// them reach the broker, and what was set aside.
async fn after(damage: impl FnOnce(&mut Vec<u8>)) -> Option<(Vec<usize>, usize)> {
    let mut nats = Nats::start().await?;
    nats.create_stream("EVENTS", &["events.>"]).await;
    let spool = folder();
    let setup = Bridge::config(config(spool.path(), &["nats:events.{type}"])).nats(&nats);
    let mut bridge = setup.clone().start_ready().await;
    nats.kill();
    bridge.readiness("nats: down").await;
    let sent = send(&bridge, "k", 0..20).await;
    assert_all(&sent, 202);
    bridge.kill();
    nats.restart().await;

    let segments = files(spool.path(), ".segment");
    let [segment] = &*segments else { panic!("{segments:?}") };
    let mut bytes = fs::read(segment).unwrap();
    damage(&mut bytes);
    fs::write(segment, bytes).unwrap();

    let bridge = setup.start_ready().await;
    drained(&bridge).await;
    let set_aside = files(spool.path(), ".corrupt").len();
    assert_eq!(bridge.metric("hookbus_spool_damaged").await, set_aside as f64);
    let said = "a part of the spool was set aside";
    eventually("all of it in the log", RECOVERY, async || {
        (bridge.log().matches(said).count() >= set_aside).then_some(())
    })
    .await;
    assert_eq!(bridge.log().matches(said).count(), set_aside, "{}", bridge.log());
    // It works as before.
    assert_all(&send(&bridge, "k", 20..21).await, 200);
    let numbers: Vec<_> =
        Broker::stored_in(&nats, "EVENTS").await.iter().map(|stored| stored.number).collect();
    Some((numbers, set_aside))
}

/// Where the payload of this event stands.
fn payload(bytes: &[u8], number: usize) -> std::ops::Range<usize> {
    let payload = event("k", number);
    let start = bytes.windows(payload.len()).position(|window| window == payload.as_bytes());
    let start = start.expect("the payload as it was received");
    start..start + payload.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_was_damaged() {
    let Some((numbers, set_aside)) = after(|_| {}).await else { return };
    assert!(numbers.iter().copied().eq(0..=20), "{numbers:?}");
    assert_eq!(set_aside, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_costs_the_record_that_was_torn() {
    let torn = after(|bytes| bytes.truncate(payload(bytes, 19).start + 5)).await;
    let Some((numbers, set_aside)) = torn else { return };
    assert!(numbers.iter().copied().eq((0..=20).filter(|number| *number != 19)), "{numbers:?}");
    assert_eq!(set_aside, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_cost_the_records_that_they_are_in() {
    let flipped = after(|bytes| {
        for number in [3, 4, 11] {
            let place = payload(bytes, number).start + 7;
            bytes[place] ^= 4;
        }
    })
    .await;
    let Some((numbers, set_aside)) = flipped else { return };
    let lost = [3, 4, 11];
    assert!(numbers.iter().copied().eq((0..=20).filter(|it| !lost.contains(it))), "{numbers:?}");
    // Two of them stand together.
    assert_eq!(set_aside, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_at_the_end_costs_nothing() {
    let Some((numbers, set_aside)) = after(|bytes| bytes.extend([0x5a; 3_000])).await else {
        return;
    };
    assert!(numbers.iter().copied().eq(0..=20), "{numbers:?}");
    assert_eq!(set_aside, 1);
}
