//! Signatures, made by Python's `hmac`.

use super::*;
use crate::support::python;

/// The signature of some bytes by some secret.
async fn sign(hash: &str, encoding: &str, secret: &[u8], signed: &[u8]) -> Option<String> {
    const SIGN: &str = r#"
import base64, hmac, sys
hash, encoding, secret = sys.argv[1:]
digest = hmac.new(bytes.fromhex(secret), sys.stdin.buffer.read(), hash).digest()
print(digest.hex() if encoding == "hex" else base64.b64encode(digest).decode())
"#;
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = python::code(SIGN, &[hash, encoding, &secret], signed).await?;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    Some(output.stdout.trim().to_owned())
}

#[tokio::test]
async fn vapis_defaults() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "hmac").await;
    let auth = "kind = \"hmac\"\nsecrets = [\"s1\", \"s2\"]";
    let text =
        endpoint("hmac", "", auth) + &endpoint("hmac2", "", "kind = \"hmac\"\nsecrets = [\"s3\"]");
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let body = event("signed");
    let post = async |path: &str, body: &str, headers: &[(&str, &str)]| {
        bridge.post(path, body.to_owned(), headers).await
    };
    let signed = async |secret: &[u8], time: &str, body: &str| {
        sign("sha256", "hex", secret, format!("{time}.{body}").as_bytes()).await
    };

    // Either secret, seconds and milliseconds, either case, and some way into the past and the future.
    let mut accepted = 0;
    for (secret, time) in [
        (b"s1", now().to_string()),
        (b"s2", (now() * 1_000).to_string()),
        (b"s1", (now() - 290).to_string()),
        (b"s2", (now() + 290).to_string()),
    ] {
        let Some(signature) = signed(secret, &time, &body).await else { return };
        for signature in [signature.clone(), signature.to_uppercase()] {
            let headers = [("x-signature", signature.as_str()), ("x-timestamp", time.as_str())];
            let answer = post("/hmac", &body, &headers).await;
            assert_eq!(answer.status, 200, "{time}: {}", answer.text());
            accepted += 1;
        }
    }

    let signed_at = now();
    let time = signed_at.to_string();
    let Some(good) = signed(b"s1", &time, &body).await else { return };
    let mut counts = std::collections::BTreeMap::new();
    let mut refused = async |reason: &'static str, body: &str, headers: &[(&str, &str)]| {
        let answer = post("/hmac", body, headers).await;
        let count = counts.entry(reason).or_insert(0.0);
        *count += 1.0;
        assert_refused(&bridge, "hmac", &answer, reason, *count).await;
    };
    let (right, at) = (("x-signature", good.as_str()), ("x-timestamp", time.as_str()));
    refused("no-header", &body, &[]).await;
    refused("no-header", &body, &[right]).await;
    refused("no-header", &body, &[at]).await;
    refused("malformed", &body, &[right, right, at]).await;
    refused("malformed", &body, &[right, at, at]).await;
    for wrong in
        ["", "zz", &good[..63], &format!("{good},{good}"), &format!("sha256={good}"), "\u{e9}"]
    {
        refused("malformed", &body, &[("x-signature", wrong), at]).await;
    }
    // Truncated, too long, and of no end.
    refused("wrong-secret", &body, &[("x-signature", &good[..62]), at]).await;
    refused("wrong-secret", &body, &[("x-signature", &format!("{good}00")), at]).await;
    refused("wrong-secret", &body, &[("x-signature", &"ab".repeat(10_000)), at]).await;
    // Right over other bytes, another time, or by somebody else's secret.
    refused("wrong-secret", &event("other"), &[right, at]).await;
    let other = (signed_at - 1).to_string();
    refused("wrong-secret", &body, &[right, ("x-timestamp", &other)]).await;
    let Some(foreign) = signed(b"s3", &time, &body).await else { return };
    refused("wrong-secret", &body, &[("x-signature", &foreign), at]).await;
    // The far past and the far future, signed as they should be.
    for (reason, time) in [
        ("too-old", "0"),
        ("too-old", "1"),
        ("too-old", &(now() - 310).to_string()),
        ("from-future", &(now() + 310).to_string()),
        ("from-future", "99999999999999999999"),
    ] {
        let Some(signature) = signed(b"s1", time, &body).await else { return };
        refused(reason, &body, &[("x-signature", &signature), ("x-timestamp", time)]).await;
    }
    for time in ["", "+5", "-5", "1e9", "now", "0x10"] {
        refused("malformed", &body, &[right, ("x-timestamp", time)]).await;
    }
    assert_eq!(stored(nats, "hmac").await, accepted);
    let log = bridge.log();
    assert!(!log.contains(&good) && !log.contains("s1"), "{log}");
}

#[tokio::test]
async fn every_knob() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "knobs").await;
    let auth = r#"kind = "hmac"
        secrets = ["c2VjcmV0IGJ5dGVz/w=="]
        secret_is_base64 = true
        algorithm = "sha512"
        signature_header = "x-vapi-signature"
        signature_prefix = "v1,"
        signature_encoding = "base64"
        timestamp_header = "x-vapi-time"
        message_id_header = "x-vapi-id"
        payload_format = "{method} {url} {svix-id} {timestamp}:{body}"
    "#;
    let url = "public_url = \"https://hooks.example.com/knobs?a=b\"";
    let bridge = Bridge::config(endpoint("knobs", url, auth)).nats(nats).start_ready().await;
    let (body, time) = (event("knobs"), now().to_string());
    let signed = format!("POST https://hooks.example.com/knobs?a=b msg-1 {time}:{body}");
    let secret = b"secret bytes\xff";
    let Some(signature) = sign("sha512", "base64", secret, signed.as_bytes()).await else { return };
    let signature = format!("v1,{signature}");
    let headers = [
        ("x-vapi-signature", signature.as_str()),
        ("x-vapi-time", time.as_str()),
        ("x-vapi-id", "msg-1"),
    ];
    let answer = bridge.post("/knobs", body.clone(), &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("hookbus-id"), Some("msg-1"), "the sender's id is the id");
    let other = [headers[0], headers[1], ("x-vapi-id", "msg-2")];
    let answer = bridge.post("/knobs", body, &other).await;
    assert_refused(&bridge, "knobs", &answer, "wrong-secret", 1.0).await;
    assert_eq!(nats.messages("AUTH-knobs", 1).await[0].header("ce-id"), Some("msg-1"));
}

/// What was delivered is told by its id: by default it gets its answer again and isn't published, else it is refused.
#[tokio::test]
async fn repeated_deliveries() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "again").await;
    stream(nats, "never").await;
    let auth = |more: &str| {
        format!(
            "kind = \"hmac\"\nsecrets = [\"s\"]\nmessage_id_header = \"x-id\"\npayload_format = \"{{svix-id}}.{{timestamp}}.{{body}}\"\n{more}"
        )
    };
    // Deduplication by JetStream would hide whether it was published.
    let text = endpoint("again", "dedupe = \"body\"", &auth(""))
        + &endpoint("never", "", &auth("replay = \"refuse\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let deliver = async |path: &str, id: &str, time: &str, body: &str| {
        let signature =
            sign("sha256", "hex", b"s", format!("{id}.{time}.{body}").as_bytes()).await?;
        let headers = [("x-signature", signature.as_str()), ("x-timestamp", time), ("x-id", id)];
        Some(bridge.post(path, body.to_owned(), &headers).await)
    };
    let (time, later) = ((now() - 5).to_string(), now().to_string());
    for (body, time) in [("a", &time), ("a", &time), ("b", &later)] {
        let Some(answer) = deliver("/again", "1", time, &event(body)).await else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let Some(answer) = deliver("/again", "2", &later, &event("c")).await else { return };
    assert_eq!(answer.status, 200);
    assert_eq!(stored(nats, "again").await, 2, "one for each id");
    let repeated = r#"hookbus_webhooks_total{endpoint="again",type="other",outcome="repeated"}"#;
    assert_eq!(bridge.metric(repeated).await, 2.0);

    // An id counts only after its 2xx: this one is no webhook.
    let Some(answer) = deliver("/never", "1", &time, "{}").await else { return };
    assert_eq!(answer.status, 400);
    for (id, time, status) in
        [("1", &time, 200), ("1", &time, 401), ("1", &later, 200), ("2", &time, 200)]
    {
        let Some(answer) = deliver("/never", id, time, &event("a")).await else { return };
        assert_eq!(answer.status, status, "{id} {time}");
    }
    let reason = r#"hookbus_unauthorized_total{endpoint="never",reason="repeated"}"#;
    assert_eq!(bridge.metric(reason).await, 1.0);
}
