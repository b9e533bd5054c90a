//! A start without brokers, and what it says.

mod many;
mod service_manager;
mod signals;

use crate::support::{Bridge, Nats, endpoint, eventually};
use std::time::Duration;

fn config() -> String {
    let stream = "[[nats.stream]]\nname = \"START\"\nsubjects = [\"start.events.>\"]";
    format!("[nats]\nservers = [\"{{nats}}\"]\n{stream}\n{}", endpoint("start"))
}

#[tokio::test]
async fn what_was_said_at_the_start_is_not_said_again() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let mut bridge = Bridge::config(config()).nats(&nats).start_ready().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bridge.signal("TERM");
    assert!(bridge.wait().await.success());
    let log = bridge.log();
    for text in [
        "created stream `START`",
        "stream `START` has a single copy",
        "no stream stores `start.jobs.*`",
    ] {
        assert_eq!(log.matches(text).count(), 1, "{text}\n{log}");
    }
}

#[tokio::test]
async fn declared_streams_are_there_as_soon_as_the_server_is() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.kill();
    let bridge = Bridge::config(config()).nats(&nats).without_spool().start().await;
    let body = r#"{"message":{"type":"hang"}}"#;
    let refused = bridge.post("/start", body, &[]).await;
    assert_eq!(refused.status, 503);
    nats.restart().await;
    let limit = Duration::from_secs(5);
    eventually("the first event that is stored", limit, async || {
        let answer = bridge.post("/start", body, &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// One server keeps no three copies: without it there is no start, and with a server that comes later it is said.
#[tokio::test]
async fn a_stream_that_can_not_be_created_is_named() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let text = config().replace("name = \"START\"", "name = \"START\"\nreplicas = 3");
    assert!(text.contains("replicas = 3"), "{text}");
    let mut refused = Bridge::config(&text).nats(&nats).start_or_end().await;
    assert_eq!(refused.wait().await.code(), Some(2));
    let said = "stream `START` can't be created: ";
    assert!(refused.log().contains(said), "{}", refused.log());
    nats.kill();
    let bridge = Bridge::config(&text).nats(&nats).start().await;
    nats.restart().await;
    bridge.readiness(said).await;
}

/// Not much of a bridge, but what `check` calls right has to start.
#[tokio::test]
async fn without_any_broker_there_are_fallbacks() {
    let config = r#"
        [[endpoint]]
        name = "alone"
        path = "/alone"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        [[endpoint.event]]
        types = ["*"]
        to = []
        [[endpoint.tool]]
        names = ["*"]
        fallback = "Nobody is there."
    "#;
    let bridge = Bridge::config(config).start_ready().await;
    let event = r#"{"message":{"type":"hang"}}"#;
    assert_eq!(bridge.post("/alone", event, &[]).await.status, 200);
    let call = |more: &str| {
        format!(
            r#"{{"message":{{"type":"tool-calls","toolCallList":[{{"id":"c","function":{{"name":"f"}}}}]{more}}}}}"#
        )
    };
    let answer = bridge.post("/alone", call(""), &[]).await;
    assert_eq!(answer.header("hookbus-outcome"), Some("no-responders"));
    assert_eq!(answer.json()["results"][0]["result"], "Nobody is there.");
    // A job has nowhere to go, and says so.
    let job = r#","toolWithToolCallList":[{"async":true,"toolCall":{"id":"c"}}]"#;
    let answer = bridge.post("/alone", call(job), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["results"][0]["error"].is_string(), "{}", answer.text());
}
