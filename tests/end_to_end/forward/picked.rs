//! Functions by a pattern that no rule gives a subject of its own: picked out of all that is asked there.

use super::questions::{entry, start, tool_calls};
use super::{Forward, Server};
use crate::support::{Bridge, Nats, Reply, Worker, endpoint};
use std::time::Duration;

const PICKED: [&str; 2] = ["--functions", "get_*"];

#[tokio::test]
async fn what_fits_is_answered_and_the_rest_is_left_to_others() {
    let Some((nats, server, mut forward, bridge)) = start("vapi", &PICKED).await else { return };
    forward.said("no rule gives get_* a subject of their own").await;
    forward.said("vapi.tool.* (queue group q.get_%2A)").await;
    // In the usual group, where a question that was taken and not answered would be missing.
    let worker = Worker::start(&nats, "vapi.tool.*", |question| match question.subject.as_str() {
        "vapi.tool.get_weather" => Reply::text("too late").after(Duration::from_secs(3)),
        _ => Reply::text("booked"),
    })
    .await;
    for _ in 0..10 {
        let reply = bridge.post("/vapi", tool_calls(&["get_weather", "book_table"]), &[]).await;
        let results = reply.json()["results"].clone();
        assert_eq!(results[0]["result"], "It is sunny in Oslo.", "{}", reply.text());
        assert_eq!(results[1]["result"], "booked", "{}", reply.text());
    }
    let names: Vec<_> = server
        .heard(10)
        .await
        .iter()
        .map(|request| request.json()["message"]["toolCallList"][0]["function"]["name"].clone())
        .collect();
    assert_eq!(names, ["get_weather"; 10]);
    // Both groups get what both could answer.
    assert_eq!(worker.questions().len(), 20);
}

#[tokio::test]
async fn those_who_pick_the_same_share_it() {
    let Some(nats) = Nats::start().await else { return };
    let Some(server) = Server::start() else { return };
    let to = server.url("vapi");
    let _first = Forward::questions(&nats, &to, &PICKED).await;
    let mut second = Forward::questions(&nats, &to, &PICKED).await;
    second.said("answers vapi.tool.* too, in the same queue group").await;
    let other = ["--functions", "get_w*"];
    let mut third = Forward::questions(&nats, &to, &other).await;
    third.said("answers vapi.tool.* too, in the queue group `q.get_%2A`").await;
    third.stop().await;
    let keys = "answer_window = \"0s\"";
    let bridge = Bridge::config(endpoint("vapi").keys(keys)).nats(&nats).start_ready().await;
    for _ in 0..10 {
        let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
        assert_eq!(entry(&reply)["result"], "It is sunny in Oslo.", "{}", reply.text());
    }
    assert_eq!(server.requests().len(), 10);
}

#[tokio::test]
async fn a_function_that_is_named_too_is_asked_once() {
    let flags = ["--functions", "get_*,get_weather"];
    let Some((_nats, server, _forward, bridge)) = start("vapi", &flags).await else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather", "get_time"]), &[]).await;
    let results = reply.json()["results"].clone();
    assert_eq!(results[0]["result"], "It is sunny in Oslo.");
    assert_eq!(results[1]["error"], "there is no get_time");
    assert_eq!(server.requests().len(), 2);
}
