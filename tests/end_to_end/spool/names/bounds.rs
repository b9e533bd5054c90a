//! A thousand types without a stream, a long queue, and a disk that is full: what flows, flows.

use super::*;

const TYPES: usize = 1_000;

/// Posts events of so many types at once, 32 at a time; each is answered 202.
async fn stuck(bridge: &Bridge, types: usize, number: usize) -> Vec<Sent> {
    let lanes = (0..32).map(async |lane| {
        let mut all = Vec::new();
        for kind in (lane..types).step_by(32) {
            let kind = format!("other-{kind}");
            all.push(told(bridge, &kind, &format!("k{lane}"), number, 202).await);
        }
        all
    });
    join_all(lanes).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_types_without_a_stream_hold_up_nothing() {
    let _load = LOAD.write().await;
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang"]).await;
    let spool = folder();
    let bridge = Bridge::config(config(spool.path(), &[TO])).nats(&nats).start_ready().await;
    for number in 0..3 {
        stuck(&bridge, TYPES, number).await;
        // While they are many, and of calls that have some of them too.
        let flows = send_all(&bridge, 40, number * 10..number * 10 + 10).await;
        assert_all(&flows, 200);
        println!("p99 {:?}", p99(&flows));
        assert!(p99(&flows) < SLACK, "{:?}", p99(&flows));
    }
    waiting_apart(&bridge, 3 * TYPES).await;
    let ready = bridge.readiness("and 997 more take nothing").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().len() < 2_000, "{}", ready.text());
    let log = bridge.log();
    assert!(log.lines().count() < 50, "{log}");
    println!("{} KiB at the most", bridge.peak_rss_bytes() >> 10);

    // One is mended alone, then all others.
    nats.create_stream("ONE", &["events.other-7"]).await;
    eventually("those of the one", RECOVERY * 2, async || {
        (stored_of(&nats, "ONE", "other-7").await.len() == 3).then_some(())
    })
    .await;
    let jetstream = nats.jetstream().await;
    jetstream.delete_stream("SOME").await.unwrap();
    jetstream.delete_stream("ONE").await.unwrap();
    nats.create_stream("ALL", &["events.>"]).await;
    drained(&bridge).await;
    let stored = Broker::stored_in(&nats, "ALL").await;
    assert_eq!(stored.len(), 3 * (TYPES - 1));
    assert!(!bridge.admin("/readyz").await.text().contains("no-stream"));
}

/// More than any window holds, of one type, in front of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_of_one_type_holds_up_no_other() {
    const RECORDS: usize = 30_000;
    let _load = LOAD.write().await;
    let spool = folder();
    // As an outage leaves it: first those without a stream, then others, of the same calls.
    fill(spool.path(), TO, "events.status-update", RECORDS).await;
    fill(spool.path(), TO, "events.hang", RECORDS / 10).await;
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang"]).await;
    let bridge = Bridge::config(config(spool.path(), &[TO])).nats(&nats).start_ready().await;
    waiting_apart(&bridge, RECORDS).await;
    assert_eq!(stored_of(&nats, "SOME", "hang").await.len(), RECORDS / 10);
    assert_all(&send_all(&bridge, 20, 1_000..1_005).await, 200);
    assert!(bridge.peak_rss_bytes() < 150 << 20, "{}", bridge.peak_rss_bytes());
    // Those who left the first queue gave their room back.
    let bytes = bridge.metric("hookbus_spool_bytes").await;
    assert!(bytes < (RECORDS * 1_400) as f64 + f64::from(32 << 20), "{bytes}");

    nats.create_stream("REST", &["events.status-update"]).await;
    drained(&bridge).await;
    let stored = stored_of(&nats, "REST", "status-update").await;
    assert_eq!((stored.len(), assert_kept(&[], &stored)), (RECORDS, 0));
}

/// A spool without room, half of which has no stream: what flows makes room, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_lets_through_what_flows() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang"]).await;
    let spool = folder();
    let text = config(spool.path(), &[TO]) + "max_bytes = \"2MiB\"\n";
    let bridge = Bridge::config(&text).nats(&nats).start_ready().await;
    nats.kill();
    bridge.readiness("nats: down").await;
    let text = "x".repeat(1_000);
    let (mut flows, mut homeless) = (Vec::new(), Vec::new());
    for number in 0.. {
        let kind = ["hang", "status-update"][number % 2];
        let key = format!("k{}", number % 7);
        let body =
            json!({"message": {"type": kind, "call": {"id": key}, "number": number, "text": text}});
        let answer = bridge.post("/hook", body.to_string(), &[]).await;
        if answer.status == 503 {
            break;
        }
        assert_eq!(answer.status, 202, "{}", answer.text());
        let sent = Sent { key, number, answer };
        if kind == "hang" { flows.push(sent) } else { homeless.push(sent) }
    }
    assert!(flows.len() > 500, "{}", flows.len());
    nats.restart().await;
    eventually("all that flows", RECOVERY * 2, async || {
        (stored_of(&nats, "SOME", "hang").await.len() == flows.len()).then_some(())
    })
    .await;
    assert_stored(&nats, "SOME", "hang", &flows).await;
    waiting_apart(&bridge, homeless.len()).await;
    // There is room again.
    eventually("202", RECOVERY, async || {
        let sent = post(&bridge, "status-update", "again", 0).await;
        (sent.answer.status == 202).then_some(())
    })
    .await;
    told(&bridge, "hang", "again", 0, 200).await;
    nats.create_stream("REST", &["events.status-update"]).await;
    drained(&bridge).await;
    let mut stored = stored_of(&nats, "REST", "status-update").await;
    stored.retain(|stored| stored.key != "again");
    assert_eq!((stored.len(), assert_kept(&homeless, &stored)), (homeless.len(), 0));
}
