//! A queue has one drain at a time, even when a request and a reload both ask for one.

use super::*;
use crate::support::http::raw;
use futures_util::future::join;

const OLD: &str = "nats:events.{type}";
const RECORDS: usize = 20_000;

/// A bridge with a queue for [`OLD`], which its configuration doesn't name. JetStream would store twice what is sent
/// twice.
async fn with_a_former_destination(nats: &Nats, spool: &Path) -> Bridge {
    fill_with(spool, OLD, "events.hang", RECORDS, false).await;
    Bridge::config(config(spool, &["nats:new"])).nats(nats).start_ready().await
}

/// Gives the bridge a configuration, and has it taken over.
async fn reload(bridge: &mut Bridge, spool: &Path, to: &str) {
    bridge.configure(&config(spool, &[to]));
    let answer = bridge.client().post(&bridge.admin_url("/reload"), "", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Has the queue published until somebody has seen the end; the answer in lines.
fn drain(bridge: &Bridge) -> tokio::task::JoinHandle<String> {
    let address = bridge.admin_address();
    tokio::spawn(async move {
        let request = format!(
            "POST /spool/drain?destination=nats%3Aevents.%7Btype%7D HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        String::from_utf8(raw(&address, request.as_bytes()).await).unwrap()
    })
}

/// Waits until some of it is published, and makes sure that not all of it is.
async fn under_way(bridge: &Bridge) {
    eventually("progress", RECOVERY, async || {
        let records = bridge.metric("hookbus_spool_records").await;
        (records < RECORDS as f64).then_some(())
    })
    .await;
}

async fn assert_each_once(bridge: &Bridge, nats: &Nats, more: &[Sent]) {
    drained(bridge).await;
    let stored = Broker::stored_in(nats, "EVENTS").await;
    assert_eq!((stored.len(), assert_kept(more, &stored)), (RECORDS + more.len(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_comes_back_while_its_queue_is_drained() {
    let _load = LOAD.write().await;
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>", "new"]).await;
    let spool = folder();
    let mut bridge = with_a_former_destination(&nats, spool.path()).await;
    let draining = drain(&bridge);
    under_way(&bridge).await;
    reload(&mut bridge, spool.path(), OLD).await;
    let left = bridge.metric("hookbus_spool_records").await;
    assert!(left > 0.0, "the drain was over before the reload");
    // What comes now goes behind what an earlier process left, whose keys nobody knows.
    let live = send(&bridge, "live", 0..10).await;
    assert!(live.iter().all(|sent| sent.answer.status < 300), "{:?}", statuses(&live));
    let (_, answer) = join(assert_each_once(&bridge, &nats, &live), draining).await;
    let answer = answer.unwrap();
    assert!(answer.contains(r#""line":"summary""#), "{answer}");
    // From now on the bridge publishes by itself.
    assert_all(&send(&bridge, "live", 10..11).await, 200);
}

/// Two reloads and a second drain, while the first one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_meanwhile_there_is_one_drain() {
    let _load = LOAD.write().await;
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>", "new"]).await;
    let spool = folder();
    let mut bridge = with_a_former_destination(&nats, spool.path()).await;
    let first = drain(&bridge);
    under_way(&bridge).await;
    let second = drain(&bridge).await.unwrap();
    assert!(second.starts_with("HTTP/1.1 409 "), "{second}");
    for to in [OLD, "nats:new", OLD] {
        reload(&mut bridge, spool.path(), to).await;
    }
    let third = drain(&bridge).await.unwrap();
    assert!(third.starts_with("HTTP/1.1 409 ") || third.starts_with("HTTP/1.1 404 "), "{third}");
    // Whoever listened to the first goes away: the bridge goes on.
    first.abort();
    assert_each_once(&bridge, &nats, &[]).await;
}

/// A destination that leaves while its queue is published is published to the end, by the same drain.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_leaves_and_comes_back_while_it_is_drained() {
    let _load = LOAD.write().await;
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("EVENTS", &["events.>", "new"]).await;
    let spool = folder();
    fill_with(spool.path(), OLD, "events.hang", RECORDS, false).await;
    let mut bridge = Bridge::config(config(spool.path(), &[OLD])).nats(&nats).start_ready().await;
    under_way(&bridge).await;
    reload(&mut bridge, spool.path(), "nats:new").await;
    let answer = drain(&bridge).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 ") || answer.starts_with("HTTP/1.1 404 "), "{answer}");
    reload(&mut bridge, spool.path(), OLD).await;
    assert_each_once(&bridge, &nats, &[]).await;
}
