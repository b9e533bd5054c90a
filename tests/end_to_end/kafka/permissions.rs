//! A user of Kafka that may write to one topic, and nothing else: that is all a bridge needs.

use super::{event, to};
use crate::support::kafka::Lock;
use crate::support::{Bridge, Kafka, bridge, eventually, python};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "hunter2-hunter2";

const ALLOW_WRITING: &str = r#"
import sys
from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType, ResourceType)
brokers, topic = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": brokers})
write = AclBinding(
    ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:hookbus", "*",
    AclOperation.WRITE, AclPermissionType.ALLOW)
for result in admin.create_acls([write]).values():
    result.result(20)
"#;

/// A broker where the user `hookbus` may do nothing yet.
async fn kafka() -> Option<Kafka> {
    let login = "listener.name.second";
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let lock = Lock {
        protocol: "SASL_PLAINTEXT",
        settings: format!(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
{login}.sasl.enabled.mechanisms=PLAIN
{login}.plain.sasl.jaas.config={module} required user_hookbus=\"{PASSWORD}\";
"
        ),
        ..Lock::default()
    };
    Kafka::start_locked(&lock).await
}

fn config(kafka: &Kafka, topic: &str) -> String {
    format!(
        r#"
        [kafka]
        brokers = ["{}"]
        ack_timeout = "2s"
        [kafka.properties]
        "security.protocol" = "SASL_PLAINTEXT"
        "sasl.mechanism" = "PLAIN"
        "sasl.username" = "hookbus"
        "sasl.password" = "{PASSWORD}"
        [[kafka.topic]]
        name = "{topic}"
        {}
        "#,
        kafka.locked_bootstrap(),
        to(topic)
    )
}

async fn check(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    std::fs::write(&file, text).unwrap();
    let output = bridge::run(&["check", "--connect", "--config", file.to_str().unwrap()]).await;
    (output.code.unwrap(), output.stderr)
}

#[tokio::test]
async fn a_user_that_may_only_write_is_enough() {
    let Some(kafka) = kafka().await else {
        return;
    };
    let (open, closed) = ("permitted", "forbidden");
    for topic in [open, closed] {
        kafka.create_topic(topic, 1).await;
    }
    let arguments = [&kafka.bootstrap(), open];
    let Some(output) = python::code(ALLOW_WRITING, &arguments, b"").await else { return };
    assert_eq!(output.code, Some(0), "{}", output.stderr);

    let text = config(&kafka, open);
    let (code, said) = check(&text).await;
    assert_eq!(code, 0, "{said}");
    let unseen =
        "warning: kafka: the settings of topic `permitted`, the brokers could not be looked at";
    assert!(said.contains(unseen), "{said}");
    let bridge = Bridge::config(&text).start_ready().await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // It needn't create what is there.
    let ready = bridge.admin("/readyz").await;
    assert!(!ready.text().contains("problem"), "{}", ready.text());
    drop(bridge);

    let text = config(&kafka, closed);
    let (code, said) = check(&text).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("may not write to the topic `forbidden`"), "{said}");
    let bridge = Bridge::config(&text).start_ready().await;
    let answer = bridge.post("/hook", event(Some("k")), &[]).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    eventually("the reason in /readyz", SOON, async || {
        let ready = bridge.admin("/readyz").await;
        ready.text().contains("problem: kafka:forbidden: unauthorized").then_some(())
    })
    .await;
}
