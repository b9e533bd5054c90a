//! Repeated deliveries that come at the same time, when there is much to remember, and when the sender has gone.

use super::*;
use crate::support::eventually;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(20);

fn auth(more: &str) -> String {
    format!(
        "kind = \"hmac\"\nsecrets = [\"s\"]\nmessage_id_header = \"x-id\"\npayload_format = \"{{svix-id}}.{{timestamp}}.{{body}}\"\n{more}"
    )
}

/// Deduplication by JetStream would hide whether something was published: other bodies have other ids there.
const BY_BODY: &str = "dedupe = \"body\"";

fn headers(id: &str, time: u64, body: &str) -> [(&'static str, String); 3] {
    let signature = tag("s", &format!("{id}.{time}.{body}"));
    [("x-signature", signature), ("x-timestamp", time.to_string()), ("x-id", id.to_owned())]
}

async fn deliver(bridge: &Bridge, name: &str, id: &str, time: u64, body: &str) -> Answer {
    let headers = headers(id, time, body);
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    bridge.post(&format!("/{name}"), body.to_owned(), &headers).await
}

async fn until(bridge: &Bridge, metric: &str, value: f64) {
    eventually(&format!("{metric} {value}"), SOON, async || {
        (bridge.metric(metric).await == value).then_some(())
    })
    .await;
}

/// Of two copies at the same time one is handled; the other one is refused while it is.
#[tokio::test]
async fn of_two_at_the_same_time_one_is_refused() {
    let Some(nats) = nats::shared().await else { return };
    let text = endpoint("race", BY_BODY, &auth("replay = \"refuse\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let time = now();
    // Without a stream the first one is tried again and again: a leader election looks the same.
    let first = async { deliver(&bridge, "race", "1", time, &event("a")).await };
    let second = async {
        until(&bridge, "hookbus_in_flight{kind=\"event\"", 1.0).await;
        for (count, body) in (1..).zip(["a", "b"]) {
            let answer = deliver(&bridge, "race", "1", time, &event(body)).await;
            assert_refused(&bridge, "race", &answer, "repeated", f64::from(count)).await;
        }
        stream(nats, "race").await;
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(stored(nats, "race").await, 1);
}

/// What was refused may come again, and what came of the first is what comes of its copies.
#[tokio::test]
async fn a_copy_waits_for_the_first_and_gets_the_same() {
    let Some(nats) = nats::shared().await else { return };
    let text = endpoint("shared", BY_BODY, &auth(""));
    let setup = Bridge::config(&text).nats(nats).without_spool();
    let bridge = setup.start_ready().await;
    let time = now();
    let bodies = ["a", "b", "c"].map(event);
    let size = bodies.iter().map(String::len).sum::<usize>() as f64;
    let copies = async |stream_comes: bool| {
        let all = bodies.each_ref().map(|body| deliver(&bridge, "shared", "1", time, body));
        let watch = async {
            // The copies hold their bytes, and no places of events.
            until(&bridge, "hookbus_in_flight_bytes", size).await;
            until(&bridge, "hookbus_in_flight{kind=\"event\"", 1.0).await;
            if stream_comes {
                stream(nats, "shared").await;
            }
        };
        let (all, ()) = tokio::join!(futures_util::future::join_all(all), watch);
        all.iter().map(|answer| answer.status).collect::<Vec<_>>()
    };
    assert_eq!(copies(false).await, [503; 3]);
    assert_eq!(copies(true).await, [200; 3]);
    assert_eq!(stored(nats, "shared").await, 1, "one of three copies");
    let repeated = r#"hookbus_webhooks_total{endpoint="shared",type="other",outcome="repeated""#;
    assert_eq!(bridge.metric(repeated).await, 2.0);
    assert_eq!(deliver(&bridge, "shared", "2", time, &event("d")).await.status, 200);
    assert_eq!(stored(nats, "shared").await, 2);
}

/// A sender that hangs up while its event is being stored, and sends it again, has it stored once.
#[tokio::test]
async fn a_sender_that_hangs_up_and_comes_again() {
    let Some(nats) = nats::shared().await else { return };
    let text = endpoint("gone", BY_BODY, &auth(""))
        + &endpoint("gone-refused", BY_BODY, &auth("replay = \"refuse\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let time = now();
    for (name, status) in [("gone", 200), ("gone-refused", 401)] {
        let body = event("a");
        let mut wire = TcpStream::connect(bridge.address()).await.unwrap();
        let mut request = format!("POST /{name} HTTP/1.1\r\nhost: test\r\n");
        for (name, value) in headers("1", time, &body) {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-length: {}\r\n\r\n{body}", body.len());
        wire.write_all(request.as_bytes()).await.unwrap();
        until(&bridge, "hookbus_in_flight{kind=\"event\"", 1.0).await;
        drop(wire);
        stream(nats, name).await;
        until(&bridge, "hookbus_in_flight{kind=\"event\"", 0.0).await;
        let answer = deliver(&bridge, name, "1", time, &event("b")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stored(nats, name).await, 1, "{name}");
    }
}

/// Each endpoint remembers as many as it is configured to. Where repetitions are refused, what is new is refused too
/// rather than something being forgotten; a reload makes room, and forgets nothing either.
#[tokio::test]
async fn nothing_is_forgotten_that_could_be_sent_again() {
    let Some(nats) = nats::shared().await else { return };
    for name in ["full", "full-beside"] {
        stream(nats, name).await;
    }
    let strict = auth("replay = \"refuse\"");
    let text =
        |max: usize| endpoint("full", &format!("{BY_BODY}\nmax_seen_deliveries = {max}"), &strict);
    let beside = endpoint("full-beside", &format!("{BY_BODY}\nmax_seen_deliveries = 3"), &auth(""));
    let mut bridge = Bridge::config(&(text(3) + &beside)).nats(nats).start_ready().await;
    let time = now();
    for id in 0..20 {
        let id = id.to_string();
        let answer = deliver(&bridge, "full-beside", &id, time, &event(&id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for (id, status) in [("0", 200), ("1", 200), ("2", 200), ("3", 503), ("0", 401), ("2", 401)] {
        let answer = deliver(&bridge, "full", id, time, &event(id)).await;
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
    assert_eq!(
        bridge.metric(r#"hookbus_unauthorized_total{endpoint="full",reason="full""#).await,
        1.0
    );
    // The oldest are forgotten where that is allowed: the first is stored anew.
    for (id, count) in [("19", 20), ("17", 20), ("0", 21)] {
        let answer = deliver(&bridge, "full-beside", id, time, &event("again")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert_eq!(stored(nats, "full-beside").await, count, "{id}");
    }
    // An endpoint that goes and comes back has forgotten nothing.
    for text in [beside.clone(), text(4) + &beside] {
        bridge.configure(&text);
        let answer = bridge.client().post(&bridge.admin_url("/reload"), "", &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for (id, status) in [("0", 401), ("2", 401), ("3", 200), ("4", 503)] {
        let answer = deliver(&bridge, "full", id, time, &event(id)).await;
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
    }
    assert_eq!(stored(nats, "full").await, 4);
}
