//! Every status that this listener gives, and what stands in it.

use super::wire::{Wire, post};
use super::{event, open, question, tool_calls};
use crate::support::http::{Answer, raw};
use crate::support::{Bridge, Nats, Reply, Worker, endpoint, nats};
use http::Method;

const SECRET: &str = "x-vapi-secret";

fn guarded(name: &str) -> String {
    endpoint(name).secrets(&["old", "correct horse"]).to_string()
}

/// A bridge whose only endpoint is `name`, with a stream for its events, and with small bodies.
async fn start(nats: &Nats, name: &str, endpoint: String) -> Bridge {
    nats.create_stream(name, &[&format!("{name}.events.>")]).await;
    Bridge::config(format!("[http]\nlisten = \"{{http}}\"\nmax_body = \"64KiB\"\n{endpoint}"))
        .nats(nats)
        .start_ready()
        .await
}

/// Fails unless this is a problem (RFC 9457) with this status; returns its detail.
fn problem(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "detail"] {
        let text = problem[member].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{member} in {problem}");
    }
    problem["detail"].as_str().unwrap().to_owned()
}

/// The bodies in the stream of this endpoint, once there are so many.
async fn stored(nats: &Nats, name: &str, at_least: u64) -> Vec<String> {
    let messages = nats.messages(name, at_least).await;
    messages.iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn an_event_is_stored_before_its_200() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "stored", open("stored")).await;
    // Blanks and the order of members are the sender's.
    let body =
        "{ \"message\" : {\"call\":{\"id\":\"c\"},\t\"type\":\"status-update\", \"x\":1.50} }\r\n";
    let answer = bridge.post("/stored", body, &[]).await;
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("hookbus-outcome"), None);

    // The stream is asked once: what was acknowledged is there.
    let messages = nats.messages("stored", 0).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].payload, body);
    assert_eq!(messages[0].subject, "stored.events.status-update");
    assert_eq!(messages[0].header("ce-id"), answer.header("hookbus-id"));
    let metric =
        r#"hookbus_webhooks_total{endpoint="stored",type="status-update",outcome="stored""#;
    assert_eq!(bridge.metric(metric).await, 1.0);
}

#[tokio::test]
async fn an_event_may_be_dropped_on_purpose() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = "[[endpoint.event]]\ntypes = [\"status-*\"]\nto = []\n";
    let bridge = start(nats, "dropped", open("dropped") + rule).await;
    let answer = bridge.post("/dropped", event("c"), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("hookbus-id").is_some());
    assert!(nats.messages("dropped", 0).await.is_empty());
}

#[tokio::test]
async fn whoever_may_not_post_learns_nothing() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "guarded", guarded("guarded")).await;
    // It only listens: its reply to an event would race with the stream's.
    let worker = Worker::start(nats, "guarded.>", |_| Reply::none()).await;
    let wrong: &[&[(&str, &str)]] = &[
        &[],
        &[(SECRET, "")],
        &[(SECRET, "wrong")],
        &[(SECRET, "Correct horse")],
        &[(SECRET, "correct horse2")],
        &[(SECRET, "correct hors")],
        &[(SECRET, "\"correct horse\"")],
        &[(SECRET, "correct horse"), (SECRET, "correct horse")],
        &[(SECRET, "correct horse"), (SECRET, "wrong")],
        &[(SECRET, "wrong"), (SECRET, "correct horse")],
        &[("authorization", "Bearer correct horse")],
        // Nothing is looked at before it is known who asks.
        &[(SECRET, "wrong"), ("content-encoding", "gzip")],
    ];
    let bodies = [
        event("c"),
        tool_calls(&["f"]),
        question("assistant-request"),
        "no JSON".to_owned(),
        "x".repeat(100_000),
    ];
    let mut answers = Vec::new();
    for headers in wrong {
        answers.push(bridge.post("/guarded", event("c"), headers).await);
    }
    for body in bodies {
        answers.push(bridge.post("/guarded", body, &[(SECRET, "wrong")]).await);
    }
    let without_date = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        headers
    };
    for answer in &answers {
        problem(answer, 401);
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(without_date(answer), without_date(&answers[0]));
        assert_eq!(answer.header("hookbus-id"), None);
    }
    for secret in ["correct horse", "old"] {
        let answer = bridge.post("/guarded", event(secret), &[(SECRET, secret)]).await;
        assert_eq!(answer.status, 200);
    }
    // These two, and nothing that came before them.
    assert_eq!(stored(nats, "guarded", 2).await, [event("correct horse"), event("old")]);
    let asked = worker.questions();
    assert!(asked.iter().all(|asked| asked.subject.starts_with("guarded.events.")), "{asked:?}");
    let log = bridge.log();
    assert!(!log.contains("correct horse"), "{log}");
}

#[tokio::test]
async fn a_refusal_says_why_in_a_problem() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "refused", open("refused")).await;
    for path in ["/", "/refused/", "/refused/x", "/Refused", "/refusedx", "//refused"] {
        problem(&bridge.post(path, event("c"), &[]).await, 404);
    }
    for method in [
        Method::GET,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::from_bytes(b"BREW").unwrap(),
    ] {
        let url = bridge.url("/refused");
        let answer = bridge.client().request(method, &url, event("c"), &[]).await;
        problem(&answer, 405);
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let head = bridge.client().request(Method::HEAD, &bridge.url("/refused"), "", &[]).await;
    assert_eq!((head.status, head.header("allow"), head.body.len()), (405, Some("POST"), 0));
    for encoding in ["br", "deflate", "compress", "gzip, identity", "gzip, zstd", "x"] {
        let headers = [("content-encoding", encoding)];
        let answer = bridge.post("/refused", event("c"), &headers).await;
        problem(&answer, 415);
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
    }
    let detail = problem(&bridge.post("/refused", "[", &[]).await, 400);
    assert!(!detail.contains('['), "a body in an error: {detail}");

    let headers = [("content-encoding", "identity")];
    let answer = bridge.post("/refused", event("kept"), &headers).await;
    assert_eq!(answer.status, 200);
    // A query is no part of the path.
    let answer = bridge.post("/refused?x=1", event("query"), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stored(nats, "refused", 2).await, [event("kept"), event("query")]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_so_that_its_sender_reads_why() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "large", open("large")).await;
    let sized = |length: usize| {
        let frame = event("").len() + r#","pad":"""#.len();
        event("").replace("}}}", &format!("}},\"pad\":\"{}\"}}}}", "x".repeat(length - frame)))
    };
    let limit = 64 << 10;
    assert_eq!(sized(limit).len(), limit);
    assert_eq!(bridge.post("/large", sized(limit), &[]).await.status, 200);
    let detail = problem(&bridge.post("/large", sized(limit + 1), &[]).await, 413);
    assert!(detail.contains("65536"), "{detail}");

    // These senders write all of it before they read.
    for length in [limit + 1, 1 << 20, 6 << 20] {
        let mut wire = Wire::open(&bridge.address()).await;
        let response = wire.ask(post("/large", &sized(length))).await;
        assert_eq!(response.status, 413, "{length} bytes");

        let mut wire = Wire::open(&bridge.address()).await;
        let body = sized(length);
        wire.send("POST /large HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for chunk in body.as_bytes().chunks(10_000) {
            wire.send(format!("{:x}\r\n", chunk.len())).await;
            wire.send(chunk).await;
            wire.send("\r\n").await;
        }
        wire.send("0\r\n\r\n").await;
        let response = wire.response().await;
        assert_eq!(response.status, 413, "{length} bytes in chunks");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
    }
    // One that asks first doesn't send it at all.
    let mut wire = Wire::open(&bridge.address()).await;
    let response = wire
        .ask("POST /large HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 70000\r\n\r\n")
        .await;
    assert_eq!(response.status, 413);

    assert_eq!(stored(nats, "large", 1).await, [sized(limit)]);
}

/// Refusals that come before the body was read must reach the sender as well.
#[tokio::test]
async fn every_refusal_is_readable_after_a_large_body() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "unread", guarded("unread")).await;
    let body = "x".repeat(3 << 20);
    for (path, header, status) in [
        ("/unread", "x: y", 401),
        ("/elsewhere", "x: y", 404),
        ("/unread", "x-vapi-secret: old\r\ncontent-encoding: br", 415),
    ] {
        let mut wire = Wire::open(&bridge.address()).await;
        let request =
            post(path, &body).replacen("host: test", &format!("host: test\r\n{header}"), 1);
        assert_eq!(wire.ask(request).await.status, status);
    }
    let mut wire = Wire::open(&bridge.address()).await;
    let request = post("/unread", &body).replacen("POST", "PUT", 1);
    assert_eq!(wire.ask(request).await.status, 405);
}

#[tokio::test]
async fn heads_over_the_limit_are_refused() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "heads", open("heads")).await;
    let with = |headers: &str| {
        post("/heads", &event("c")).replacen(
            "host: test\r\n",
            &format!("host: test\r\n{headers}"),
            1,
        )
    };
    let large = with(&format!("x: {}\r\n", "y".repeat(100_000)));
    let many = with(&"x: y\r\n".repeat(101));
    for request in [large, many] {
        let mut wire = Wire::open(&bridge.address()).await;
        // It may be closed before all of this is written.
        let _ = wire.try_send(request).await;
        assert_eq!(wire.response().await.status, 431);
    }
    let mut wire = Wire::open(&bridge.address()).await;
    let response =
        wire.ask(with(&format!("x: {}\r\n{}", "y".repeat(30_000), "x: y\r\n".repeat(90)))).await;
    assert_eq!(response.status, 200);
    assert_eq!(nats.messages("heads", 0).await.len(), 1);
}

/// What isn't HTTP, or is it in a way that two readers could read differently.
#[tokio::test]
async fn what_is_not_http_is_refused() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "nonsense", open("nonsense")).await;
    let body = event("c");
    let length = body.len();
    let requests = [
        "nonsense\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("POST /nonsense HTTP/1.1\r\nhost: test\r\ncontent-length: -1\r\n\r\n{body}"),
        format!("POST /nonsense HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\ncontent-length: 3\r\n\r\n{body}"),
        format!("POST /nonsense HTTP/1.1\r\nhost: test\r\nx y: z\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("POST /nonsense HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip\r\n\r\n{body}"),
        "POST /nonsense HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let answer = raw(&bridge.address(), request.as_bytes()).await;
        let status = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
        assert!(
            status.is_empty() || status.starts_with("HTTP/1.1 4") || status == "HTTP/1.1 503",
            "{request:?}: {status}"
        );
        assert!(!["HTTP/1.1 408", "HTTP/1.1 410"].contains(&status.as_str()));
    }
    assert!(nats.messages("nonsense", 0).await.is_empty());
    assert_eq!(bridge.post("/nonsense", body, &[]).await.status, 200);
}

/// HTTP/2 without TLS, by a client that knows that it is there.
#[tokio::test]
async fn http2_is_spoken_too() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = start(nats, "two", guarded("two")).await;
    let _worker = Worker::start(nats, "two.tool.*", |_| Reply::text("done")).await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    let post = async |secret: &str, body: String| {
        let request = client.post(bridge.url("/two")).header(SECRET, secret);
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        response.status().as_u16()
    };
    assert_eq!(post("old", event("c")).await, 200);
    assert_eq!(post("wrong", event("c")).await, 401);
    assert_eq!(post("old", "x".repeat(100_000)).await, 413);
    assert_eq!(post("old", "[]".to_owned()).await, 400);
    let many = (0..100).map(|number| match number % 2 {
        0 => post("old", event(&format!("c{number}"))),
        _ => post("old", tool_calls(&["f"])),
    });
    let statuses = futures_util::future::join_all(many).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(nats.messages("two", 0).await.len(), 51);
}
