//! The voice: sound in parts, by both of its paces.

use super::{Example, PATIENCE};
use crate::support::{Bridge, Nats, endpoint, sample};
use async_nats::{HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EXAMPLE: Example = Example {
    folder: "workers/voice-python",
    command: &[".venv/bin/python", "voice.py"],
    built: ".venv/requirements.txt",
};

/// 42 characters at 60 ms, 24,000 samples a second of two bytes.
const LENGTH: usize = 120_960;

#[tokio::test]
async fn the_voice_speaks_in_parts() {
    let Some(nats) = Nats::start().await else { return };
    let environment = [("NATS_URL", &*nats.url()), ("HOOKBUS_ENDPOINT", "voice")];
    let Some(mut voice) = EXAMPLE.start(&environment) else { return };
    voice.ready().await;
    let bridge = Bridge::config(endpoint("voice")).nats(&nats).start_ready().await;
    let asked = sample("voice-request.json").bytes;
    let answer = bridge.post("/voice", asked.clone(), &[]).await;
    assert_eq!((answer.status, answer.body.len()), (200, LENGTH), "{:?}", answer.headers);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    // A tone swings: the first sample of a sine is 0, and its loudest nearly what was asked for.
    let loudest =
        answer.body.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).max();
    assert!(answer.body.starts_with(&[0, 0]) && loudest > Some(7900), "{loudest:?}");

    // Whoever says that there is room gets it as fast as that, in order and to the end.
    let parts = spoken(&nats, asked).await;
    assert_eq!(parts, answer.body);
    voice.terminate();
    assert_eq!(voice.ended().await.code(), Some(0));
}

/// Asks over NATS and takes the parts, saying that there is room for the next.
async fn spoken(nats: &Nats, asked: Bytes) -> Bytes {
    let client = nats.client().await;
    let inbox = client.new_inbox();
    let mut parts = client.subscribe(inbox.clone()).await.unwrap();
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(20);
    let deadline = HeaderValue::from(deadline.as_millis() as u64);
    let headers = HeaderMap::from_iter([("Hookbus-Deadline".parse().unwrap(), deadline)]);
    client
        .publish_with_reply_and_headers("voice.ask.voice-request", inbox, headers, asked)
        .await
        .unwrap();
    let mut sound = BytesMut::new();
    for number in 0_u64.. {
        let part = tokio::time::timeout(PATIENCE, parts.next()).await.expect("a part").unwrap();
        let headers = part.headers.expect("headers");
        assert_eq!(headers.get("Hookbus-Seq").map(ToString::to_string), Some(number.to_string()));
        sound.extend_from_slice(&part.payload);
        if headers.get("Hookbus-More").is_none() {
            break;
        }
        client.publish(part.reply.expect("it waits for room"), Bytes::new()).await.unwrap();
    }
    sound.freeze()
}
