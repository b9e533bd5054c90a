//! Ids that decide what is a repetition: only where they are signed, or where the operator said that they may.

use super::*;
use crate::support::bridge::run;

/// The headers of a delivery that is signed as by default, and one that nobody signed.
async fn deliver(
    bridge: &Bridge,
    path: &str,
    body: &str,
    time: u64,
    unsigned: (&str, &str),
) -> Answer {
    let (time, signature) = (time.to_string(), tag("s", &format!("{time}.{body}")));
    let headers = [("x-signature", signature.as_str()), ("x-timestamp", time.as_str()), unsigned];
    bridge.post(path, body.to_owned(), &headers).await
}

/// Two webhooks that differ are two, whatever somebody on the way writes beside their signatures.
#[tokio::test]
async fn an_id_that_nobody_signed_decides_nothing() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "unsigned").await;
    let auth = "kind = \"hmac\"\nsecrets = [\"s\"]";
    let bridge = Bridge::config(endpoint("unsigned", "", auth)).nats(nats).start_ready().await;
    let mut ids = std::collections::BTreeSet::new();
    let headers = ["svix-id", "webhook-id", "x-webhook-id", "message-id"];
    for header in headers {
        for text in ["first", "second"] {
            let answer = deliver(
                &bridge,
                "/unsigned",
                &event(&format!("{header} {text}")),
                now(),
                (header, "1"),
            )
            .await;
            assert_eq!(answer.status, 200, "{header}: {}", answer.text());
            ids.insert(answer.header("hookbus-id").unwrap().to_owned());
        }
        // Nor can a header that isn't read be there too often, or hold something odd.
        let answer = deliver(&bridge, "/unsigned", &event(header), now(), (header, "\u{e9}")).await;
        assert_eq!(answer.status, 200, "{header}: {}", answer.text());
    }
    assert_eq!(ids.len(), 2 * headers.len(), "{ids:?}");
    assert_eq!(stored(nats, "unsigned").await, 3 * headers.len());
    let repeated = r#"hookbus_webhooks_total{endpoint="unsigned",type="other",outcome="repeated""#;
    assert_eq!(bridge.metric(repeated).await, 0.0);
}

/// What `check` refuses is taken once it is named.
#[tokio::test]
async fn an_unsigned_id_counts_where_it_is_trusted() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "trusted").await;
    let auth = "kind = \"hmac\"\nsecrets = [\"s\"]\nmessage_id_header = \"x-webhook-id\"";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hookbus.toml");
    let check = async |more: &str| {
        std::fs::write(&file, format!("[nats]\n{}", endpoint("trusted", more, auth))).unwrap();
        run(&["check", "--config", file.to_str().unwrap()]).await
    };
    let output = check("").await;
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.contains("the message id is not signed"), "{}", output.stderr);
    // Deduplication by JetStream would hide whether it was published.
    let trusted = "dedupe = \"body\"\ntrust_unsigned = [\"X-Webhook-Id\"]";
    let output = check(trusted).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);

    let text = endpoint("trusted", trusted, auth);
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    for (id, text) in [("1", "first"), ("1", "a repetition, says its id"), ("2", "second")] {
        let answer = deliver(&bridge, "/trusted", &event(text), now(), ("x-webhook-id", id)).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.text());
    }
    assert_eq!(stored(nats, "trusted").await, 2);
    // It may be missing, but not be there twice.
    let (body, time) = (event("third"), now().to_string());
    let signature = tag("s", &format!("{time}.{body}"));
    let signed = [("x-signature", signature.as_str()), ("x-timestamp", time.as_str())];
    assert_eq!(bridge.post("/trusted", body.clone(), &signed).await.status, 200);
    let twice = [signed[0], signed[1], ("x-webhook-id", "1"), ("x-webhook-id", "2")];
    let answer = bridge.post("/trusted", body, &twice).await;
    assert_refused(&bridge, "trusted", &answer, "malformed", 1.0).await;
}

/// Without an id that counts, a repetition is told by its signature, which nobody can change.
#[tokio::test]
async fn a_repetition_is_refused_by_its_signature() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "by-signature").await;
    stream(nats, "by-trusted").await;
    let auth = "kind = \"hmac\"\nsecrets = [\"s\"]\nreplay = \"refuse\"";
    let trusted = format!("{auth}\nmessage_id_header = \"x-webhook-id\"");
    let text = endpoint("by-signature", "", auth)
        + &endpoint("by-trusted", "trust_unsigned = [\"x-webhook-id\"]", &trusted);
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    for name in ["by-signature", "by-trusted"] {
        let (path, time) = (format!("/{name}"), now());
        let deliver = async |text: &str, time: u64, id: &str| {
            deliver(&bridge, &path, &event(text), time, ("x-webhook-id", id)).await
        };
        assert_eq!(deliver("a", time, "1").await.status, 200);
        for (count, id) in (1..).zip(["1", "2", ""]) {
            let answer = deliver("a", time, id).await;
            assert_refused(&bridge, name, &answer, "repeated", f64::from(count)).await;
        }
        assert_eq!(deliver("a", time - 1, "3").await.status, 200);
        assert_eq!(deliver("b", time, "4").await.status, 200);
        assert_eq!(stored(nats, name).await, 3, "{name}");
    }
}
