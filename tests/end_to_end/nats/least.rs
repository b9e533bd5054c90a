//! Set-ups of NATS that work, and that `check --connect` must not refuse.

use crate::support::{Bridge, Nats, bridge, endpoint, kafka};
use async_nats::ConnectOptions;

const EVENT: &str = r#"{"message":{"type":"hang"}}"#;

async fn check(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, text).unwrap();
    let output = bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await;
    (output.code.unwrap(), output.stderr)
}

/// It may publish its own subjects and read its own inbox, and not ask JetStream anything.
#[tokio::test]
async fn a_user_without_the_api_of_jetstream() {
    let users = r#"authorization { users: [
        { user: admin, password: admin }
        { user: hookbus, password: secret, permissions: { publish: ["least.>"], subscribe: ["_INBOX_hookbus.>"] } }
    ] }"#;
    let Some(nats) = Nats::start_with(users).await else { return };
    let admin = ConnectOptions::with_user_and_password("admin".to_owned(), "admin".to_owned());
    let admin = admin.connect(nats.url()).await.unwrap();
    let config = async_nats::jetstream::stream::Config {
        name: "LEAST".to_owned(),
        subjects: vec!["least.events.>".to_owned()],
        ..Default::default()
    };
    async_nats::jetstream::new(admin).create_stream(config).await.unwrap();
    let table = format!(
        "[nats]\nservers = [\"{}\"]\nuser = \"hookbus\"\npassword = \"secret\"\ninbox_prefix = \"_INBOX_hookbus\"\n",
        nats.url()
    );
    let text = format!("{table}{}", endpoint("least"));
    let (code, said) = check(&text).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning: nats: the streams could not be looked at"), "{said}");
    let bridge = Bridge::config(&text).start_ready().await;
    let answer = bridge.post("/least", EVENT, &[]).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), bridge.log());
}

#[tokio::test]
async fn questions_over_nats_and_events_to_kafka() {
    let Some(nats) = Nats::start_with("jetstream: disabled").await else { return };
    let Some(kafka) = kafka::shared().await else { return };
    kafka.create_topic("least", 1).await;
    let tables = |to: &str| {
        format!(
            "[nats]\nservers = [\"{}\"]\n[kafka]\nbrokers = [\"{}\"]\n{}",
            nats.url(),
            kafka.bootstrap(),
            endpoint("least").events_to(&[to])
        )
    };
    let (code, said) = check(&tables("kafka:least")).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning: nats: asynchronous tool calls can't be stored"), "{said}");
    let bridge = Bridge::config(tables("kafka:least")).start_ready().await;
    let answer = bridge.post("/least", EVENT, &[]).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), bridge.log());
    // Where events go to JetStream, there must be one.
    let (code, said) = check(&tables("nats:least.events.{type}")).await;
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("error: nats: JetStream can't be asked"), "{said}");
}
