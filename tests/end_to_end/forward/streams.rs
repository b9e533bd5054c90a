//! An endpoint whose events lie in several streams: all of them are read, each with a consumer of its own.

use super::events::{bodies, publish};
use super::{Forward, PATIENCE, Server};
use crate::support::{Nats, eventually};

const STREAMS: [(&str, &[&str]); 2] =
    [("CALLS", &["vapi.events.hang"]), ("REST", &["vapi.events.status-update", "other.>"])];

async fn start() -> Option<(Nats, Server)> {
    let nats = Nats::start().await?;
    for (name, subjects) in STREAMS {
        nats.create_stream(name, subjects).await;
    }
    Some((nats, Server::start()?))
}

/// Waits until the consumers of both streams wait for nothing.
async fn settled(nats: &Nats, name: &str) {
    for (stream, _) in STREAMS {
        eventually("a consumer that is done", PATIENCE, async || {
            let stream = nats.jetstream().await.get_stream(stream).await.ok()?;
            let info = stream.consumer_info(name).await.ok()?;
            (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn all_are_read_in_order_and_remembered_apart() {
    let Some((mut nats, server)) = start().await else { return };
    let flags = ["--durable", "d"];
    let mut forward = Forward::events(&nats, &server.url("slow/0.02"), &flags).await;
    forward.said("events from stream `REST` (vapi.events.status-update), consumer `d`").await;
    forward.said("events from stream `CALLS` (vapi.events.hang), consumer `d`").await;
    let publish_both = async |nats: &Nats, numbers: std::ops::Range<usize>| {
        for number in numbers {
            publish(nats, "hang", Some("a"), &format!("hang {number}")).await;
            publish(nats, "status-update", Some("b"), &format!("status {number}")).await;
        }
    };
    publish_both(&nats, 0..20).await;
    server.heard(10).await;
    nats.restart().await;
    publish_both(&nats, 20..30).await;
    let requests = eventually("all of them", PATIENCE * 2, async || {
        let requests = server.requests();
        let has = |key, last: &str| bodies(&requests, key).contains(&last);
        (has("a", "hang 29") && has("b", "status 29")).then_some(requests.clone())
    })
    .await;
    for (key, name) in [("a", "hang"), ("b", "status")] {
        let expected: Vec<_> = (0..30).map(|number| format!("{name} {number}")).collect();
        assert_eq!(bodies(&requests, key), expected);
    }
    settled(&nats, "d").await;
    forward.stop().await;
    // What comes meanwhile is there for the next one, of both.
    publish_both(&nats, 30..31).await;
    let _again = Forward::events(&nats, &server.url("ok"), &flags).await;
    let requests = server.heard(62).await;
    assert_eq!(bodies(&requests, "a").last(), Some(&"hang 30"));
    assert_eq!(bodies(&requests, "b").last(), Some(&"status 30"));
    settled(&nats, "d").await;
}

#[tokio::test]
async fn an_event_that_fails_holds_up_no_other_stream_and_names_its_own() {
    let Some((nats, server)) = start().await else { return };
    nats.create_stream("DEAD", &["vapi.dead"]).await;
    let flags = ["--durable", "d", "--dead-letters", "vapi.dead", "--max-deliver", "3"];
    let to = server.url("status/500?first=3");
    let _forward = Forward::events(&nats, &to, &flags).await;
    // Of each key the first three requests fail: the event that is given up, and what follows it, comes after.
    publish(&nats, "hang", Some("a"), "poison").await;
    publish(&nats, "hang", Some("a"), "fine").await;
    publish(&nats, "status-update", None, "x").await;
    publish(&nats, "status-update", Some("b"), "poison too").await;
    let letters = nats.messages("DEAD", 3).await;
    let mut of: Vec<_> = letters
        .iter()
        .map(|letter| (letter.header("Hookbus-Stream"), letter.header("Hookbus-Sequence")))
        .collect();
    of.sort_unstable();
    let expected = [("CALLS", "1"), ("REST", "1"), ("REST", "2")];
    assert_eq!(of, expected.map(|(stream, sequence)| (Some(stream), Some(sequence))));
    settled(&nats, "d").await;
    assert_eq!(bodies(&server.requests(), "a"), ["poison", "poison", "poison", "fine"]);
}
