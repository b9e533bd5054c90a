//! Compressed bodies, made by Python's gzip and zstandard.

use super::event;
use crate::support::http::Answer;
use crate::support::{Bridge, eventually, kafka, nats, python};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};

/// The texts, each compressed in its way.
async fn compressed(texts: &[(&str, String)]) -> Option<Vec<Bytes>> {
    let input = json!(texts).to_string();
    let output = python::run("http/compress.py", &[], input.as_bytes()).await?;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let bodies = output.stdout.lines().map(|line| HEXLOWER.decode(line.as_bytes()).unwrap().into());
    Some(bodies.collect())
}

fn endpoint(name: &str, to: &str, more: &str, auth: &str) -> String {
    let event = format!("[[endpoint.event]]\ntypes = [\"*\"]\nto = [{to}]");
    crate::support::endpoint(name).keys(more).auth(auth).tables(&event).to_string()
}

fn encoding(how: &str) -> (&'static str, &str) {
    ("content-encoding", how.split_once('-').map_or(how, |(encoding, _)| encoding))
}

#[tokio::test]
async fn what_is_published_is_the_decoded_body() {
    let (Some(nats), Some(kafka)) = (nats::shared().await, kafka::shared().await) else { return };
    nats.create_stream("decoded", &["decoded"]).await;
    kafka.create_topic("decoded", 1).await;
    let to = "\"nats:decoded\", \"kafka:decoded\"";
    let config = endpoint("decoded", to, "", "kind = \"none\"");
    let bridge = Bridge::config(&config).nats(nats).kafka(kafka).start_ready().await;
    // White space is the sender's, and stays.
    let text = |how: &str| format!("{}\r\n{:60000}\n", event(how), "");
    let all = ["gzip", "gzip-members", "zstd", "zstd-frames", "zstd-stream"];
    let texts = all.map(|how| (how, text(how)));
    let Some(bodies) = compressed(&texts).await else { return };
    for ((how, _), body) in texts.iter().zip(bodies) {
        assert!(body.len() < 2_000, "{how}");
        let (_, name) = encoding(how);
        for name in [name.to_owned(), name.to_uppercase()] {
            let answer =
                bridge.post("/decoded", body.clone(), &[("content-encoding", &name)]).await;
            assert_eq!(answer.status, 200, "{how}: {}", answer.text());
        }
    }
    let expected: Vec<_> = texts.iter().flat_map(|(_, text)| [text.as_str(); 2]).collect();
    let messages = nats.messages("decoded", 10).await;
    for message in &messages {
        let names: Vec<_> = message.headers.iter().map(|(name, _)| name.to_string()).collect();
        assert!(!names.iter().any(|name| name.to_lowercase().contains("encoding")), "{names:?}");
    }
    let payloads: Vec<_> = messages.iter().map(|message| &message.payload[..]).collect();
    assert!(payloads == expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    let records = kafka.records("decoded", 10).await;
    let payloads: Vec<_> =
        records.iter().map(|record| record.payload.as_deref().unwrap()).collect();
    assert!(payloads == expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    assert_eq!(bridge.metric("hookbus_in_flight_bytes").await, 0.0);
}

/// Signatures and ids are those of the received bytes, and nothing is decoded for whoever may not post.
#[tokio::test]
async fn the_received_bytes_are_signed() {
    const SIGN: &str = r#"
import hmac, sys
print(hmac.new(b"s", sys.stdin.buffer.read(), "sha256").hexdigest())
"#;
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("signed-bytes", &["signed-bytes"]).await;
    let auth = "kind = \"hmac\"\nsecrets = [\"s\"]\ninclude_timestamp = false\npayload_format = \"{body}\"";
    let config = endpoint("signed-bytes", "\"nats:signed-bytes\"", "dedupe = \"body\"", auth);
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let signature = async |body: &[u8]| {
        let output = python::code(SIGN, &[], body).await?;
        Some(output.stdout.trim().to_owned())
    };
    let texts = [("gzip", event("a")), ("zstd", event("b")), ("gzip-truncated", event("c"))];
    let Some(bodies) = compressed(&texts).await else { return };
    for ((how, text), body) in texts.iter().zip(bodies) {
        let (Some(right), Some(decoded)) =
            (signature(&body).await, signature(text.as_bytes()).await)
        else {
            return;
        };
        let post = async |signature: &str| {
            let headers = [encoding(how), ("x-signature", signature)];
            bridge.post("/signed-bytes", body.clone(), &headers).await
        };
        assert_eq!(post(&decoded).await.status, 401, "{how}");
        let answer = post(&right).await;
        if *how == "gzip-truncated" {
            assert_eq!(answer.status, 400);
            continue;
        }
        assert_eq!(answer.status, 200, "{how}: {}", answer.text());
        use sha2::Digest;
        let id = format!("{:x}", sha2::Sha256::digest(&body));
        assert_eq!(answer.header("hookbus-id"), Some(id.as_str()), "{how}");
    }
    let stored = nats.messages("signed-bytes", 2).await;
    let stored: Vec<_> = stored.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(stored, [event("a").as_bytes(), event("b").as_bytes()]);
}

#[tokio::test]
async fn what_is_not_whole_is_refused() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("bent", &["bent"]).await;
    let config = endpoint("bent", "\"nats:bent\"", "", "kind = \"none\"");
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let bent = [
        "gzip-truncated",
        "gzip-garbage",
        "gzip-corrupt",
        "gzip-nested",
        "zstd-truncated",
        "zstd-garbage",
        "zstd-window",
        "zstd-nested",
    ];
    let texts = bent.map(|how| (how, event(how)));
    let Some(bodies) = compressed(&texts).await else { return };
    for (how, body) in bent.iter().zip(&bodies) {
        let answer = bridge.post("/bent", body.clone(), &[encoding(how)]).await;
        assert_eq!(answer.status, 400, "{how}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    for (name, body) in [("gzip", ""), ("zstd", ""), ("gzip", "{}"), ("zstd", "{}")] {
        let answer = bridge.post("/bent", body, &[("content-encoding", name)]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    let twice = [("content-encoding", "gzip"), ("content-encoding", "gzip")];
    assert_eq!(bridge.post("/bent", bodies[0].clone(), &twice).await.status, 415);
    assert!(nats.messages("bent", 0).await.is_empty());
}

/// A hundred bodies at once that grow a thousand times: refused, in bounded memory, while others are served.
#[tokio::test]
async fn bombs_are_stopped_at_the_limit() {
    const MEMORY: u64 = 64 << 20;
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("bombs", &["bombs"]).await;
    let config = format!(
        "[http]\nlisten = \"{{http}}\"\nmax_in_flight_bytes = \"{MEMORY}B\"\n{}",
        endpoint("bombs", "\"nats:bombs\"", "", "kind = \"none\"")
    );
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let texts = ["gzip-bomb", "zstd-bomb"].map(|how| (how, event("bomb")));
    let Some(bodies) = compressed(&texts).await else { return };
    for ((how, _), body) in texts.iter().zip(&bodies) {
        assert!(body.len() < 11_000, "{how}: {}", body.len());
        let answer = bridge.post("/bombs", body.clone(), &[encoding(how)]).await;
        assert_eq!(answer.status, 413, "{how}: {}", answer.text());
        assert!(answer.text().contains("8388608"), "{}", answer.text());
    }
    let before = bridge.rss_bytes();
    let began = Instant::now();
    let bombs = (0..100).map(|number| {
        let ((how, _), body) = (&texts[number % 2], &bodies[number % 2]);
        let bridge = &bridge;
        async move { bridge.post("/bombs", body.clone(), &[encoding(how)]).await }
    });
    let small = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let answer: Answer = bridge.post("/bombs", event("small"), &[]).await;
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            slowest = slowest.max(answer.elapsed);
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(join_all(bombs), small);
    let took = began.elapsed();
    let grown = bridge.peak_rss_bytes().saturating_sub(before);
    println!(
        "100 bombs in {took:?}: {} MiB more at the peak, others within {slowest:?}",
        grown >> 20
    );
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert!(statuses.iter().all(|status| matches!(status, 413 | 503)), "{statuses:?}");
    assert!(grown < 3 * MEMORY, "{grown} bytes more");
    eventually("no bytes in flight", Duration::from_secs(10), async || {
        (bridge.metric("hookbus_in_flight_bytes").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(bridge.post("/bombs", event("after"), &[]).await.status, 200);
    let stored = nats.messages("bombs", 1).await;
    assert!(stored.iter().all(|message| message.payload.len() < 200));
}
