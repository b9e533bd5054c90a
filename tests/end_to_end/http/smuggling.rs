//! Requests that two readers could read differently. Each is refused and its connection closed, or it is one request:
//! never is a second one read out of what is a body to somebody else.

use super::wire::{Wire, post};
use super::{event, open};
use crate::support::{Bridge, Nats, nats};
use std::time::Duration;

async fn start(nats: &Nats, name: &str) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    let http = "[http]\nlisten = \"{http}\"\nbody_timeout = \"1s\"\n";
    Bridge::config(format!("{http}{}", open(name))).nats(nats).start_ready().await
}

/// All that comes back until the other side closes.
async fn answers(bridge: &Bridge, bytes: &str) -> String {
    let mut wire = Wire::open(&bridge.address()).await;
    let _ = wire.try_send(bytes).await;
    String::from_utf8(wire.end().await).unwrap()
}

/// The statuses in what came back.
fn statuses(answers: &str) -> Vec<&str> {
    let starts = answers.match_indices("HTTP/1.1 ");
    starts.map(|(at, start)| &answers[at + start.len()..][..3]).collect()
}

/// A head with these lines.
fn head(name: &str, lines: &str) -> String {
    format!("POST /{name} HTTP/1.1\r\nhost: test\r\n{lines}\r\n\r\n")
}

#[tokio::test]
async fn heads_of_two_meanings_are_refused() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "meanings").await;
    let smuggled = post("/meanings", &event("smuggled"));
    let chunks = format!("0\r\n\r\n{smuggled}");
    let length = format!("content-length: {}", chunks.len());
    let chunked = "transfer-encoding: chunked";
    let digits = "0".repeat(60);
    let lines = [
        format!("{length}\r\n{chunked}"),
        format!("{chunked}\r\n{length}"),
        format!("{chunked}\r\ncontent-length: 4"),
        format!("content-length: 0\r\n{chunked}"),
        format!("{length}\r\nx: y\r\nTransfer-Encoding:chunked"),
        format!("{length}\r\nexpect: 100-continue\r\n{chunked}"),
        format!("{length}\r\ntransfer-encoding: identity"),
        format!("{length}\r\ntransfer-encoding: "),
        format!("{length}\r\ntransfer-encoding : chunked"),
        format!("{length}\r\n transfer-encoding: chunked"),
        format!("x: y\r\n transfer-encoding: chunked\r\n{length}"),
        format!("{length}\r\ntransfer-encoding:\x0bchunked"),
        format!("{length}\r\ntransfer-encoding: chunked\0"),
        format!("{length}\r\nx: y\ntransfer-encoding: chunked"),
        format!("{length}\r\nx: y\rtransfer-encoding: chunked"),
        "transfer-encoding: chunked, identity".to_owned(),
        "transfer-encoding: identity, chunked".to_owned(),
        "transfer-encoding: gzip, chunked".to_owned(),
        "transfer-encoding: chunked, chunked".to_owned(),
        "transfer-encoding: xchunked".to_owned(),
        "transfer-encoding: \"chunked\"".to_owned(),
        "transfer-encoding: chunked;q=1".to_owned(),
        "transfer-encoding:\r\n chunked".to_owned(),
        "transfer-encoding: chunked\r\n , identity".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned(),
        "transfer-encoding: identity\r\ntransfer-encoding: chunked".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked".to_owned(),
        format!("{length}\r\ncontent-length: 5"),
        format!("content-length: 0\r\n{length}"),
        "content-length: +5".to_owned(),
        "content-length: -5".to_owned(),
        "content-length: 5,5".to_owned(),
        "content-length: 5, 5".to_owned(),
        "content-length: 5 5".to_owned(),
        "content-length: 0x5".to_owned(),
        "content-length: 5.0".to_owned(),
        "content-length: ".to_owned(),
        "content-length: 99999999999999999999".to_owned(),
        format!("content-length: {digits}5"),
        format!("content-length: 5{}", " ".repeat(60)),
        "content-length : 5".to_owned(),
        "content-length\0: 5".to_owned(),
        "x: a\0b".to_owned(),
        "x: a\rb".to_owned(),
        "x\n: b".to_owned(),
        "x: a\n\n".to_owned(),
        ": x".to_owned(),
        "x".to_owned(),
    ];
    let count = lines.len();
    for (number, lines) in lines.into_iter().enumerate() {
        // The second one on a connection is looked at like the first one.
        let first = if number % 2 == 0 { String::new() } else { post("/elsewhere", "{}") };
        let request = first.clone() + &head("meanings", &lines) + &chunks;
        let answers = answers(&bridge, &request).await;
        let expected = if first.is_empty() { vec!["400"] } else { vec!["404", "400"] };
        assert_eq!(statuses(&answers), expected, "{lines:?}: {answers}");
    }
    assert!(count > 40);
    let old = format!("POST /meanings HTTP/1.0\r\n{chunked}\r\n\r\n{chunks}");
    assert_eq!(statuses(&answers(&bridge, &old).await), ["400"]);
    assert_eq!(
        bridge.metric("hookbus_webhooks_total").await,
        0.0,
        "none got as far as an endpoint"
    );
    assert!(nats.messages("meanings", 0).await.is_empty());
    assert_eq!(bridge.post("/meanings", event("after"), &[]).await.status, 200);
}

#[tokio::test]
async fn broken_chunks_end_the_connection() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "chunks").await;
    let smuggled = post("/chunks", &event("smuggled"));
    let bodies = [
        "zz\r\n{}\r\n0\r\n\r\n".to_owned(),
        "-2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "+2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "0x2\r\n{}\r\n0\r\n\r\n".to_owned(),
        " 2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "\r\n{}\r\n0\r\n\r\n".to_owned(),
        "2 2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "10000000000000002\r\n{}\r\n0\r\n\r\n".to_owned(),
        format!("{}2\r\n{{}}\r\n0\r\n\r\n", "0".repeat(60)),
        "2\n{}\r\n0\r\n\r\n".to_owned(),
        "2\r{}\r\n0\r\n\r\n".to_owned(),
        "2;x\ny\r\n{}\r\n0\r\n\r\n".to_owned(),
        "2\r\n{}0\r\n\r\n".to_owned(),
        "2\r\n{}\n0\r\n\r\n".to_owned(),
        "2\r\n{}}\r\n0\r\n\r\n".to_owned(),
        "2\r\n{}\r\n0\r\n\n".to_owned(),
        "2\r\n{}\r\n0\r\nx: y\n\r\n".to_owned(),
        format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(40_000)),
        format!("2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", "y".repeat(40_000)),
        format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(2_000)),
    ];
    let count = bodies.len();
    for body in bodies {
        let request = head("chunks", "transfer-encoding: chunked") + &body + &smuggled;
        let answers = answers(&bridge, &request).await;
        assert_eq!(statuses(&answers), ["400"], "{:?}", &body[..body.len().min(60)]);
    }
    // A chunk that is announced and doesn't come: the time of the body is over.
    for size in ["7fffffffffffffff", "ffffffffffffffff", "ffff"] {
        let request = head("chunks", "transfer-encoding: chunked") + size + "\r\n" + &smuggled;
        let answers = answers(&bridge, &request).await;
        assert!(matches!(statuses(&answers)[..], ["413" | "503"]), "{size}: {answers}");
    }
    assert_eq!(bridge.metric("hookbus_webhooks_total").await, count as f64 + 3.0, "no second one");
    assert!(nats.messages("chunks", 0).await.is_empty());
    assert_eq!(bridge.metric("hookbus_in_flight").await, 0.0);
}

/// Unusual, but with one meaning only.
#[tokio::test]
async fn what_is_legal_is_one_request() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "legal").await;
    let body = event("legal");
    let size = body.len();
    let sized = |more: &str| head("legal", &format!("{more}content-length: {size}")) + &body;
    let (one, other) = body.split_at(10);
    let chunks =
        format!("{:X};a=b;c=\"d e\"\r\n{one}\r\n{:04x} \t\r\n{other}\r\n", one.len(), other.len());
    let chunked =
        |name: &str, end: &str| head("legal", &format!("{name}: chunked")) + &chunks + end;
    let requests = [
        sized(""),
        sized(&format!("content-length: {size}\r\n")),
        sized(
            "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        ),
        sized("upgrade: websocket\r\nconnection: upgrade\r\n"),
        sized("x:\r\ny: \t z \t\r\n"),
        format!("\r\n{}", sized("")),
        sized("").replacen("/legal", "http://elsewhere.example/legal", 1),
        chunked("transfer-encoding", "0\r\n\r\n"),
        chunked("Transfer-Encoding", "000;x\r\n\r\n"),
        chunked(
            "TRANSFER-ENCODING",
            "0\r\ncontent-length: 5\r\ntransfer-encoding: x\r\nx: y\r\n\r\n",
        ),
    ];
    // Each alone, and all of them one after the other in one packet.
    let last = post("/legal", &body).replacen("host: test", "host: test\r\nconnection: close", 1);
    for request in &requests {
        let answers = answers(&bridge, &(request.clone() + &last)).await;
        assert_eq!(statuses(&answers), ["200", "200"], "{request:?}: {answers}");
    }
    let answers = answers(&bridge, &(requests.concat() + &last)).await;
    assert_eq!(statuses(&answers), ["200"; 11], "{answers}");
    let stored = nats.messages("legal", 31).await;
    assert_eq!(stored.len(), 31);
    assert!(stored.iter().all(|message| message.payload == body));
}

#[tokio::test]
async fn targets_and_hosts() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "hosts").await;
    let body = event("hosts");
    let rest = format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    for (head, status) in [
        ("POST /hosts HTTP/1.1\r\n", "400"),
        ("POST /hosts HTTP/1.1\r\nhost: a\r\nhost: a\r\n", "400"),
        ("POST /hosts HTTP/1.1\r\nhost: a\r\nHOST: b\r\n", "400"),
        ("POST http://a/hosts HTTP/1.1\r\n", "400"),
        ("POST * HTTP/1.1\r\nhost: a\r\n", "404"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n", "404"),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n", "404"),
        ("POST a:80 HTTP/1.1\r\nhost: a\r\n", "404"),
        ("POST hosts HTTP/1.1\r\nhost: a\r\n", "404"),
        ("POST /hosts HTTP/1.2\r\nhost: a\r\n", "400"),
        ("POST /hosts HTTP/2.0\r\nhost: a\r\n", "400"),
        ("POST /hosts\r\nhost: a\r\n", "400"),
        ("POST  /hosts HTTP/1.1\r\nhost: a\r\n", "400"),
        ("POST /hosts  HTTP/1.1\r\nhost: a\r\n", "400"),
        ("POST /ho\0sts HTTP/1.1\r\nhost: a\r\n", "400"),
        (" POST /hosts HTTP/1.1\r\nhost: a\r\n", "400"),
    ] {
        let answers = answers(&bridge, &format!("{head}{rest}")).await;
        assert_eq!(statuses(&answers), [status], "{head:?}: {answers}");
    }
    assert!(nats.messages("hosts", 0).await.is_empty());
    let old = format!("POST /hosts HTTP/1.0\r\n{rest}");
    let answer = crate::support::http::raw_within(
        &bridge.address(),
        old.as_bytes(),
        Duration::from_secs(20),
    )
    .await;
    assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer));
}
