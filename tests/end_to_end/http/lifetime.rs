//! Starting before the brokers, and stopping behind the traffic.

use super::held::Held;
use super::wire::{Wire, post};
use super::{event, open, question, tool_calls};
use crate::support::{Bridge, Nats, Reply, Worker, eventually, nats};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_stop_lets_everything_finish() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    nats.create_stream("stop", &["stop.events.>"]).await;
    let mut bridge = Bridge::config(format!(
        "[http]\nlisten = \"{{http}}\"\nshutdown_delay = \"1500ms\"\n{}",
        open("stop")
    ))
    .nats(nats)
    .start_ready()
    .await;
    let mut held = Held::on(nats, "stop.ask.>").await;
    let mut wire = Wire::open(&bridge.address()).await;
    let mut idle = Wire::open(&bridge.address()).await;
    assert_eq!(idle.ask(post("/stop", &event("before"))).await.status, 200);
    wire.send(post("/stop", &question("assistant-request"))).await;
    let asked = held.next().await;

    bridge.signal("TERM");
    let ready = eventually("not ready", SOON, async || {
        let answer = bridge.admin("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(ready.text().contains("stopping"), "{}", ready.text());
    assert_eq!(bridge.admin("/livez").await.status, 200);
    // The load balancers may not know yet.
    let during = bridge.post("/stop", event("during"), &[]).await;
    assert_eq!(during.status, 200);
    assert_eq!(idle.ask(post("/stop", &event("idle"))).await.status, 200);

    // After the delay nobody is let in, and connections without a request are closed.
    assert!(idle.end().await.is_empty());
    let address = bridge.address();
    eventually("a closed door", SOON, async || {
        tokio::net::TcpStream::connect(&address).await.err()
    })
    .await;
    held.answer(&asked, r#"{"assistantId":"a"}"#).await;
    let response = wire.response().await;
    assert_eq!((response.status, response.header("hookbus-outcome")), (200, Some("answered")));
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
    assert_eq!(nats.messages("stop", 0).await.len(), 3);
}

/// What doesn't finish within `drain` is given up, and that is an orderly end as well.
#[tokio::test]
async fn a_stop_has_an_end() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let mut bridge = Bridge::config(format!(
        "[http]\nlisten = \"{{http}}\"\ndrain = \"300ms\"\n{}",
        open("drain")
    ))
    .nats(nats)
    .start_ready()
    .await;
    let mut held = Held::on(nats, "drain.ask.>").await;
    let mut wire = Wire::open(&bridge.address()).await;
    wire.send(post("/drain", &question("assistant-request"))).await;
    held.next().await;
    bridge.signal("INT");
    let began = std::time::Instant::now();
    assert_eq!(bridge.wait().await.code(), Some(0), "{}", bridge.log());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(bridge.log().contains("given up"), "{}", bridge.log());
}

#[tokio::test]
async fn it_starts_without_its_brokers_and_finds_them() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.create_stream("late", &["late.events.>"]).await;
    nats.kill();
    let config = "[nats]\nservers = [\"{nats}\"]\nack_timeout = \"1s\"\n".to_owned();
    let bridge =
        Bridge::config(&(config + &open("late"))).nats(&nats).without_spool().start().await;
    let ready = bridge.admin("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("nats"), "{}", ready.text());
    assert_eq!(bridge.metric("hookbus_broker_connected").await, 0.0);

    let stored = bridge.post("/late", event("lost"), &[]).await;
    assert_eq!(stored.status, 503, "{}", stored.text());
    assert!(stored.header("retry-after").is_some());
    assert!(stored.elapsed < Duration::from_secs(5));
    let asked = bridge.post("/late", question("assistant-request"), &[]).await;
    assert_eq!((asked.status, asked.header("hookbus-outcome")), (503, Some("disconnected")));
    assert!(asked.elapsed < Duration::from_millis(500), "{:?}", asked.elapsed);
    let tool = bridge.post("/late", tool_calls(&["f"]), &[]).await;
    assert_eq!((tool.status, tool.header("hookbus-outcome")), (200, Some("disconnected")));
    eventually("the name of the broker in the log", SOON, async || {
        bridge.log().contains(&nats.port().to_string()).then_some(())
    })
    .await;

    nats.restart().await;
    let worker = Worker::start(&nats, "late.tool.*", |_| Reply::text("done")).await;
    eventually("a connection", SOON, async || {
        (bridge.admin("/readyz").await.status == 200).then_some(())
    })
    .await;
    eventually("both connections", SOON, async || {
        (bridge.metric("hookbus_broker_connected").await == 1.0).then_some(())
    })
    .await;
    let stored = bridge.post("/late", event("kept"), &[]).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let tool = bridge.post("/late", tool_calls(&["g"]), &[]).await;
    assert_eq!(tool.header("hookbus-outcome"), Some("answered"));
    // Neither what was refused nor what was asked in the meantime comes after.
    let messages = nats.messages("late", 0).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].payload, event("kept"));
    assert_eq!(worker.questions().len(), 1);
}

/// With an answer of its own an instance is worth some traffic even when all brokers are down.
#[tokio::test]
async fn with_a_fallback_it_is_ready_without_brokers() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.kill();
    let rule = "[[endpoint.question]]\ntypes = [\"assistant-request\"]\nfallback = { assistantId = \"spare\" }\n";
    let bridge = Bridge::config(&(open("spare") + rule)).nats(&nats).start_ready().await;
    let ready = bridge.admin("/readyz").await;
    assert!(ready.text().contains("nats: down"), "{}", ready.text());
    let answer = bridge.post("/spare", question("assistant-request"), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), serde_json::json!({"assistantId": "spare"}));
    assert_eq!(answer.header("hookbus-outcome"), Some("disconnected"));
}

#[tokio::test]
async fn a_taken_port_is_told_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let address = taken.local_addr().unwrap();
    let text = format!(
        "[http]\nlisten = \"{address}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[nats]\n{}",
        open("taken")
    );
    std::fs::write(&file, text).unwrap();
    let output = crate::support::bridge::serve(&file).await;
    assert_eq!(output.code, Some(1));
    let error = output.stderr;
    assert!(
        error.contains(&address.to_string())
            && error.contains("http.listen")
            && error.contains("hint:"),
        "{error}"
    );
}
