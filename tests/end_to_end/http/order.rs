//! Events of one key are stored in the order in which their bodies were complete, also when one of them takes a while:
//! to be decoded, to be read through, to be verified.

use super::streams::Streams;
use super::wire::Wire;
use super::{event, question};
use crate::support::{Bridge, Nats, eventually, nats, python};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(30);

/// Far less than it takes to decode or to read through [`SIZE`] bytes, and enough to take a place once a body was read.
const MOMENT: Duration = Duration::from_millis(20);

/// Large enough to take much longer than a small one, however fast the machine.
const SIZE: usize = 6 << 20;

const TRIES: usize = 4;

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Gzip,
    Zstd,
    Plain,
}

impl How {
    const ALL: [How; 3] = [How::Gzip, How::Zstd, How::Plain];

    /// A body of [`SIZE`] bytes as it is sent.
    async fn body(self, text: &str) -> Option<Vec<u8>> {
        const COMPRESS: &str = r#"
import gzip, sys, zstandard
body = sys.stdin.buffer.read()
sys.stdout.write((gzip.compress(body) if sys.argv[1] == "gzip" else zstandard.compress(body)).hex())
"#;
        let text = text.replacen('{', &format!("{{\"pad\":\"{}\",", "x y ".repeat(SIZE / 4)), 1);
        if self == How::Plain {
            return Some(text.into_bytes());
        }
        let output = python::code(COMPRESS, &[self.header()?], text.as_bytes()).await?;
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        Some(data_encoding::HEXLOWER.decode(output.stdout.as_bytes()).unwrap())
    }

    fn header(self) -> Option<&'static str> {
        match self {
            How::Gzip => Some("gzip"),
            How::Zstd => Some("zstd"),
            How::Plain => None,
        }
    }
}

fn endpoint(name: &str, more: &str) -> String {
    crate::support::endpoint(name).tables(more).to_string()
}

fn to(destinations: &str) -> String {
    format!("[[endpoint.event]]\ntypes = [\"*\"]\nto = [{destinations}]\n")
}

/// An event of this call that says which one it is.
fn numbered(call: &str, number: usize) -> String {
    json!({"message": {"type": "status-update", "call": {"id": call}, "number": number}})
        .to_string()
}

fn request(path: &str, how: How, body: &[u8]) -> Vec<u8> {
    let encoding = how.header().map(|name| format!("content-encoding: {name}\r\n"));
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: test\r\n{}content-length: {}\r\n\r\n",
        encoding.unwrap_or_default(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// All of a request but its last byte is with the bridge.
async fn begun(bridge: &Bridge, request: &[u8], length: usize) -> Wire {
    let mut wire = Wire::open(&bridge.address()).await;
    wire.send(&request[..request.len() - 1]).await;
    eventually("most of a body", SOON, async || {
        (bridge.metric("hookbus_in_flight_bytes").await >= (length - 1) as f64).then_some(())
    })
    .await;
    wire
}

/// What was sent on this connection is complete for the bridge. Of several that it finds at one look, the order in which
/// they were sent is known to nobody.
async fn is_complete(wire: &Wire) {
    wire.is_read().await;
    sleep(MOMENT).await;
}

/// The numbers of the events of a stream, in their order.
async fn numbers(nats: &Nats, stream: &str) -> Vec<u64> {
    let messages = nats.messages(stream, 0).await;
    let number = |payload: &[u8]| -> u64 {
        let body: serde_json::Value = serde_json::from_slice(payload).unwrap();
        body["message"]["number"].as_u64().unwrap()
    };
    messages.iter().map(|message| number(&message.payload)).collect()
}

/// A large body, and a moment later small ones of the same call: at the same endpoint, and at another one with the
/// same destination.
#[tokio::test]
async fn what_takes_a_while_keeps_its_turn() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("turns", &["turns.events.>"]).await;
    let all = to("\"nats:turns.events.all\"");
    let text = endpoint("turns", &all) + &endpoint("turns-beside", &all);
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let mut sent = 0;
    for how in How::ALL {
        for try_ in 0..TRIES {
            let call = format!("{how:?} {try_}");
            let Some(body) = how.body(&numbered(&call, sent)).await else { return };
            let large = request("turns", how, &body);
            let mut slow = begun(&bridge, &large, body.len()).await;
            let mut small = Vec::new();
            for path in ["turns", "turns-beside", "turns"] {
                sent += 1;
                let request = request(path, How::Plain, numbered(&call, sent).as_bytes());
                small.push((Wire::open(&bridge.address()).await, request));
            }
            sent += 1;
            slow.send(&large[large.len() - 1..]).await;
            is_complete(&slow).await;
            for (wire, request) in &mut small {
                wire.send(request).await;
                is_complete(wire).await;
            }
            for mut wire in small.into_iter().map(|(wire, _)| wire).chain([slow]) {
                assert_eq!(wire.response().await.status, 200, "{call}");
            }
        }
    }
    let numbers = numbers(nats, "turns").await;
    assert_eq!(numbers, (0..sent as u64).collect::<Vec<_>>());
}

/// One connection of HTTP/2 has many streams: those that come back to back, and those whose bodies end in another order
/// than they began in.
#[tokio::test]
async fn streams_of_one_connection_keep_their_order() {
    const COUNT: usize = 60;
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("turns-streams", &["turns-streams.events.>"]).await;
    let text = endpoint("turns-streams", &to("\"nats:turns-streams.events.all\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let head = [("content-type", "application/json")];
    let mut expected = Vec::new();
    for round in 0..TRIES {
        let call = format!("call {round}");
        let mut streams = Streams::open(&bridge.address()).await;
        for number in 0..COUNT {
            let stream = streams.post("/turns-streams", &head).await;
            streams.complete(stream, numbered(&call, expected.len()).as_bytes()).await;
            expected.push(expected.len() as u64);
            if number % 16 == 15 {
                streams.answered(number + 1).await;
            }
        }
        // Nothing of these is in flight any more: the bytes below are first ones alone.
        streams.answered(COUNT).await;
        let mut begun = Vec::new();
        for _ in 0..COUNT {
            let stream = streams.post("/turns-streams", &head).await;
            streams.send(stream, b"{").await;
            begun.push(stream);
        }
        eventually("all first bytes", SOON, async || {
            (bridge.metric("hookbus_in_flight_bytes").await >= COUNT as f64).then_some(())
        })
        .await;
        for stream in begun.into_iter().rev() {
            streams.complete(stream, &numbered(&call, expected.len()).as_bytes()[1..]).await;
            expected.push(expected.len() as u64);
        }
        streams.answered(2 * COUNT).await;
    }
    assert_eq!(numbers(nats, "turns-streams").await, expected);
}

/// While one is decoded, others are served: other destinations, events without a key, and whoever asks.
#[tokio::test]
async fn what_takes_a_while_holds_up_nobody_else() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("turns-slow", &["turns-slow.events.>"]).await;
    nats.create_stream("turns-other", &["turns-other.events.>"]).await;
    let fallback = "[[endpoint.question]]\ntypes = [\"assistant-request\"]\nfallback = { assistantId = \"a\" }\n";
    let text = endpoint("turns-slow", &(to("\"nats:turns-slow.events.all\"") + fallback))
        + &endpoint("turns-other", &to("\"nats:turns-other.events.all\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let Some(body) = How::Gzip.body(&numbered("call-1", 0)).await else { return };
    let large = request("turns-slow", How::Gzip, &body);
    let mut slow = begun(&bridge, &large, body.len()).await;
    slow.send(&large[large.len() - 1..]).await;
    is_complete(&slow).await;
    let same = bridge.post("/turns-slow", numbered("call-1", 1), &[]);
    let others = async {
        let keyless = r#"{"message":{"type":"hang"}}"#;
        for (path, body) in [
            ("/turns-other", event("call-1").as_str()),
            ("/turns-slow", keyless),
            ("/turns-slow", question("assistant-request").as_str()),
        ] {
            let answer = bridge.post(path, body.to_owned(), &[]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        // None of them had to wait: the large one is still being decoded.
        nats.messages("turns-slow", 0).await.len()
    };
    let (same, before) = tokio::join!(same, others);
    assert_eq!((same.status, slow.response().await.status), (200, 200));
    assert_eq!(before, 1, "the one without a key alone");
}

/// A sender that hangs up while its body is being decoded, or whose body is broken, is waited for no more.
#[tokio::test]
async fn nobody_waits_for_one_that_is_given_up() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("turns-gone", &["turns-gone.events.>"]).await;
    let text = endpoint("turns-gone", &to("\"nats:turns-gone.events.all\""));
    let bridge = Bridge::config(&text).nats(nats).start_ready().await;
    let Some(body) = How::Gzip.body(&numbered("call-1", 0)).await else { return };
    let mut bent = body.clone();
    let last = bent.len() - 6;
    bent[last] ^= 1;
    let mut sent = Vec::new();
    for (number, (body, stays)) in [(&body, false), (&bent, true)].into_iter().enumerate() {
        let large = request("turns-gone", How::Gzip, body);
        let mut slow = begun(&bridge, &large, body.len()).await;
        slow.send(&large[large.len() - 1..]).await;
        is_complete(&slow).await;
        let small = bridge.post("/turns-gone", numbered("call-1", number + 1), &[]);
        let gone = async {
            match stays {
                true => assert_eq!(slow.response().await.status, 400),
                false => drop(slow),
            }
        };
        let (small, ()) = tokio::join!(small, gone);
        assert_eq!(small.status, 200);
        sent.push(number as u64 + 1);
    }
    // The first may have been decoded before its sender was seen to be gone.
    let numbers: Vec<_> =
        numbers(nats, "turns-gone").await.into_iter().filter(|number| *number > 0).collect();
    assert_eq!(numbers, sent);
}

/// What is stored beside an answer has its place as well: the copy of a question, and a job.
#[tokio::test]
async fn copies_and_jobs_keep_their_turn() {
    let Some(nats) = nats::shared().await else { return };
    nats.create_stream("turns-copy", &["turns-copy.jobs.>", "turns-copied.>"]).await;
    let rules = to("\"nats:turns-copied.all\"")
        + "[[endpoint.question]]\ntypes = [\"assistant-request\"]\nfallback = { assistantId = \"a\" }\ncopy_to = [\"nats:turns-copied.all\"]\n";
    let bridge = Bridge::config(endpoint("turns-copy", &rules)).nats(nats).start_ready().await;
    let copied = |number: usize| {
        json!({"message": {"type": "assistant-request", "call": {"id": "k"}, "number": number}})
            .to_string()
    };
    let job = |number: usize| {
        json!({"message": {"type": "tool-calls", "call": {"id": "k", "number": number}, "toolWithToolCallList": [
            {"type": "function", "async": true, "function": {"name": "f"}, "toolCall": {"id": format!("{number}"), "type": "function", "function": {"name": "f", "arguments": {}}}}
        ]}})
        .to_string()
    };
    for (number, (large, small)) in
        [(numbered("k", 0), copied(1)), (copied(2), numbered("k", 3)), (job(4), job(5))]
            .into_iter()
            .enumerate()
    {
        let Some(body) = How::Gzip.body(&large).await else { return };
        let large = request("turns-copy", How::Gzip, &body);
        let mut slow = begun(&bridge, &large, body.len()).await;
        slow.send(&large[large.len() - 1..]).await;
        is_complete(&slow).await;
        let answer = bridge.post("/turns-copy", small, &[]).await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        assert_eq!(slow.response().await.status, 200, "{number}");
    }
    let stored = eventually("all of them", SOON, async || {
        let messages = nats.messages("turns-copy", 0).await;
        (messages.len() == 6).then_some(messages)
    })
    .await;
    let numbers: Vec<_> = stored
        .iter()
        .map(|message| {
            let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            let number = body["message"]["number"].as_u64();
            number.or_else(|| body["call"]["number"].as_u64()).unwrap()
        })
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}
