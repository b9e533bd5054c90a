//! A disk that syncs more slowly than anybody waits: what was answered with a 503 may be kept all the same, and the order
//! of its key holds.

use super::disk::{Faulty, assert_refused, kept_again};
use super::*;

/// Events of other keys, so that what stands behind them takes a while to be published.
const KEYS: usize = 64;
const OF_EACH: usize = 80;

/// The event that opens an outage waits too long for its sync, and is on disk later. The next one of its key, which got
/// its 202, is not overtaken by those that come when the broker is back.
async fn the_first_event_of_an_outage_is_kept_too_late(rounds: usize) {
    let Some(mut faulty) = Faulty::start_with("sync_timeout = \"500ms\"").await else { return };
    let mut sent = send(&faulty.bridge, "k", 0..2).await;
    assert_all(&sent, 200);
    let mut number = 2;
    for round in 0..rounds {
        faulty.nats.kill();
        faulty.bridge.readiness("nats: down").await;
        faulty.is("slow 1500");
        let opens = send(&faulty.bridge, "k", number..number + 1).await;
        assert_refused(&opens[0].answer, "spool-slow");
        faulty.is("");
        kept_again(&faulty.bridge).await;
        let first = round * OF_EACH;
        assert_all(&send_all(&faulty.bridge, KEYS, first..first + OF_EACH).await, 202);
        let told = send(&faulty.bridge, "k", number + 1..number + 2).await;
        assert_all(&told, 202);
        sent.extend(opens);
        sent.extend(told);
        number += 2;

        faulty.nats.restart().await;
        let records = async || faulty.bridge.metric("hookbus_spool_records").await;
        let all = records().await;
        // Before that all queue, since nobody knows yet that the broker is back.
        eventually("a drain", RECOVERY, async || (records().await < all).then_some(())).await;
        while records().await > 0.0 {
            let next = send(&faulty.bridge, "k", number..number + 1).await;
            assert!(next.iter().all(|sent| sent.answer.status < 300), "{:?}", statuses(&next));
            sent.extend(next);
            number += 1;
        }
    }
    let stored = Broker::stored_in(&faulty.nats, "EVENTS").await;
    let ours: Vec<_> = stored.into_iter().filter(|stored| stored.key == "k").collect();
    assert_eq!((ours.len(), assert_kept(&sent, &ours)), (sent.len(), 0), "each once, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_sync_keeps_the_order_of_its_key() {
    let _load = LOAD.write().await;
    the_first_event_of_an_outage_is_kept_too_late(2).await;
}
