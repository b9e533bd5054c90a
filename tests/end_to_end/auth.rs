//! Who may post: every kind of `[[endpoint.auth]]`, with signatures and tokens that other people's libraries make.

mod explained;
mod hmac;
mod ids;
mod jwks;
mod jwt;
mod network;
mod replays;

use crate::support::http::Answer;
use crate::support::{Bridge, Nats, nats};
use serde_json::json;

/// One endpoint of this name, with this authentication.
fn endpoint(name: &str, more: &str, auth: &str) -> String {
    format!(
        r#"
        [[endpoint]]
        name = "{name}"
        path = "/{name}"
        source = "vapi"
        {more}
        [[endpoint.event]]
        types = ["*"]
        to = ["nats:auth.{name}"]
        [[endpoint.auth]]
        {auth}
        "#
    )
}

fn event(text: &str) -> String {
    json!({"message": {"type": "hang", "call": {"id": "k"}, "text": text}}).to_string()
}

/// The signature of some bytes: HMAC-SHA-256, as hex. Others' libraries have their say in `hmac`.
fn tag(secret: &str, signed: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    data_encoding::HEXLOWER.encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref())
}

/// Unix time in seconds.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The stream of a test's endpoint.
async fn stream(nats: &Nats, name: &str) {
    nats.create_stream(&format!("AUTH-{name}"), &[&format!("auth.{name}")]).await;
}

async fn stored(nats: &Nats, name: &str) -> usize {
    nats.messages(&format!("AUTH-{name}"), 0).await.len()
}

/// The reason of what doesn't fit, as long as nothing more is known.
const WRONG: &str = "wrong-secret";

/// All that is refused gets the same answer, which says nothing about why; the metric does.
async fn assert_refused(bridge: &Bridge, name: &str, answer: &Answer, reason: &str, count: f64) {
    assert_eq!(answer.status, 401, "{reason}: {}", answer.text());
    let body = json!({
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "authentication is missing or wrong",
    });
    assert_eq!(answer.json(), body, "{reason}");
    // Why something doesn't fit is looked into now and then, and found out more exactly.
    let exact = ["secret-form", "body-changed", "url-differs", "other-endpoint"];
    let reasons = [reason].into_iter().chain(exact.into_iter().filter(|_| reason == WRONG));
    let mut sum = 0.0;
    for reason in reasons {
        let labels = format!(r#"{{endpoint="{name}",reason="{reason}"}}"#);
        sum += bridge.metric(&format!("hookbus_unauthorized_total{labels}")).await;
    }
    assert_eq!(sum, count, "{reason}");
}

#[tokio::test]
async fn a_secret_behind_a_prefix_and_a_password() {
    let Some(nats) = nats::shared().await else { return };
    stream(nats, "plain").await;
    let auth = concat!(
        "kind = \"secret\"\nheader = \"authorization\"\nprefix = \"Bearer \"\nsecrets = [\"old\", \"new\"]\n",
        "[[endpoint.auth]]\nkind = \"basic\"\nuser = \"vapi\"\npasswords = [\"open sesame\"]",
    );
    let bridge = Bridge::config(endpoint("plain", "", auth)).nats(nats).start_ready().await;
    let post =
        async |header: &str| bridge.post("/plain", event("x"), &[("authorization", header)]).await;
    // printf 'vapi:open sesame' | base64
    for right in ["Bearer old", "Bearer new", "Basic dmFwaTpvcGVuIHNlc2FtZQ=="] {
        let answer = post(right).await;
        assert_eq!(answer.status, 200, "{right}: {}", answer.text());
    }
    let wrong = ["old", "Bearer older", "Basic dmFwaTp3cm9uZw==", "Bearer ", "Basic"];
    for (count, wrong) in (1..).zip(wrong) {
        assert_refused(&bridge, "plain", &post(wrong).await, "wrong-secret", f64::from(count))
            .await;
    }
    let answer = bridge.post("/plain", event("x"), &[]).await;
    assert_refused(&bridge, "plain", &answer, "no-header", 1.0).await;
    let twice = [("authorization", "Bearer old"), ("authorization", "Bearer old")];
    let answer = bridge.post("/plain", event("x"), &twice).await;
    assert_refused(&bridge, "plain", &answer, "malformed", 1.0).await;
    assert_eq!(stored(nats, "plain").await, 3, "nothing that was refused is published");
    assert!(!bridge.log().contains("sesame"), "{}", bridge.log());
}
