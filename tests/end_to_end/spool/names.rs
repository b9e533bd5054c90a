//! Subjects and topics that take nothing, beside others of the same destination: they hold up nothing.

mod bounds;
mod brokers;

use super::*;
use std::time::Instant;

const TO: &str = "nats:events.{type}";

/// An event of this type.
fn of_type(kind: &str, key: &str, number: usize) -> String {
    json!({"message": {"type": kind, "call": {"id": key}, "number": number}}).to_string()
}

async fn post(bridge: &Bridge, kind: &str, key: &str, number: usize) -> Sent {
    let answer = bridge.post("/hook", of_type(kind, key, number), &[]).await;
    Sent { key: key.to_owned(), number, answer }
}

/// Posts one that has to be answered so.
async fn told(bridge: &Bridge, kind: &str, key: &str, number: usize, status: u16) -> Sent {
    let sent = post(bridge, kind, key, number).await;
    assert_eq!(sent.answer.status, status, "{kind} {key} {number}: {}", sent.answer.text());
    sent
}

fn metric(name: &str) -> String {
    format!("{name}{{destination=\"{TO}\"}}")
}

/// How many events wait apart.
async fn apart(bridge: &Bridge) -> usize {
    bridge.metric(&metric("hookbus_spool_apart_records")).await as usize
}

/// Waits until so many wait apart, and nothing else is queued.
async fn waiting_apart(bridge: &Bridge, count: usize) {
    eventually(&format!("{count} apart"), RECOVERY, async || {
        let all = bridge.metric(&metric("hookbus_spool_records")).await as usize;
        (all == count && apart(bridge).await == count).then_some(())
    })
    .await;
}

/// What the stream holds of a type, in its order.
async fn stored_of(nats: &Nats, stream: &str, kind: &str) -> Vec<Stored> {
    let messages = nats.messages(stream, 0).await;
    let subject = format!("events.{kind}");
    let of = messages.iter().filter(|message| message.subject == subject);
    of.map(|message| Stored::new(&message.payload, message.header("ce-id"))).collect()
}

/// Each is there once, in the order of its key.
async fn assert_stored(nats: &Nats, stream: &str, kind: &str, sent: &[Sent]) {
    let stored = stored_of(nats, stream, kind).await;
    assert_eq!((stored.len(), assert_kept(sent, &stored)), (sent.len(), 0), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_without_a_stream_holds_up_no_other() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang", "events.transcript"]).await;
    let spool = folder();
    let mut bridge = Bridge::config(config(spool.path(), &[TO])).nats(&nats).start_ready().await;
    let mut homeless = vec![told(&bridge, "status-update", "k", 0, 202).await];
    // Of the same call and of others, at once and all the time.
    let (mut hang, mut transcript) = (Vec::new(), Vec::new());
    for number in 1..30 {
        hang.push(told(&bridge, "hang", "k", number, 200).await);
        homeless.push(told(&bridge, "status-update", "k", number, 202).await);
        transcript.push(told(&bridge, "transcript", "k", number, 200).await);
        hang.push(told(&bridge, "hang", &format!("l{number}"), number, 200).await);
        homeless.push(told(&bridge, "status-update", &format!("l{number}"), number, 202).await);
    }
    let slow = homeless.iter().skip(1).map(|sent| sent.answer.elapsed).max().unwrap();
    assert!(slow < SLACK, "nobody waits for what is known: {slow:?}");
    waiting_apart(&bridge, homeless.len()).await;
    let problem = format!(
        "problem: {TO}: no-stream: `events.status-update` takes nothing; its events wait on disk, apart from the others"
    );
    let ready = bridge.readiness(&problem).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let log = bridge.log();
    assert_eq!(log.matches("events are not stored; they queue on disk").count(), 1, "{log}");
    assert!(log.contains("events.status-update"), "{log}");

    // It outlives the process, and the next one knows what is older.
    bridge.restart().await;
    eventually("200", RECOVERY, async || {
        let number = 1_000 + hang.len();
        let sent = post(&bridge, "hang", "k", number).await;
        let is_direct = sent.answer.status == 200;
        hang.push(sent);
        is_direct.then_some(())
    })
    .await;
    homeless.push(told(&bridge, "status-update", "k", 1_000, 202).await);
    waiting_apart(&bridge, homeless.len()).await;

    nats.create_stream("REST", &["events.status-update"]).await;
    drained(&bridge).await;
    homeless.push(told(&bridge, "status-update", "k", 1_001, 200).await);
    assert_stored(&nats, "REST", "status-update", &homeless).await;
    assert_stored(&nats, "SOME", "hang", &hang).await;
    assert_stored(&nats, "SOME", "transcript", &transcript).await;
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("no-stream"), "{}", ready.text());
}

/// A broker that is down keeps the order of a call across its types; when it is back, those that have no stream get out
/// of the way.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_keeps_the_order_of_all_that_flows() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.create_stream("SOME", &["events.hang", "events.transcript"]).await;
    let spool = folder();
    let bridge = Bridge::config(config(spool.path(), &[TO])).nats(&nats).start_ready().await;
    let mut flows = vec![told(&bridge, "hang", "k", 0, 200).await];
    let mut homeless = vec![told(&bridge, "status-update", "k", 0, 202).await];
    for round in 0..2 {
        nats.kill();
        bridge.readiness("nats: down").await;
        for number in 1..40 {
            let number = round * 100 + number;
            let kind = ["hang", "status-update", "transcript"][number % 3];
            let sent = told(&bridge, kind, "k", number, 202).await;
            if kind == "status-update" { homeless.push(sent) } else { flows.push(sent) }
        }
        nats.restart().await;
        waiting_apart(&bridge, homeless.len()).await;
        flows.push(told(&bridge, "hang", "k", round * 100 + 50, 200).await);
        // In the order in which they were sent, whatever their types.
        let stored = Broker::stored_in(&nats, "SOME").await;
        assert_eq!((stored.len(), assert_kept(&flows, &stored)), (flows.len(), 0));
    }
    nats.create_stream("REST", &["events.status-update"]).await;
    drained(&bridge).await;
    assert_stored(&nats, "REST", "status-update", &homeless).await;
}

/// A stream that is away for a moment, as in an election: the order of a call holds across its types.
#[tokio::test(flavor = "multi_thread")]
async fn a_moment_without_a_stream_keeps_the_order() {
    let Some(nats) = Nats::start().await else { return };
    nats.create_stream("HANG", &["events.hang"]).await;
    nats.create_stream("REST", &["events.transcript"]).await;
    let spool = folder();
    let bridge = Bridge::config(config(spool.path(), &[TO])).nats(&nats).start_ready().await;
    told(&bridge, "hang", "k", 0, 200).await;
    let jetstream = nats.jetstream().await;
    jetstream.delete_stream("HANG").await.unwrap();
    let began = Instant::now();
    let (first, second, ()) = tokio::join!(
        post(&bridge, "hang", "k", 1),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            post(&bridge, "transcript", "k", 2).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            nats.create_stream("HANG", &["events.hang"]).await;
        }
    );
    println!("{:?}", began.elapsed());
    assert_eq!((first.answer.status, second.answer.status), (200, 200));
    let time = async |stream: &str| {
        let stream = jetstream.get_stream(stream).await.unwrap();
        stream.get_raw_message(1).await.unwrap().time
    };
    assert!(time("HANG").await < time("REST").await, "one after the other");
    assert_eq!(apart(&bridge).await, 0);
}
