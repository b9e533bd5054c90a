//! Events: what is posted, in which order, and what becomes of those that the server doesn't take.

use super::{Forward, PATIENCE, Request, Server};
use crate::support::{Bridge, Nats, endpoint, eventually, ports};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::Info;
use hookbus::nats::header::{encoded, insert};
use serde_json::json;
use std::time::Duration;

/// Publishes one, of this type and key.
pub(super) async fn publish(nats: &Nats, kind: &str, key: Option<&str>, body: &str) {
    let mut headers = HeaderMap::new();
    let full = format!("ai.vapi.{kind}");
    for (name, value) in [("ce-id", Some("id-1")), ("ce-type", Some(&*full)), ("ce-subject", key)] {
        if let Some(value) = value {
            insert(&mut headers, name, encoded(value));
        }
    }
    let jetstream = nats.jetstream().await;
    let subject = format!("vapi.events.{kind}");
    let sent = jetstream.publish_with_headers(subject, headers, body.to_owned().into()).await;
    sent.unwrap().await.unwrap();
}

pub(super) async fn consumer(nats: &Nats, name: &str) -> Info {
    let stream = nats.jetstream().await.get_stream("VAPI").await.unwrap();
    stream.consumer_info(name).await.unwrap()
}

/// Waits until the consumer waits for no acknowledgement, and has handed out all.
pub(super) async fn settled(nats: &Nats, name: &str) {
    eventually("a consumer that is done", PATIENCE, async || {
        let info = consumer(nats, name).await;
        (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
    })
    .await;
}

pub(super) async fn start() -> Option<(Nats, Server)> {
    let nats = Nats::start().await?;
    nats.create_stream("VAPI", &["vapi.events.>"]).await;
    Some((nats, Server::start()?))
}

/// The bodies of one key, in the order in which they were posted.
pub(super) fn bodies<'a>(requests: &'a [Request], key: &str) -> Vec<&'a str> {
    let of_key = requests.iter().filter(|request| request.header("hookbus-key") == Some(key));
    of_key.map(|request| request.body.as_str()).collect()
}

#[tokio::test]
async fn an_event_is_posted_as_it_came() {
    let Some((nats, server)) = start().await else { return };
    let mut forward = Forward::events(&nats, &server.url("ok"), &[]).await;
    let bridge = Bridge::config(endpoint("vapi")).nats(&nats).start_ready().await;
    let body = "{\"message\": {\"type\": \"hang\",  \"call\": {\"id\": \"c\u{e9} 1\"}}}\n";
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let reply = bridge.post("/vapi", body, &[("traceparent", trace)]).await;
    let requests = server.heard(1).await;
    let posted = &requests[0];
    assert_eq!(posted.body.as_bytes(), body.bytes().map(char::from).collect::<String>().as_bytes());
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "ai.vapi.hang"),
        ("ce-source", "/hookbus/vapi"),
        ("ce-subject", "c%C3%A9%201"),
        ("hookbus-type", "hang"),
        ("hookbus-endpoint", "vapi"),
        ("hookbus-key", "c%C3%A9%201"),
        ("hookbus-attempt", "1"),
        ("traceparent", trace),
    ] {
        assert_eq!(posted.header(name), Some(value), "{name}");
    }
    assert_eq!(posted.header("ce-id"), reply.header("hookbus-id"));
    forward.said("  200  ").await;
    let log = forward.stop().await;
    assert!(log.contains("event     hang"), "{log}");
    assert!(!log.contains("message"), "a body is in the log:\n{log}");
    // It leaves nothing behind.
    let stream = nats.jetstream().await.get_stream("VAPI").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.consumer_count, 0);
}

#[tokio::test]
async fn a_key_that_fails_waits_for_itself_and_holds_up_no_other() {
    let Some((nats, server)) = start().await else { return };
    let to = server.url("status/503?first=2");
    let mut forward = Forward::events(&nats, &to, &["--durable", "d"]).await;
    for number in 0..3 {
        for key in ["a", "b", "c"] {
            publish(&nats, "hang", Some(key), &format!("{key}{number}")).await;
        }
    }
    let requests = server.heard(15).await;
    for key in ["a", "b", "c"] {
        // Two failures of the first, and each but the last only after the one before.
        let expected = [0, 0, 0, 1, 2].map(|number| format!("{key}{number}"));
        assert_eq!(bodies(&requests, key), expected);
        let of_key: Vec<_> =
            requests.iter().filter(|request| request.header("hookbus-key") == Some(key)).collect();
        let attempts: Vec<_> =
            of_key.iter().map(|request| request.header("hookbus-attempt").unwrap()).collect();
        assert_eq!(attempts, ["1", "2", "3", "1", "1"]);
        assert!(of_key.windows(2).all(|pair| pair[0].ended <= pair[1].begun), "{key}");
    }
    settled(&nats, "d").await;
    forward.said("503").await;
    assert!(forward.log().contains("again in "), "{}", forward.log());
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let Some((nats, server)) = start().await else { return };
    let to = server.url("status/429?first=1&after=3");
    let _forward = Forward::events(&nats, &to, &[]).await;
    publish(&nats, "hang", Some("a"), "a").await;
    let requests = server.heard(2).await;
    assert!(requests[1].begun - requests[0].ended >= 3.0, "{requests:?}");
}

#[tokio::test]
async fn from_now_on_and_since() {
    let Some((nats, server)) = start().await else { return };
    publish(&nats, "hang", Some("a"), "before").await;
    let mut now = Forward::events(&nats, &server.url("ok"), &[]).await;
    publish(&nats, "hang", Some("a"), "after").await;
    assert_eq!(server.heard(1).await[0].body, "after");
    now.stop().await;
    let _since = Forward::events(&nats, &server.url("ok"), &["--since", "1h"]).await;
    assert_eq!(bodies(&server.heard(3).await, "a"), ["after", "before", "after"]);
}

#[tokio::test]
async fn instances_share_a_durable_consumer_and_it_remembers() {
    let Some((nats, server)) = start().await else { return };
    let to = server.url("ok");
    let mut first = Forward::events(&nats, &to, &["--durable", "crm"]).await;
    let mut second = Forward::events(&nats, &to, &["--durable", "crm"]).await;
    for number in 0..20 {
        publish(&nats, "hang", Some(&format!("k{number}")), &number.to_string()).await;
    }
    server.heard(20).await;
    settled(&nats, "crm").await;
    first.stop().await;
    second.stop().await;
    publish(&nats, "hang", Some("a"), "meanwhile").await;
    let _third = Forward::events(&nats, &to, &["--durable", "crm"]).await;
    server.heard(21).await;
    settled(&nats, "crm").await;
    let mut bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!((bodies.len(), server.requests().len()), (21, 21));
}

#[tokio::test]
async fn what_is_given_up_becomes_a_dead_letter() {
    let Some((nats, server)) = start().await else { return };
    nats.create_stream("DEAD", &["vapi.dead"]).await;
    let flags = ["--durable", "d", "--dead-letters", "vapi.dead", "--max-deliver", "2"];
    let _forward = Forward::events(&nats, &server.url("status/500"), &flags).await;
    publish(&nats, "hang", Some("a b"), "poison").await;
    let letters = nats.messages("DEAD", 1).await;
    assert_eq!(&letters[0].payload[..], b"poison");
    for (name, value) in [
        ("ce-subject", "a%20b"),
        ("ce-type", "ai.vapi.hang"),
        ("Hookbus-Status", "500"),
        ("Hookbus-Stream", "VAPI"),
        ("Hookbus-Sequence", "1"),
        ("Hookbus-Reason", "the%20server%20answered%20500%20Internal%20Server%20Error"),
    ] {
        assert_eq!(letters[0].header(name), Some(value), "{name}");
    }
    settled(&nats, "d").await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn gone_is_not_asked_again() {
    let Some((nats, server)) = start().await else { return };
    let mut forward = Forward::events(&nats, &server.url("status/410"), &["--durable", "d"]).await;
    publish(&nats, "hang", Some("a"), "1").await;
    publish(&nats, "hang", Some("a"), "2").await;
    forward.said("WARN gave up an event: stream VAPI, sequence 2: the server answered 410").await;
    settled(&nats, "d").await;
    assert_eq!(server.requests().len(), 2);
    assert_eq!(nats.messages("VAPI", 2).await.len(), 2);
}

#[tokio::test]
async fn only_what_is_mine() {
    let Some((nats, server)) = start().await else { return };
    let mine = ["--mine", "call-7", "--where", "type=h*"];
    let mut forward = Forward::events(&nats, &server.url("ok"), &mine).await;
    for (kind, key) in [
        ("hang", Some("call-8")),
        ("status-update", Some("call-7")),
        ("hang", None),
        ("hang", Some("call-7")),
    ] {
        publish(&nats, kind, key, &format!("{kind} {key:?}")).await;
    }
    assert_eq!(server.heard(1).await[0].body, "hang Some(\"call-7\")");
    forward.stop().await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_dry_run_posts_nothing() {
    let Some((nats, server)) = start().await else { return };
    let flags = ["--dry-run", "--open-bodies"];
    let mut forward = Forward::events(&nats, &server.url("ok"), &flags).await;
    publish(&nats, "hang", Some("a"), "the body").await;
    forward.said("would be posted").await;
    forward.said("> the body").await;
    forward.said("ce-type: ai.vapi.hang").await;
    forward.stop().await;
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_verifies_finds_a_signature() {
    let Some((nats, server)) = start().await else { return };
    let flags = ["--sign-with", "s3cret"];
    let mut forward = Forward::events(&nats, &server.url("ok"), &flags).await;
    publish(&nats, "hang", Some("a"), "x").await;
    assert_eq!(server.heard(1).await[0].header("x-vapi-secret"), Some("s3cret"));
    assert!(!forward.stop().await.contains("s3cret"));
}

#[tokio::test]
async fn a_job_is_posted_as_the_webhook_that_held_it() {
    let Some((nats, server)) = start().await else { return };
    nats.create_stream("JOBS", &["vapi.jobs.>"]).await;
    let _forward = Forward::events(&nats, &server.url("vapi"), &[]).await;
    let bridge = Bridge::config(endpoint("vapi")).nats(&nats).start_ready().await;
    let call = json!({ "id": "call_1", "type": "function", "function": {"name": "mail", "arguments": {"a": 1}} });
    let message = json!({
        "type": "tool-calls",
        "toolCallList": [call],
        "toolWithToolCallList": [{"async": true, "function": {"name": "mail"}, "toolCall": call}],
    });
    bridge.post("/vapi", json!({ "message": message }).to_string(), &[]).await;
    let posted = server.heard(1).await[0].json();
    assert_eq!(posted["message"]["toolCallList"][0]["function"], call["function"]);
}

#[tokio::test]
async fn an_interrupt_finishes_what_is_being_posted() {
    let Some((nats, server)) = start().await else { return };
    let mut forward = Forward::events(&nats, &server.url("slow/1.5"), &["--durable", "d"]).await;
    publish(&nats, "hang", Some("a"), "1").await;
    publish(&nats, "hang", Some("a"), "2").await;
    eventually("both to be handed out", PATIENCE, async || {
        (consumer(&nats, "d").await.num_ack_pending == 2).then_some(())
    })
    .await;
    forward.stop().await;
    assert_eq!(server.heard(1).await[0].body, "1");
    // The second went back, and is there at once.
    let info = consumer(&nats, "d").await;
    assert_eq!((info.ack_floor.stream_sequence, server.requests().len()), (1, 1));
    let _again = Forward::events(&nats, &server.url("ok"), &["--durable", "d"]).await;
    let waiting = tokio::time::timeout(Duration::from_secs(15), server.heard(2));
    assert_eq!(waiting.await.unwrap()[1].body, "2");
}

#[tokio::test]
async fn health_and_metrics_are_shown() {
    let Some((nats, server)) = start().await else { return };
    let address = format!("127.0.0.1:{}", ports::free());
    let flags = ["--admin", &address, "--max-deliver", "1"];
    let mut forward = Forward::events(&nats, &server.url("status/500"), &flags).await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/livez").await.0, 200);
    eventually("it to be ready", PATIENCE, async || (get("/readyz").await.0 == 200).then_some(()))
        .await;
    publish(&nats, "hang", Some("a"), "x").await;
    forward.said("gave up an event").await;
    let text = get("/metrics").await.1;
    for line in [
        "hookbus_forward_requests_total{kind=\"event\",outcome=\"5xx\"} 1",
        "hookbus_forward_given_up_total{kept=\"false\"} 1",
        "hookbus_forward_seconds_count{kind=\"event\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn events_larger_than_all_that_may_wait_come_too() {
    let Some((nats, server)) = start().await else { return };
    // 8 MiB may wait.
    let flags = ["--durable", "d", "--concurrency", "1"];
    let mut forward = Forward::events(&nats, &server.url("ok"), &flags).await;
    let sizes = [3_000_000, 3_000_000, 3_000_000, 12_000_000, 3_000_000, 10];
    for size in sizes {
        publish(&nats, "hang", Some("a"), &"x".repeat(size)).await;
    }
    let posted: Vec<_> =
        server.heard(sizes.len()).await.iter().map(|request| request.body.len()).collect();
    assert_eq!(posted, sizes);
    settled(&nats, "d").await;
    forward.stop().await;
}
