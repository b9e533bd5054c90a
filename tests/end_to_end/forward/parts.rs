//! Answers that come in parts: read whole, if they are there by the deadline.

use super::questions::{entry, start, start_with, tool_calls};
use serde_json::json;

const TWO_SECONDS: &str =
    "[[endpoint.tool]]\nnames = [\"*\"]\ntimeout = \"2s\"\nfallback = \"later\"\n";

#[tokio::test]
async fn an_answer_in_many_small_parts_is_read_whole() {
    // One part every 20 ms, of 7 bytes: it takes its time, and no part holds a value.
    let started = start("parts/vapi?size=7&every=0.02", &[]).await;
    let Some((_nats, server, _forward, bridge)) = started else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    assert_eq!(entry(&reply)["result"], "It is sunny in Oslo.", "{}", reply.text());
    let request = server.heard(1).await.remove(0);
    assert!(request.ended - request.begun >= 0.15, "{request:?}");
}

#[tokio::test]
async fn what_a_voice_handler_streams_is_one_reply() {
    let started = start("parts/audio?size=640&every=0.02", &["--types", "voice-request"]).await;
    let Some((_nats, server, _forward, bridge)) = started else { return };
    let message = json!({ "type": "voice-request", "text": "Hello", "sampleRate": 16_000, "call": {"id": "c-1"} });
    let reply = bridge.post("/vapi", json!({ "message": message }).to_string(), &[]).await;
    // 0.4 s of sound.
    let expected: Vec<u8> = (0..12_800u32).map(|place| (place % 251) as u8).collect();
    assert_eq!((reply.status, &reply.body[..]), (200, &expected[..]));
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    let request = server.heard(1).await.remove(0);
    assert!(request.ended - request.begun >= 0.3, "{request:?}");
}

#[tokio::test]
async fn events_of_a_stream_come_as_they_are() {
    // What the provider doesn't read as an answer says so.
    let Some((_nats, _server, mut forward, bridge)) = start("parts/events", &[]).await else {
        return;
    };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    let error = entry(&reply)["error"].to_string();
    assert!(error.contains("the server's answer is no JSON object with `results`"), "{error}");
    forward.said("  200  ").await;
}

#[tokio::test]
async fn parts_that_go_on_past_the_deadline_are_cut_off() {
    // The head is there at once, and a part every 0.3 s: no pause is long, but it never ends.
    let started = start_with("parts/vapi?size=1&every=0.3", &[], TWO_SECONDS).await;
    let Some((_nats, server, mut forward, bridge)) = started else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    assert_eq!(entry(&reply)["result"], "later", "{}", reply.text());
    forward.said("the server didn't answer in time").await;
    // It is told: its connection is closed.
    let request = server.heard(1).await.remove(0);
    assert!((1.5..3.5).contains(&(request.ended - request.begun)), "{request:?}");
}

#[tokio::test]
async fn parts_that_break_off_are_no_answer() {
    let started = start("parts/vapi?size=7&every=0.01&last=5", &[]).await;
    let Some((_nats, server, _forward, bridge)) = started else { return };
    let reply = bridge.post("/vapi", tool_calls(&["get_weather"]), &[]).await;
    let error = entry(&reply)["error"].to_string();
    assert!(error.contains("the server's answer broke off"), "{error}");
    assert_eq!(server.heard(1).await.len(), 1);
}
