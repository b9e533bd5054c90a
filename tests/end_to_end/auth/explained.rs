//! What the operator is told of a refusal that its sender is told nothing about.

use std::time::Duration;

use ring::hmac;

use crate::support::{Bridge, eventually, nats};

const LIMIT: Duration = Duration::from_secs(20);

/// Endpoints of a provider that signs the body, and of one that signs the URL too.
fn config() -> String {
    let endpoint = |name: &str, source: &str, secret: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"{source}\"\n\
             public_url = \"https://hooks.example.com/{name}\"\n\
             [[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"{secret}\"]\n"
        )
    };
    let described = r#"
        [provider.plain]
        event_prefix = "com.example"
        type = "{/type}"
        [[provider.plain.signature]]
        headers = ["x-signature"]

        [provider.url]
        event_prefix = "com.example"
        type = "{/type}"
        [[provider.url.signature]]
        headers = ["x-signature"]
        message = "{url}{body}"
    "#;
    [
        described.to_owned(),
        endpoint("wrong", "plain", "battery-1"),
        endpoint("changed", "plain", "battery-2"),
        endpoint("mistaken", "plain", "battery-3"),
        endpoint("meant", "plain", "battery-4"),
        endpoint("moved", "url", "battery-5"),
    ]
    .join("\n")
}

fn sign(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    data_encoding::HEXLOWER.encode(hmac::sign(&key, message.as_bytes()).as_ref())
}

#[tokio::test]
async fn the_likely_cause_is_told() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = Bridge::config(config()).nats(nats).start_ready().await;
    let body = r#"{"type":"t"}"#;
    let url = "http://hooks.example.com/moved";
    for (name, reason, signature, sent, hint) in [
        ("wrong", "wrong-secret", sign("another", body), body.to_owned(), "secret"),
        ("changed", "body-changed", sign("battery-2", body), format!("{body}\n"), "line break"),
        ("mistaken", "other-endpoint", sign("battery-4", body), body.to_owned(), "meant"),
        ("moved", "url-differs", sign("battery-5", &(url.to_owned() + body)), body.to_owned(), url),
    ] {
        let metric =
            format!(r#"hookbus_unauthorized_total{{endpoint="{name}",reason="{reason}"}}"#);
        eventually(reason, LIMIT, async || {
            let headers = [("x-signature", signature.as_str())];
            let answer = bridge.post(&format!("/{name}"), sent.clone(), &headers).await;
            assert_eq!(answer.status, 401);
            assert!(answer.text().contains("authentication is missing or wrong"));
            // Anybody may be refused at any time: it is looked into now and then.
            (bridge.metric(&metric).await > 0.0).then_some(())
        })
        .await;
        let line = eventually("a line of the log", LIMIT, async || {
            let log = bridge.log();
            let mut lines = log.lines().filter(|line| line.contains("a webhook is refused"));
            lines.find(|line| line.contains(&format!("endpoint={name}"))).map(str::to_owned)
        })
        .await;
        assert!(line.contains(hint), "{line}");
    }
    let log = bridge.log();
    assert_eq!(log.matches("a webhook is refused").count(), 4, "once a minute each: {log}");
    assert!(!log.contains("battery"), "{log}");
}
