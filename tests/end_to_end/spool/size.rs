//! A large backlog: how soon a bridge is there, and what it holds in memory.

use super::*;
use crate::support::ports;
use std::time::Instant;

const START: Duration = Duration::from_secs(2);
const MEMORY: u64 = 64 << 20;

/// Starts on a backlog of so many, first without its broker, then with it.
async fn starts_with(records: usize) {
    let _load = LOAD.write().await;
    let spool = folder();
    fill(spool.path(), "nats:events.{type}", "events.hang", records).await;
    let text = config(spool.path(), &["nats:events.{type}"]);
    let nowhere = format!("nats://127.0.0.1:{}", ports::free());
    let began = Instant::now();
    let mut bridge = Bridge::config(&text).nats_at(&nowhere).start().await;
    let took = began.elapsed();
    assert_eq!(bridge.metric("hookbus_spool_records").await, records as f64);
    println!("{records} records: started in {took:?} with {} KiB", bridge.rss_bytes() >> 10);
    assert!(took < START, "{took:?}");
    // Events go behind it, and nothing is read that nobody takes.
    assert_all(&send_all(&bridge, 20, 1_000_000..1_000_050).await, 202);
    assert!(bridge.peak_rss_bytes() < MEMORY, "{}", bridge.peak_rss_bytes());
    bridge.kill();

    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>"]).await;
    let began = Instant::now();
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    println!("ready after {:?}", began.elapsed());
    assert!(began.elapsed() < START, "{:?}", began.elapsed());
    eventually("an empty spool", Duration::from_secs(600), async || {
        (bridge.metric("hookbus_spool_records").await == 0.0).then_some(())
    })
    .await;
    let took = began.elapsed();
    let rate = records as f64 / took.as_secs_f64();
    let peak = bridge.peak_rss_bytes();
    println!("drained in {took:?}, {rate:.0} a second, with {} KiB at the most", peak >> 10);
    assert!(peak < MEMORY, "{peak}");
    let state = nats.jetstream().await.get_stream("EVENTS").await.unwrap().cached_info().clone();
    assert_eq!(state.state.messages, records as u64 + 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events() {
    starts_with(100_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 1.3 GB of disk and some minutes"]
async fn a_million_events() {
    starts_with(1_000_000).await;
}
