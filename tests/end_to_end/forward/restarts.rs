//! NATS restarts in the middle of what is being posted.

use super::events::{consumer, publish, settled};
use super::questions::{entry, start_with, tool_calls};
use super::{Forward, PATIENCE};
use crate::support::eventually;
use std::collections::BTreeMap;

const LATER: &str = "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"6s\"\nfallback = \"later\"\n";

#[tokio::test]
async fn a_question_is_asked_once_and_answered_once() {
    let started = start_with("slow/2?then=vapi", &[], LATER).await;
    let Some((mut nats, server, mut forward, bridge)) = started else { return };
    let url = bridge.url("/vapi");
    let client = bridge.client().clone();
    let asking =
        tokio::spawn(async move { client.post(&url, tool_calls(&["get_weather"]), &[]).await });
    server.asked(1).await;
    nats.restart().await;
    // One answer, in time: the server's, if it found its way, or the fallback.
    let reply = asking.await.unwrap();
    let result = entry(&reply)["result"].clone();
    assert!(result == "later" || result == "It is sunny in Oslo.", "{}", reply.text());
    forward.said("hookbus forward is ready again").await;
    eventually("an answer", PATIENCE, async || {
        let reply = bridge.post("/vapi", tool_calls(&["get_time"]), &[]).await;
        (entry(&reply)["error"] == "there is no get_time").then_some(())
    })
    .await;
    // Whatever was lost or late, nobody asked the server again.
    let asked = server.requests();
    let asked = asked.iter().filter(|request| request.body.contains("get_weather")).count();
    assert_eq!(asked, 1);
    assert!(bridge.metric("hookbus_ignored_replies_total").await <= 1.0);
}

#[tokio::test]
async fn no_event_is_acknowledged_without_its_2xx() {
    const EVENTS: usize = 12;
    const REFUSED: usize = 3;
    let Some((mut nats, server)) = super::events::start().await else { return };
    let to = server.url(&format!("status/503?first={REFUSED}"));
    let flags = ["--durable", "d", "--max-deliver", "100"];
    let mut forward = Forward::events(&nats, &to, &flags).await;
    for number in 0..EVENTS {
        publish(&nats, "hang", Some(&format!("k{number}")), &number.to_string()).await;
    }
    // What is acknowledged, and what the server had taken by then: asked in this order, the second can only be more.
    let look = async |nats: &_| {
        let floor = consumer(nats, "d").await.ack_floor.stream_sequence;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for request in server.requests() {
            *counts.entry(request.body).or_default() += 1;
        }
        let is_taken =
            |number: &usize| counts.get(&number.to_string()).is_some_and(|count| *count > REFUSED);
        let taken = (0..EVENTS).take_while(is_taken).count();
        assert!(floor <= taken as u64, "{floor} are acknowledged, and {taken} were taken");
        taken
    };
    for heard in [1, EVENTS + 1, 2 * EVENTS + 1] {
        server.heard(heard).await;
        look(&nats).await;
        nats.restart().await;
        look(&nats).await;
    }
    eventually("all of them", PATIENCE * 2, async || (look(&nats).await == EVENTS).then_some(()))
        .await;
    settled(&nats, "d").await;
    // After its 2xx none came again.
    assert_eq!(server.requests().len(), EVENTS * (REFUSED + 1));
    forward.stop().await;
}
