//! Brokers of Kafka that demand TLS, certificates or passwords.

use super::EVENT;
use crate::support::kafka::Lock;
use crate::support::{Authority, Bridge, Identity, Kafka, eventually, python};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const PASSWORD: &str = "hunter2-hunter2";
const TOPIC: &str = "login";

const SET_PASSWORD: &str = r#"
import sys
from confluent_kafka.admin import (
    AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion)
brokers, user, password = sys.argv[1:]
info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
new = UserScramCredentialUpsertion(user, info, password.encode())
admin = AdminClient({"bootstrap.servers": brokers})
admin.alter_user_scram_credentials([new])[user].result(20)
"#;

/// A bridge with these properties, which stores in the topic.
async fn bridge(kafka: &Kafka, properties: &[(&str, &str)]) -> Bridge {
    let properties: String =
        properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")).collect();
    let text = format!(
        r#"
        [kafka]
        brokers = ["{{kafka}}"]
        ack_timeout = "2s"
        [kafka.properties]
        {properties}
        [[endpoint]]
        name = "hook"
        path = "/hook"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        [[endpoint.event]]
        types = ["*"]
        to = ["kafka:{TOPIC}"]
        "#
    );
    Bridge::config(&text).kafka_at(&kafka.locked_bootstrap()).without_spool().start().await
}

/// Waits until an event is stored and nothing is wrong.
async fn connected(bridge: &Bridge) {
    eventually("a stored event", SOON, async || {
        (bridge.post("/hook", EVENT, &[]).await.status == 200).then_some(())
    })
    .await;
    eventually("/readyz without a problem", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        (ready.text().contains("kafka: connected") && !ready.text().contains("problem: kafka:"))
            .then_some(())
    })
    .await;
}

/// Waits until the log and `/readyz` say why there is no connection, without a secret.
async fn refused(bridge: &Bridge, why: &str) {
    eventually(&format!("{why:?} in /readyz and in the log"), SOON, async || {
        let ready = bridge.admin("/readyz").await;
        (ready.text().contains("problem: kafka: ")
            && ready.text().contains(why)
            && bridge.log().contains(why))
        .then_some(())
    })
    .await;
    let ready = bridge.admin("/readyz").await;
    assert!(ready.text().contains("kafka: down"), "{}", ready.text());
    for text in [ready.text(), &bridge.log()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// The files of a broker in the forms that Kafka reads.
fn store(authority: &Authority, identity: &Identity) -> String {
    let both = authority.file("broker.pem");
    write_store(&both, identity);
    format!(
        "ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
        both.display(),
        authority.cert().display()
    )
}

fn write_store(path: &Path, identity: &Identity) {
    let read = |path| std::fs::read(path).unwrap();
    std::fs::write(path, [read(&identity.key), read(&identity.cert)].concat()).unwrap();
}

#[tokio::test]
async fn by_password_over_tls() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(strangers) = Authority::new("other authority") else { return };
    let login = "listener.name.second";
    let module = "org.apache.kafka.common.security";
    let lock = Lock {
        protocol: "SASL_SSL",
        settings: store(&authority, &authority.sign("kafka"))
            + &format!(
                "{login}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{login}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_hookbus=\"{PASSWORD}\";
{login}.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
{login}.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
"
            ),
        users: ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .map(|kind| format!("{kind}=[name=hookbus,password={PASSWORD}]"))
            .to_vec(),
        ..Lock::default()
    };
    let Some(mut kafka) = Kafka::start_locked(&lock).await else { return };
    kafka.create_topic(TOPIC, 1).await;
    let ca = authority.cert();
    let strange = strangers.cert();
    let with = |ca: &Path, mechanism: &str, password: &str| {
        [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("ssl.ca.location", ca.display().to_string()),
            ("sasl.mechanism", mechanism.to_owned()),
            ("sasl.username", "hookbus".to_owned()),
            ("sasl.password", password.to_owned()),
        ]
    };
    let start = async |properties: [(&str, String); 5]| {
        let properties = properties.each_ref().map(|(name, value)| (*name, value.as_str()));
        bridge(&kafka, &properties).await
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        connected(&start(with(&ca, mechanism, PASSWORD)).await).await;
    }
    refused(&start(with(&ca, "PLAIN", "hunter2-wrong")).await, "SASL authentication error").await;

    let wrong = start(with(&ca, "SCRAM-SHA-256", "hunter2-new")).await;
    refused(&wrong, "SASL authentication error").await;
    let arguments = [&kafka.bootstrap(), "hookbus", "hunter2-new"];
    let Some(output) = python::code(SET_PASSWORD, &arguments, b"").await else { return };
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    connected(&wrong).await;
    drop(wrong);

    let untrusting = start(with(&strange, "PLAIN", PASSWORD)).await;
    refused(&untrusting, "certificate verify failed").await;
    write_store(&authority.file("broker.pem"), &strangers.sign("kafka"));
    kafka.restart().await;
    connected(&untrusting).await;
}

#[tokio::test]
async fn by_client_certificate() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(strangers) = Authority::new("other authority") else { return };
    let lock = Lock {
        protocol: "SSL",
        settings: store(&authority, &authority.sign("kafka")) + "ssl.client.auth=required\n",
        ..Lock::default()
    };
    let Some(kafka) = Kafka::start_locked(&lock).await else { return };
    kafka.create_topic(TOPIC, 1).await;
    let ca = authority.cert();
    let start = async |own: Option<&Identity>| {
        let mut properties =
            vec![("security.protocol", "SSL"), ("ssl.ca.location", ca.to_str().unwrap())];
        if let Some(Identity { cert, key }) = own {
            properties.push(("ssl.certificate.location", cert.to_str().unwrap()));
            properties.push(("ssl.key.location", key.to_str().unwrap()));
        }
        bridge(&kafka, &properties).await
    };
    connected(&start(Some(&authority.sign("client"))).await).await;
    refused(&start(None).await, "SSL").await;
    refused(&start(Some(&authority.sign_between("client", -9, -2))).await, "SSL").await;
    refused(&start(Some(&strangers.sign("client"))).await, "SSL").await;
}
