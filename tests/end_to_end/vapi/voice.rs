//! Voice: bytes as they are, whole or as they come.

use super::Scripted;
use super::checks::Checks;
use crate::http::held::Held;
use crate::http::open;
use crate::support::{Bridge, Reply, nats, sample};
use std::time::Duration;

fn request() -> bytes::Bytes {
    sample("voice-request.json").bytes
}

#[tokio::test]
async fn a_plain_reply_is_the_whole_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("voice")).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "voice.ask.voice-request").await;
    let sound: Vec<u8> = (0..=255).cycle().take(96_000).collect();
    worker.says(Reply::text(sound.clone()));
    let answer = bridge.post("/voice", request(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (200, Some("answered")));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(answer.body == sound);
    assert_eq!(worker.asked().payload, request());
    let mut checks = Checks::default();
    checks.add("voice-request", "{}", &answer.body);
    checks.run().await;

    worker.says(Reply::text(""));
    let answer = bridge.post("/voice", request(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("bad-reply")));
    worker.says(Reply::error("500", "no voice"));
    let answer = bridge.post("/voice", request(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("worker-error")));
    worker.says(Reply::error("500", "no voice").header("Hookbus-More", "true"));
    let answer = bridge.post("/voice", request(), &[]).await;
    assert_eq!((answer.status, answer.header("hookbus-outcome")), (502, Some("worker-error")));
}

#[tokio::test]
async fn parts_are_passed_on_as_they_come() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("parts")).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "parts.ask.voice-request").await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let send = client.post(bridge.url("/parts")).body(request()).send();
    let (response, question) = tokio::join!(async { send.await.unwrap() }, async {
        let question = held.next().await;
        held.part(&question, "first ", true).await;
        question
    });
    let mut response = response;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    // Each part is here before the worker has sent the next one.
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first ");
    held.part(&question, "second ", true).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "second ");
    held.part(&question, "", true).await;
    held.part(&question, "third ", true).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "third ");
    held.part(&question, "last", false).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "last");
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn the_last_part_may_be_empty() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("empty-part")).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "empty-part.ask.*").await;
    let part = |text: String| Reply::text(text).header("Hookbus-More", "true");
    let mut reply = part("0 ".to_owned());
    for number in 1..300 {
        reply = reply.then(part(format!("{number} ")));
    }
    worker.says(reply.then(Reply::text("")));
    let answer = bridge.post("/empty-part", request(), &[]).await;
    let expected: String = (0..300).map(|number| format!("{number} ")).collect();
    assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
}

/// A sender must be able to tell half an answer from a whole one.
#[tokio::test]
async fn an_answer_that_breaks_off_breaks_the_response() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let bridge = Bridge::config(open("breaks")).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "breaks.ask.*").await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let part = || Reply::text("half ").header("Hookbus-More", "true");
    // The one says that it failed, the other nothing any more.
    for reply in [part().then(Reply::error("500", "broken")), part()] {
        worker.says(reply);
        let send = client.post(bridge.url("/breaks")).body(request()).send();
        let mut response = send.await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "half ");
        let end = tokio::time::timeout(Duration::from_secs(20), response.chunk()).await;
        assert!(end.expect("an end").is_err(), "taken for a whole answer");
    }
    worker.says(Reply::text("whole"));
    assert_eq!(bridge.post("/breaks", request(), &[]).await.text(), "whole");
}

/// A worker doesn't send into the void for ever, and its place is free again.
#[tokio::test]
async fn a_sender_that_hangs_up_frees_its_place() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let config = "[http]\nlisten = \"{http}\"\nmax_questions = 1\n".to_owned();
    let bridge = Bridge::config(&(config + &open("hangs-up"))).nats(nats).start_ready().await;
    let mut held = Held::on(nats, "hangs-up.ask.*").await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let send = client.post(bridge.url("/hangs-up")).body(request()).send();
    let (response, question) = tokio::join!(send, async {
        let question = held.next().await;
        held.part(&question, "first", true).await;
        question
    });
    let response = response.unwrap();
    // Its place is taken as long as it streams.
    let other = bridge.post("/hangs-up", request(), &[]).await;
    assert_eq!((other.status, other.header("hookbus-outcome")), (503, Some("overloaded")));
    drop((response, client));
    crate::support::eventually("a free place", Duration::from_secs(10), async || {
        held.part(&question, "more", true).await;
        (bridge.metric(r#"hookbus_in_flight{kind="question""#).await == 0.0).then_some(())
    })
    .await;
}

/// What the first part says that it is goes to the sender, if it can be said.
#[tokio::test]
async fn a_worker_names_the_type_of_its_answer() {
    let Some(nats) = nats::shared().await else {
        return;
    };
    let rule = "[[endpoint.question]]\ntypes = [\"voice-request\"]\nfallback = { data = \"\" }\n";
    let config = open("typed") + &open("typed-falls") + rule;
    let bridge = Bridge::config(&config).nats(nats).start_ready().await;
    let worker = Scripted::start(nats, "typed.ask.*").await;
    const NAME: &str = "Hookbus-Content-Type";
    let long = format!("audio/{}", "x".repeat(300));
    for (said, expected) in [
        ("audio/L16", "audio/L16"),
        ("audio/L16; rate=24000; channels=1", "audio/L16; rate=24000; channels=1"),
        ("audio/wav; note=\"a, b\"", "audio/wav; note=\"a, b\""),
        ("audio", "application/octet-stream"),
        ("audio/*", "application/octet-stream"),
        ("audio/L16, text/html", "application/octet-stream"),
        ("audio/\u{fc}", "application/octet-stream"),
        (&long, "application/octet-stream"),
    ] {
        let whole = Reply::text("sound").header(NAME, said);
        let part = |text: &str| Reply::text(text.to_owned()).header("Hookbus-More", "true");
        // Only the first part decides.
        let parts = part("so").header(NAME, said).then(part("un").header(NAME, "text/plain"));
        for reply in [whole, parts.then(Reply::text("d").header(NAME, "text/html"))] {
            worker.says(reply);
            let answer = bridge.post("/typed", request(), &[]).await;
            assert_eq!((answer.status, answer.text()), (200, "sound"), "{said}");
            assert_eq!(answer.header("content-type"), Some(expected), "{said}");
        }
    }
    // It is for audio: other questions are answered in JSON, and so is a fallback.
    worker.says(Reply::text(r#"{"assistantId":"a"}"#).header(NAME, "text/plain"));
    let answer = bridge.post("/typed", crate::http::question("assistant-request"), &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let answer = bridge.post("/typed-falls", request(), &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
}
