//! librdkafka says `timed out` for nearly everything: the log, `/readyz` and `check --connect` say why.

use super::{event, to};
use crate::support::kafka::Lock;
use crate::support::{Authority, Bridge, Kafka, bridge, eventually, ports};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn table(bootstrap: &str, properties: &str) -> String {
    format!(
        "[kafka]\nbrokers = [\"{bootstrap}\"]\nack_timeout = \"4s\"\n[kafka.properties]\n{properties}\n"
    )
}

/// Posts until `/readyz` and the log say all of this of a destination.
async fn says(bridge: &Bridge, topic: &str, parts: &[&str]) {
    let problem = format!("problem: kafka:{topic}: ");
    eventually(&format!("{parts:?} in /readyz and in the log"), SOON, async || {
        let answer = bridge.post("/hook", event(Some("k")), &[]).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let ready = bridge.admin("/readyz").await;
        let line = ready.text().lines().find(|line| line.starts_with(&problem))?;
        let log = bridge.log();
        let is_said = |part: &&str| line.contains(*part) && log.contains(*part);
        parts.iter().all(is_said).then_some(())
    })
    .await;
}

/// What `check --connect` says of the same configuration, which isn't yes.
async fn check(topic: &str, table: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, format!("{table}{}", to(topic))).unwrap();
    let output = bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await;
    assert!(matches!(output.code, Some(1 | 2)), "{output:?}");
    output.stderr
}

/// Waits until nothing is wrong any more, and so much is stored.
async fn recovers(bridge: &Bridge, kafka: &Kafka, topic: &str) {
    eventually("/readyz without a problem", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        let is_well =
            !ready.text().contains("problem") && ready.text().contains("kafka: connected");
        (is_well && bridge.metric("hookbus_spool_records").await == 0.0).then_some(())
    })
    .await;
    assert!(!kafka.records(topic, 1).await.is_empty());
}

#[tokio::test]
async fn too_few_replicas_in_sync() {
    let Some(kafka) = Kafka::start().await else {
        return;
    };
    let mut second = kafka.join(2).await;
    let topic = "kafka-replicas";
    eventually("two copies", SOON, async || {
        let metadata = kafka.settings().create::<BaseConsumer>().unwrap();
        let metadata = metadata.fetch_metadata(None, Duration::from_secs(2)).ok()?;
        (metadata.brokers().len() == 2).then_some(())
    })
    .await;
    kafka.make_topic(topic, 1, 2, &[("min.insync.replicas", "2")]).await;
    let table = table(&kafka.bootstrap(), "");
    let bridge = Bridge::config(&(table.clone() + &to(topic))).start_ready().await;
    eventually("a stored event", SOON, async || {
        (bridge.post("/hook", event(Some("k")), &[]).await.status == 200).then_some(())
    })
    .await;
    second.kill();
    eventually("a single copy", SOON, async || {
        let metadata = kafka.settings().create::<BaseConsumer>().unwrap();
        let metadata = metadata.fetch_metadata(Some(topic), Duration::from_secs(2)).ok()?;
        let partition = metadata.topics().first()?.partitions().first()?;
        (partition.isr() == [1] && partition.leader() == 1).then_some(())
    })
    .await;
    says(&bridge, topic, &["not-enough-replicas", "Not enough in-sync replicas"]).await;
    let said = check(topic, &table).await;
    assert!(said.contains("min.insync.replicas is 2, but of its 2 replicas only 1"), "{said}");
    second.restart().await;
    recovers(&bridge, &kafka, topic).await;
}

#[tokio::test]
async fn an_advertised_host_that_nobody_knows() {
    let lock = Lock { host: "kafka-1.invalid", ..Lock::default() };
    let Some(kafka) = Kafka::start_locked(&lock).await else {
        return;
    };
    let topic = "kafka-host";
    kafka.create_topic(topic, 1).await;
    let bootstrap = kafka.locked_bootstrap();
    let table = table(&bootstrap, "");
    let bridge = Bridge::config(&(table.clone() + &to(topic))).start().await;
    says(&bridge, topic, &["Failed to resolve 'kafka-1.invalid:"]).await;
    eventually("kafka: down", SOON, async || {
        bridge.admin("/readyz").await.text().contains("kafka: down").then_some(())
    })
    .await;
    assert_eq!(bridge.metric("hookbus_broker_connected").await, 0.0);
    let said = check(topic, &table).await;
    assert!(said.contains("Failed to resolve 'kafka-1.invalid:"), "{said}");
    assert!(said.contains("advertised.listeners"), "{said}");
}

#[tokio::test]
async fn an_advertised_port_where_nobody_listens() {
    let Some(kafka) = Kafka::start_behind(ports::free()).await else {
        return;
    };
    let topic = "kafka-port";
    kafka.create_topic(topic, 1).await;
    let bootstrap = format!("127.0.0.1:{}", kafka.port_behind());
    let table = table(&bootstrap, "");
    let bridge = Bridge::config(&(table.clone() + &to(topic))).start().await;
    says(&bridge, topic, &["unreachable", "Connection refused"]).await;
    let said = check(topic, &table).await;
    assert!(said.contains("Connection refused"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let Some(authority) = Authority::new("test authority") else { return };
    let identity = authority.sign_between("kafka", -9, -2);
    let store = authority.file("broker.pem");
    let read = |path| std::fs::read(path).unwrap();
    std::fs::write(&store, [read(&identity.key), read(&identity.cert)].concat()).unwrap();
    let lock = Lock {
        protocol: "SSL",
        settings: format!("ssl.keystore.type=PEM\nssl.keystore.location={}\n", store.display()),
        ..Lock::default()
    };
    let Some(kafka) = Kafka::start_locked(&lock).await else { return };
    let topic = "kafka-expired";
    kafka.create_topic(topic, 1).await;
    let bootstrap = kafka.locked_bootstrap();
    let ca = authority.cert();
    let properties =
        format!("\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"{}\"", ca.display());
    let table = table(&bootstrap, &properties);
    let bridge = Bridge::config(&(table.clone() + &to(topic))).start().await;
    says(&bridge, topic, &["the certificate expired at "]).await;
    let said = check(topic, &table).await;
    assert!(said.contains("the certificate expired at "), "{said}");
}
