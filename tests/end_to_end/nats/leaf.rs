//! A leaf node without JetStream, and streams in the domain of its hub.

use super::connected;
use crate::support::{Bridge, Nats, bridge, eventually, ports};
use async_nats::jetstream;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn config(nats: &str) -> String {
    format!(
        r#"
        [nats]
        {nats}
        [[nats.stream]]
        name = "LEAF"
        subjects = ["leaf.events.>", "leaf.jobs.>"]
        [[endpoint]]
        name = "leaf"
        path = "/leaf"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        "#
    )
}

#[tokio::test]
async fn streams_are_found_in_another_domain() {
    let port = ports::free();
    let hub = format!(
        "jetstream {{ domain: hub, store_dir: {:?} }}\nleafnodes {{ listen: \"127.0.0.1:{port}\" }}",
        tempfile::tempdir().unwrap().path()
    );
    let Some(hub) = Nats::start_with(&hub).await else { return };
    let leaf = format!(
        "jetstream: disabled\nleafnodes {{ remotes: [ {{ url: \"nats-leaf://127.0.0.1:{port}\" }} ] }}"
    );
    let Some(leaf) = Nats::start_with(&leaf).await else { return };
    let client = leaf.client().await;
    let far = jetstream::with_domain(client.clone(), "hub");
    eventually("the hub behind the leaf", SOON, async || far.query_account().await.ok()).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let servers = format!("servers = [\"{}\"]\ndomain = \"hub\"", leaf.url());
    std::fs::write(&file, config(&servers)).unwrap();
    let check = ["check", "--connect", "--config", file.to_str().unwrap()];
    let output = bridge::run(&check).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stderr.contains("stream `LEAF` is missing; `serve` will create it"),
        "{output:?}"
    );

    let nats = "servers = [\"{nats}\"]\ndomain = \"hub\"";
    let bridge = Bridge::config(config(nats)).nats(&leaf).start_ready().await;
    connected(&bridge).await;
    let body = r#"{"message":{"type":"hang"}}"#;
    let answer = bridge.post("/leaf", body, &[]).await;
    assert_eq!(answer.status, 200, "{}", bridge.log());
    assert_eq!(hub.messages("LEAF", 1).await.len(), 1);
    assert!(!bridge.log().contains("could not be checked"), "{}", bridge.log());
    let output = bridge::run(&check).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(!output.stderr.contains("LEAF` is missing"), "{output:?}");
}

#[tokio::test]
async fn a_domain_is_one_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, config("domain = \"a.b\"")).unwrap();
    let output = bridge::run(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("error: `a.b` can't be a JetStream domain"), "{output:?}");
}
